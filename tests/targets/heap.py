# SPDX-License-Identifier: GPL-2.0-or-later
"""A large heap of small objects, most of it from the start, that works without pause and leaks a little."""
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import target

BYTE = b"x"
SIZE = 400
KEPT, LEAKED = [], []
STATE = {"stop": False, "bytes": 0}


def fill(mib):
    """About so many MiB of blocks."""
    kept = [None] * (int(mib) * (1 << 20) // SIZE)
    KEPT.append(kept)
    for i in range(len(kept)):
        kept[i] = BYTE * (SIZE - 48)  # LEAK:fill
    return {"blocks": len(kept), "block_bytes": blocks.block(sys.getsizeof(kept[0]))}


def thin():
    """Gives every third block of the last filling back."""
    kept = KEPT[-1]
    freed = len(range(0, len(kept), 3))
    kept[::3] = [None] * freed
    return {"blocks": len(kept) - freed}


def work(number):
    """Objects that live shortly, in places all over the heap."""
    old = KEPT[0]
    for i in range(200):
        old[(number * 7919 + i * 104729) % len(old)] = BYTE * (SIZE - 48)
    return sorted({"%d-%d" % (number, i): [i, str(i)] for i in range(300)}.items())


def keep(number):
    for _ in range(10):
        LEAKED.append(BYTE * (200 + number % 2))  # LEAK:keep


def loop():
    number = 0
    while not STATE["stop"]:
        work(number)
        if number % 2:
            keep(number)
            STATE["bytes"] = len(LEAKED) * blocks.block(sys.getsizeof(LEAKED[0]))
            time.sleep(0.001)
        number += 1


def start():
    worker = threading.Thread(target=loop)
    worker.daemon = True
    worker.start()


def status():
    return {"time": time.time(), "bytes": STATE["bytes"]}


if __name__ == "__main__":
    target.serve(fill=fill, start=start, status=status, thin=thin)
    STATE["stop"] = True
