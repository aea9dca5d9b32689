# SPDX-License-Identifier: GPL-2.0-or-later
"""Works, in a thread of its own, on whatever load it is told to, and counts what that load leaks on its marked line.

"load NAME" changes over and answers when the new load has begun; "status" says how far it is.
"""
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import leakext
import target

BYTE = b"x"
LENGTH = 40
BLOCK = blocks.block(sys.getsizeof(BYTE * LENGTH))
LARGE = 300
LARGE_BLOCK = blocks.block(sys.getsizeof(BYTE * LARGE))
NATIVE_BLOCK = 256
# Has all its room from the start: keeping a block allocates nothing. Enough for minutes of any load.
KEPT = [None] * (1 << 22)
TENS = list(range(200))
NOTHING = [None] * 1000
STATE = {"wanted": "rest", "running": "", "rounds": 0, "blocks": 0, "bytes": 0}
clock = getattr(time, "monotonic", time.time)


def count(number, size):
    STATE["blocks"] += number
    STATE["bytes"] += number * size


def rest():
    time.sleep(0.01)


def idle():
    """A few blocks every 50 ms: nothing that would need a budget."""
    first = STATE["blocks"]
    for index in range(first, first + 3):
        KEPT[index] = BYTE * LENGTH  # LEAK:idle
        [index, str(index), {"index": index}]
    count(3, BLOCK)
    time.sleep(0.05)


def busy():
    """Millions of objects of several kinds a second, every one dropped at once but for a leaked one a round."""
    for number in TENS:
        text = "%d items" % number
        pair = [text, number * 0.5]
        entry = {"pair": pair, "name": text}
        entry["total"] = number << 40
    KEPT[STATE["blocks"]] = BYTE * LENGTH  # LEAK:busy
    count(1, BLOCK)


def rare():
    """One allocation in a thousand leaks: the loop makes one for each of its items, the accounts a few."""
    for _ in NOTHING:
        BYTE * 100
    KEPT[STATE["blocks"]] = BYTE * LENGTH  # LEAK:rare
    count(1, BLOCK)


def bursts():
    """Busy, and four times a second some blocks of a size of their own leak at once, in a fraction of a millisecond."""
    end = clock() + 0.25
    while clock() < end:
        for number in TENS:
            text = "%d items" % number
            entry = {"pair": [text, number * 0.5], "name": text}
            entry["total"] = number << 40
    first = STATE["blocks"]
    for index in range(first, first + 100):
        KEPT[index] = BYTE * LARGE  # LEAK:bursts
    count(100, LARGE_BLOCK)


def native():
    """Millions of malloc() a second, of which one in 500 is never freed: leakext keeps a million at most."""
    leakext.malloc_free(499, 2000)
    leakext.malloc(1, NATIVE_BLOCK)  # LEAK:native
    count(1, NATIVE_BLOCK)
    for _ in range(3):
        for _ in NOTHING:
            pass


LOADS = {"rest": rest, "idle": idle, "busy": busy, "rare": rare, "bursts": bursts, "native": native}


def work():
    while True:
        name = STATE["running"] = STATE["wanted"]
        LOADS[name]()
        STATE["rounds"] += 1


def load(name):
    STATE["wanted"] = name
    while STATE["running"] != name:
        time.sleep(0.001)
    return status()


def status():
    return {"time": clock(), "rounds": STATE["rounds"], "blocks": STATE["blocks"], "bytes": STATE["bytes"]}


if __name__ == "__main__":
    worker = threading.Thread(target=work)
    worker.daemon = True
    worker.start()
    target.serve(load=load, status=status)
