# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmark times: allocations at a given depth of Python frames, and malloc and free from C."""
import time

import leakext
import target

BYTE = b"x"
clock = getattr(time, "perf_counter", time.time)


def allocate(items):
    """One pymalloc allocation an item, freed by the next; iterating over a list allocates nothing."""
    for _ in items:
        BYTE * 40


def at_depth(depth, items):
    if depth > 0:
        return at_depth(depth - 1, items)
    started = clock()
    allocate(items)
    return clock() - started


def pymalloc(depth, count):
    # <module>, serve, pymalloc, at_depth once and allocate are 5 frames.
    return at_depth(int(depth) - 5, [None] * int(count))


def malloc(count):
    count = int(count)
    started = clock()
    leakext.malloc_free(count, 700)
    return clock() - started


if __name__ == "__main__":
    target.serve(pymalloc=pymalloc, malloc=malloc)
