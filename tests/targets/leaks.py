# SPDX-License-Identifier: GPL-2.0-or-later
"""Leaks a known number of blocks and bytes on each line marked LEAK. "leak" says what they are; "oracle" asks tracemalloc."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import leakext
import target

try:
    import numpy
except ImportError:
    numpy = None

N = 2000
BYTE = b"x"
TEXT = u"x"
KEY = "key"
HALF = 0.5
LARGE = 1 << 70
KEPT = {}
# Requests of exactly the largest that pymalloc serves, and of one byte more.
OVERHEAD = sys.getsizeof(b"")
LARGEST_SMALL = blocks.SMALL_REQUEST - OVERHEAD
SMALLEST_LARGE = LARGEST_SMALL + 1


class Slotted(object):
    __slots__ = ("first", "second")


class Plain(object):
    pass


def leak_bytes(kept):
    for i in range(N):
        kept[i] = BYTE * 40  # LEAK:bytes


def leak_largest_small(kept):
    for i in range(N):
        kept[i] = BYTE * LARGEST_SMALL  # LEAK:largest_small


def leak_smallest_large(kept):
    for i in range(N):
        kept[i] = BYTE * SMALLEST_LARGE  # LEAK:smallest_large


def leak_strings(kept):
    for i in range(N):
        kept[i] = TEXT * 40  # LEAK:strings


def leak_tuples(kept):
    for i in range(N):
        kept[i] = (kept, None)  # LEAK:tuples


def leak_floats(kept):
    for i in range(N):
        kept[i] = HALF * 3.0  # LEAK:floats


def leak_integers(kept):
    for i in range(N):
        kept[i] = LARGE + 1  # LEAK:integers


def leak_slotted(kept):
    for i in range(N):
        kept[i] = Slotted()  # LEAK:slotted


def leak_instances(kept):
    for i in range(N):
        kept[i] = Plain()  # LEAK:instances
        kept[i].name = None  # LEAK:instance_dicts


def leak_dicts(kept):
    for i in range(N):
        kept[i] = {KEY: None}  # LEAK:dicts


def leak_lists(kept):
    for i in range(N):
        kept[i] = [kept, None]  # LEAK:lists


def leak_sets(kept):
    for i in range(N):
        kept[i] = {KEY}  # LEAK:sets


def leak_megabytes(kept):
    for i in range(16):
        kept[i] = BYTE * 1000000  # LEAK:megabytes


def grow_list(kept):
    grown = kept[0] = []
    for i in range(100 * N):
        grown.append(None)  # LEAK:append
    return grown


SIMPLE = (
    ("bytes", leak_bytes), ("largest_small", leak_largest_small), ("smallest_large", leak_smallest_large),
    ("strings", leak_strings), ("tuples", leak_tuples), ("floats", leak_floats), ("integers", leak_integers),
    ("slotted", leak_slotted), ("dicts", leak_dicts), ("lists", leak_lists), ("sets", leak_sets),
)


def leak_objects():
    expected = {}
    # One by one the lists that keep, so that their own memory lies on a line of its own.
    for name, function in SIMPLE:
        KEPT[name] = [None] * N
        target.drain_free_lists()
        function(KEPT[name])
        sizes = blocks.blocks_of(KEPT[name][0])
        expected[name] = {"blocks": N * len(sizes), "bytes": N * sum(sizes)}
    KEPT["instances"] = [None] * N
    target.drain_free_lists()
    leak_instances(KEPT["instances"])
    KEPT["megabytes"] = [None] * 16
    leak_megabytes(KEPT["megabytes"])
    expected["megabytes"] = {"blocks": 16, "bytes": 16 * sys.getsizeof(KEPT["megabytes"][0])}
    KEPT["append"] = [None]
    grown = grow_list(KEPT["append"])
    expected["append"] = {"blocks": 1, "bytes": grown.__sizeof__() - list.__basicsize__}
    return expected


def leak_natively():
    leakext.malloc(0, 0)  # leaves its argument tuple on the free list for those below
    leakext.malloc(500, 1000)  # LEAK:ext_malloc
    leakext.calloc(500, 1001)  # LEAK:ext_calloc
    leakext.calloc_array(300, 10)  # LEAK:ext_calloc_array
    leakext.realloc_null(300, 700)  # LEAK:ext_realloc_null
    leakext.realloc_grow(300, 5000)  # LEAK:ext_realloc_grow
    leakext.realloc_fail(300, 600)  # LEAK:ext_realloc_fail
    leakext.realloc_zero(300, 600)  # LEAK:ext_realloc_zero
    leakext.reallocarray(300, 800)  # LEAK:ext_reallocarray
    leakext.posix_memalign(300, 900)  # LEAK:ext_posix_memalign
    leakext.aligned_alloc(300, 1024)  # LEAK:ext_aligned_alloc
    leakext.memalign(300, 1100)  # LEAK:ext_memalign
    leakext.valloc(30, 1200)  # LEAK:ext_valloc
    leakext.pvalloc(30, 4096)  # LEAK:ext_pvalloc
    leakext.strdup(300, 99)  # LEAK:ext_strdup
    leakext.malloc_free(300, 700)  # LEAK:ext_malloc_free
    leakext.raw_malloc(300, 640)  # LEAK:ext_raw_malloc
    leakext.malloc(5, 3000000)  # LEAK:ext_large_malloc
    return {
        name: {"blocks": count, "bytes": count * size}
        for name, count, size in (
            ("ext_malloc", 500, 1000), ("ext_calloc", 500, 1001), ("ext_calloc_array", 1, 3000),
            ("ext_realloc_null", 300, 700), ("ext_realloc_grow", 300, 5000), ("ext_realloc_fail", 300, 600),
            ("ext_realloc_zero", 0, 0), ("ext_reallocarray", 300, 800), ("ext_posix_memalign", 300, 900),
            ("ext_aligned_alloc", 300, 1024), ("ext_memalign", 300, 1100), ("ext_valloc", 30, 1200),
            ("ext_pvalloc", 30, 4096), ("ext_strdup", 300, 100), ("ext_malloc_free", 0, 0),
            ("ext_raw_malloc", 300, 640), ("ext_large_malloc", 5, 3000000),
        )
    }


def leak_arrays():
    if numpy is None:
        raise RuntimeError("this interpreter has no numpy")
    # Empties numpy's caches of shapes.
    spare = [(numpy.empty(1000), numpy.empty((2, 2))) for _ in range(100)]  # LEAK:spare_arrays
    target.HELD.append(spare)
    KEPT["arrays"] = [None] * 500
    KEPT["large_arrays"] = [None] * 10
    for i in range(500):
        KEPT["arrays"][i] = numpy.empty(1000)  # LEAK:arrays
    for i in range(10):
        KEPT["large_arrays"][i] = numpy.zeros((1000, 1000))  # LEAK:large_arrays
    data = KEPT["arrays"][0].nbytes
    # The array object is a pymalloc block; shape and strides are one malloc of 2 * dimensions * 8 bytes, and the
    # data another (numpy 1.24, numpy/core/src/multiarray/ctors.c, PyArray_NewFromDescr_int()).
    thing = blocks.block(numpy.ndarray.__basicsize__)
    large = KEPT["large_arrays"][0].nbytes
    return {
        "arrays": {"blocks": 500 * 3, "bytes": 500 * (thing + 16 + data)},
        "large_arrays": {"blocks": 10 * 3, "bytes": 10 * (thing + 32 + large)},
    }


def leak(*kinds):
    before = sys.getallocatedblocks() if hasattr(sys, "getallocatedblocks") else 0
    target.drain_free_lists(deep=True)
    expected = leak_objects()
    after = sys.getallocatedblocks() if hasattr(sys, "getallocatedblocks") else 0
    expected.update(leak_natively())
    if "numpy" in kinds:
        expected.update(leak_arrays())
    return {"expected": expected, "allocated_blocks": after - before}


def oracle():
    target.drain_free_lists(deep=True)
    return target.traced_by_line(leak_objects)[os.path.abspath(__file__)]


if __name__ == "__main__":
    target.serve(leak=leak, oracle=oracle)
