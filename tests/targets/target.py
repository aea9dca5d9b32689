# SPDX-License-Identifier: GPL-2.0-or-later
"""The line protocol between a test and the program it watches. Runs on Python 2.7 and 3.6 to 3.15.

The target says {"ready": ...}, then answers each line "NAME [ARGUMENT...]" on its standard input by calling
the handler of that name: {"done": NAME, "result": ...} or {"error": TRACEBACK}. End of input ends it.
"""
import json
import os
import sys
import traceback

HELD = []


def reply(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(**handlers):
    grow_arenas()
    reply({"ready": True, "pid": os.getpid(), "version": list(sys.version_info[:3])})
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        words = line.split()
        try:
            reply({"done": words[0], "result": handlers[words[0]](*words[1:])})
        except Exception:
            reply({"error": traceback.format_exc()})


def grow_arenas():
    """Makes pymalloc's table of arenas large enough for what follows: growing it would be a malloc on some line."""
    spare = [b"x" * 400 + str(number).encode("ascii") for number in range(60000)]
    del spare


def drain_free_lists(deep=False):
    """Takes the recycled blocks out of the interpreter's free lists, and keeps them.

    The allocations that follow then reach the allocator, as long as nothing of their type dies between them. deep
    covers the limits of CPython 2.7 to 3.13: 2000 tuples of each size below 20, 1024 unicode (2.7), 100 floats, 80 of
    the others (Objects/tupleobject.c, unicodeobject.c, floatobject.c, listobject.c, dictobject.c); else only what
    a few statements may have put back.
    """
    count = 2100 if deep else 50
    for size in range(1, 6):
        HELD.append([tuple([None] * size) for _ in range(count)])
    HELD.append([u"x" * (3 + number % 2) for number in range(count)])
    count = 200 if deep else 50
    HELD.append([float(number) for number in range(count)])
    HELD.append([{"key": None} for _ in range(count)])
    HELD.append([set() for _ in range(count)])
    HELD.append([[] for _ in range(count)])


def traced_by_line(function):
    """What tracemalloc says that function() leaves behind: {file: {line: [[requested bytes, blocks], ...]}}."""
    import tracemalloc

    tracemalloc.start(1)
    function()
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    found = {}
    for trace in snapshot.traces:
        frame = trace.traceback[0]
        sizes = found.setdefault(frame.filename, {}).setdefault(frame.lineno, {})
        sizes[trace.size] = sizes.get(trace.size, 0) + 1
    return {name: {line: sorted(sizes.items()) for line, sizes in lines.items()} for name, lines in found.items()}
