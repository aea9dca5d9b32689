# SPDX-License-Identifier: GPL-2.0-or-later
"""Leaks through libraries and from lines that several callers share. "oracle" says what tracemalloc makes of it."""
import copy
import gc
import json
import os

import target

N = 1500
ORDER = '{"id": 17, "items": [{"sku": "a-b-c", "price": 12.5}, {"sku": "d-e-f", "price": 1e3}], "note": "as usual"}'
TEMPLATE = {"first": ["x", "y"], "second": {"third": [None, None]}}
KEPT = {}


def decode(kept):
    for i in range(N):
        kept[i] = json.loads(ORDER)  # LEAK:decode


def copies(kept):
    for i in range(N // 5):
        kept[i] = copy.deepcopy(TEMPLATE)  # LEAK:copies


def make(kept, i):
    kept[i] = [kept, {"key": None}]  # LEAK:make


def first(kept):
    for i in range(N):
        make(kept, i)


def second(kept):
    for i in range(N, 2 * N):
        make(kept, i)


def leak():
    for function in (decode, copies, first, second):
        kept = KEPT.setdefault("make" if function in (first, second) else function.__name__, [None] * (2 * N))
        target.drain_free_lists(deep=True)
        function(kept)


def oracle():
    """[[[file, line], ... innermost first], requested bytes, how many] of what leak() leaves."""
    import tracemalloc

    tracemalloc.start(30)
    leak()
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    found = {}
    for trace in snapshot.traces:
        key = tuple((frame.filename, frame.lineno) for frame in reversed(trace.traceback)), trace.size
        found[key] = found.get(key, 0) + 1
    lines = sorted(
        (statistic.traceback[0].filename, statistic.traceback[0].lineno, statistic.count)
        for statistic in snapshot.statistics("lineno")
    )
    return {"traces": [[stack, size, count] for (stack, size), count in found.items()], "lineno": lines}


if __name__ == "__main__":
    gc.disable()  # a collection empties free lists, in each run at another time
    json.loads(ORDER)
    copy.deepcopy(TEMPLATE)
    target.serve(leak=leak, oracle=oracle, script=lambda: os.path.abspath(__file__))
