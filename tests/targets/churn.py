# SPDX-License-Identifier: GPL-2.0-or-later
"""Frees what it allocates, wholly or in part, through every way memory goes back. "run" says what must be left."""
import collections
import email.utils
import gc
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import leakext
import target

N = 2000
BYTE = b"x"
KEPT = {}
MIB = 1 << 20


def churn_bytes():
    for i in range(10 * N):
        temporary = BYTE * 40  # LEAK:churned_bytes
    return len(temporary)


def release_all(kept):
    for i in range(N):
        kept[i] = BYTE * 48  # LEAK:released
    for i in range(N):
        kept[i] = None


def release_half(kept):
    for i in range(N):
        kept[i] = BYTE * 72  # LEAK:half_released
    for i in range(0, N, 2):
        kept[i] = None


def reuse(kept):
    for i in range(N):
        kept[i] = BYTE * 200  # LEAK:first_owner
    for i in range(N):
        kept[i] = None
    for i in range(N):
        kept[i] = BYTE * 200  # LEAK:second_owner


def cycles():
    for i in range(N):
        pair = [BYTE * 300, None]  # LEAK:cycles
        pair[1] = pair
    del pair
    gc.collect()


def grow_bytearrays(kept):
    for i in range(100):
        kept[i] = bytearray()
    for grown in kept:
        for i in range(400):
            grown.append(1)  # LEAK:bytearrays


def shrink_list(kept):
    kept.extend([None] * 100000)  # LEAK:shrunk_list
    del kept[:]


def run():
    target.drain_free_lists(deep=True)
    for name in ("released", "half_released", "reuse"):
        KEPT[name] = [None] * N
    churn_bytes()
    release_all(KEPT["released"])
    release_half(KEPT["half_released"])
    reuse(KEPT["reuse"])
    cycles()
    KEPT["bytearrays"] = [None] * 100
    # Lists, and a method object of 2.7, for the next lines to take from the free lists instead of the allocator.
    spare = [[] for _ in range(10)]
    spare.append(None)
    del spare
    grow_bytearrays(KEPT["bytearrays"])
    shrink_list([])
    half = blocks.block(sys.getsizeof(KEPT["half_released"][1]))
    second = blocks.block(sys.getsizeof(KEPT["reuse"][1]))
    grown = KEPT["bytearrays"][0].__alloc__()
    if sys.version_info >= (3, 6):  # before, PyMem_Realloc() was realloc()
        grown = blocks.block(grown)
    return {
        "churned_bytes": [0, 0],
        "released": [0, 0],
        "half_released": [N // 2, N // 2 * half],
        "first_owner": [0, 0],
        "second_owner": [N, N * second],
        "cycles": [0, 0],
        "bytearrays": [100, 100 * grown],
        "shrunk_list": [0, 0],
    }


def serve_requests(count):
    """What a service does all day, with a bounded history; how many blocks more the interpreter then has in use."""
    recent = KEPT.setdefault("recent", collections.deque(maxlen=200))
    gc.collect()
    before = sys.getallocatedblocks()
    for i in range(int(count)):
        stamp = email.utils.formatdate(i * 1000.5, usegmt=True)
        text = json.dumps({"stamps": [stamp, str(i), i * 1.5], "body": {"text": "x" * (i % 300)}})
        recent.append(json.loads(text))
    del stamp, text
    gc.collect()
    return sys.getallocatedblocks() - before


def run_native():
    leakext.malloc(0, 0)  # leaves its argument tuple on the free list for those below
    leakext.malloc_free(5000, 700)  # LEAK:malloc_free
    leakext.malloc(400, 900)  # LEAK:malloc_released
    leakext.release(150, 0)
    leakext.realloc_zero(300, 600)  # LEAK:realloc_zero
    return {"malloc_free": [0, 0], "malloc_released": [250, 250 * 900], "realloc_zero": [0, 0]}


def run_mappings():
    leakext.malloc(0, 0)
    leakext.mmap(20, MIB)  # LEAK:mmap
    leakext.munmap(20, MIB)  # LEAK:munmap
    leakext.munmap_half(20, MIB)  # LEAK:munmap_half
    leakext.mremap(20, MIB)  # LEAK:mremap
    leakext.mmap_file(20, MIB)  # LEAK:mmap_file
    return {
        "mmap": [20, 20 * MIB],
        "munmap": [0, 0],
        "munmap_half": [20, 10 * MIB],
        "mremap": [20, 20 * MIB],
        "mmap_file": [0, 0],
    }


if __name__ == "__main__":
    target.serve(run=run, native=run_native, mappings=run_mappings, requests=serve_requests)
