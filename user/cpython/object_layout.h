/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How objects and the tables that they own lie in memory, by minor version: what is before an
 * object in its block, and what dicts, sets and instances keep outside of themselves. Offsets in
 * bytes, 64-bit builds. tests/unit/test_object_layout.c checks the rows against the debug
 * information of the interpreters at hand.
 */
#ifndef PYLEAK_CPYTHON_OBJECT_LAYOUT_H
#define PYLEAK_CPYTHON_OBJECT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

/* Members that lie where they lie from 2.7 to 3.15 (DWARF of each; of the last two: headers). */
enum {
	OBJECT_REFCOUNT = 0,
	OBJECT_TYPE = 8,
	TYPE_NAME = 24,
	TYPE_BASIC_SIZE = 32,
	TYPE_FLAGS = 168,
	TYPE_DICT = 264,
	TYPE_READ = 272, /* bytes that hold all of these */
};

/* tp_flags of Include/object.h, the same in all versions; see also objects.h. */
enum {
	TYPE_FLAG_HEAP = 1 << 9,
	TYPE_FLAG_GC = 1 << 14,
};
#define TYPE_FLAG_DICT (1ULL << 29)
#define TYPE_FLAG_TYPE (1ULL << 31)

/* Where a dict keeps its entries. */
enum dict_kind {
	DICT_TABLE,	/* ma_table of {hash, key, value}: 2.7 */
	DICT_KEYS,	/* PyDictKeysObject with dk_size: 3.6 to 3.10 */
	DICT_KEYS_LOG2, /* with dk_log2_size, and entries without hash: 3.11 on */
};

/* Where the values of instance attributes are kept whose names are shared by the class. */
enum values_kind {
	VALUES_NONE,   /* 2.7 */
	VALUES_PLAIN,  /* ma_values, an array of pointers: 3.6 to 3.10 */
	VALUES_PREFIX, /* PyDictValues with bytes before the pointers: 3.11, 3.12 */
	VALUES_HEADER, /* with a header of four bytes: 3.13 on */
};

struct object_layout {
	int major, minor;
	uint32_t gc_head; /* sizeof(PyGC_Head) */
	/* Of tp_flags: either asks for two words before the GC header, for dict and weak list. */
	uint64_t preheader_flags;
	uint32_t heap_name;	/* PyHeapTypeObject.ht_name */
	uint32_t heap_qualname; /* .ht_qualname; 0: none */
	enum dict_kind dict;
	uint32_t dict_table;  /* PyDictObject.ma_keys, 2.7: .ma_table */
	uint32_t dict_values; /* .ma_values; 0: none */
	enum values_kind values;
	bool set_hash_first; /* setentry is {hash, key}: 2.7; else {key, hash} */
	/* A deque's block, Modules/_collectionsmodule.c: its size, and where the pointers begin. */
	uint32_t deque_block, deque_data;
	bool narrow_refcount; /* 32 bits; flags are beside it: 3.14 on */
};

/* The row for a version, or NULL. */
const struct object_layout *object_layout_find(int major, int minor);

#endif
