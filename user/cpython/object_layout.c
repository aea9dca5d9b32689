// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Offsets and sizes are from the DWARF of pyenv builds ("gdb -batch -ex 'ptype /o PyHeapTypeObject'
 * libpythonX.Y.so.1.0"); tests/unit/test_object_layout.c checks them. What no debug information
 * tells:
 * - preheader_flags: Py_TPFLAGS_MANAGED_DICT of 3.11 and Py_TPFLAGS_PREHEADER of 3.12 on,
 *   Include/object.h; _PyType_PreHeaderSize() of pycore_object.h.
 * - which kind of dict, values and set entries: Objects/dictobject.c, Objects/setobject.c,
 *   Include/internal/pycore_dict.h.
 * 3.14 and 3.15: offsetof() with the headers of 3.14.10 and 3.15.2 (python3.15-dev of Debian),
 * since no debug information is at hand; make check-distros names types of both.
 */
#include "cpython/object_layout.h"

#include <stddef.h>

#define PYTHON_2                                                                                   \
	.gc_head = 32, .heap_name = 856, .dict = DICT_TABLE, .dict_table = 40,                     \
	.set_hash_first = true, .deque_block = 512
#define KEYS_SIZED  .dict = DICT_KEYS, .values = VALUES_PLAIN, DICT_OBJECT
#define KEYS_LOG2   .dict = DICT_KEYS_LOG2, DICT_OBJECT
#define DICT_OBJECT .dict_table = 32, .dict_values = 40, .deque_block = 528, .deque_data = 8

static const struct object_layout rows[] = {
	{ 2, 7, PYTHON_2 },
	{ 3, 6, .gc_head = 32, .heap_name = 832, .heap_qualname = 848, KEYS_SIZED },
	{ 3, 7, .gc_head = 32, .heap_name = 832, .heap_qualname = 848, KEYS_SIZED },
	{ 3, 8, .gc_head = 16, .heap_name = 848, .heap_qualname = 864, KEYS_SIZED },
	{ 3, 9, .gc_head = 16, .heap_name = 840, .heap_qualname = 856, KEYS_SIZED },
	{ 3, 10, .gc_head = 16, .heap_name = 848, .heap_qualname = 864, KEYS_SIZED },
	{ 3, 11, .gc_head = 16, .preheader_flags = 1 << 4, .heap_name = 848, .heap_qualname = 864,
	  .values = VALUES_PREFIX, KEYS_LOG2 },
	{ 3, 12, .gc_head = 16, .preheader_flags = 1 << 3 | 1 << 4, .heap_name = 856,
	  .heap_qualname = 872, .values = VALUES_PREFIX, KEYS_LOG2 },
	{ 3, 13, .gc_head = 16, .preheader_flags = 1 << 3 | 1 << 4, .heap_name = 856,
	  .heap_qualname = 872, .values = VALUES_HEADER, KEYS_LOG2 },
	{ 3, 14, .gc_head = 16, .preheader_flags = 1 << 3 | 1 << 4, .heap_name = 856,
	  .heap_qualname = 872, .values = VALUES_HEADER, .narrow_refcount = true, KEYS_LOG2 },
	{ 3, 15, .gc_head = 16, .preheader_flags = 1 << 3 | 1 << 4, .heap_name = 864,
	  .heap_qualname = 880, .values = VALUES_HEADER, .narrow_refcount = true, KEYS_LOG2 },
};

const struct object_layout *object_layout_find(int major, int minor)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].major == major && rows[i].minor == minor)
			return &rows[i];
	return NULL;
}
