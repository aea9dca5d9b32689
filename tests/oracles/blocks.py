# SPDX-License-Identifier: GPL-2.0-or-later
"""How many bytes the allocators really spend on an object, worked out inside the interpreter. Python 2.7 to 3.15."""
import sys

SMALL_REQUEST = 512  # pymalloc serves up to this many bytes (Objects/obmalloc.c, SMALL_REQUEST_THRESHOLD)
GC_HEADER = sys.getsizeof([]) - [].__sizeof__()


def _alignment():
    """Measured: the distance of neighbours whose request is 8 more than a multiple of 16."""
    length = 8 + 16 * 20 - sys.getsizeof(b"")
    addresses = sorted(id(each) for each in [b"x" * (length + 0 * i) for i in range(500)])
    step = min(later - earlier for earlier, later in zip(addresses, addresses[1:]))
    return 8 if step == 8 + 16 * 20 else 16


ALIGNMENT = _alignment()


def block(request):
    """The block that serves a request: its size class below the threshold, else the request as malloc gets it."""
    if request > SMALL_REQUEST:
        return request
    return (max(request, 1) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def blocks_of(example):
    """The sizes of the blocks that one object like example takes, for the types that the targets leak."""
    kind = type(example)
    if kind in (list, dict):
        fixed = kind.__basicsize__ + GC_HEADER
        rest = sys.getsizeof(example) - fixed
        return [block(fixed)] + ([block(rest)] if rest > 0 else [])
    if kind is type(u"") and sys.version_info[0] == 2:
        fixed = kind.__basicsize__  # the text is a second block: Objects/unicodeobject.c, _PyUnicode_New()
        return [block(fixed), block((len(example) + 1) * 4)]
    return [block(sys.getsizeof(example))]
