/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in a block of the target's memory: an object of a type, or one of the tables that
 * objects keep outside of themselves, told by their structure. Where nothing fits the answer is
 * "unknown", never a guess. Costs at most a few reads.
 */
#ifndef PYLEAK_CPYTHON_BLOCK_CLASS_H
#define PYLEAK_CPYTHON_BLOCK_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "cpython/object_layout.h"
#include "cpython/types.h"
#include "proc/maps.h"
#include "proc/memory.h"

/* Bytes from the start of a block that are looked at, if it has so many. */
enum { BLOCK_CLASS_BYTES = 576 };

/* Borrowed pointers. */
struct classifier {
	const struct memory *memory;
	const struct python_facts *facts;
	const struct object_layout *layout;
	struct types *types;
	const struct maps *maps; /* what is an address */
	bool debug_hooks;	 /* PYTHONMALLOC=debug: every block is wrapped */
};

struct block_view {
	uint64_t address;
	uint64_t size;	      /* bytes that may be used */
	uint32_t slack;	      /* @size is less than so many bytes above what was asked for; 1: it
				 is just that */
	const uint8_t *bytes; /* the first of them, as read */
	size_t length;	      /* how many those are: @size, at most BLOCK_CLASS_BYTES */
};

struct block_class {
	/*
	 * A type's name (types.h), or one of the names below. Valid until the next
	 * types_begin_look().
	 */
	const char *name;
	/* 3.6 to 3.10: an array of pointers, and maybe the values of instance attributes. */
	bool maybe_values;
	/* 3.6 to 3.10: a dict that has such an array. */
	bool has_values;
};

/* What is no object. */
#define BLOCK_DICT_KEYS	  "dict keys"
#define BLOCK_DICT_VALUES "dict values"
#define BLOCK_LIST_ITEMS  "list items"
#define BLOCK_SET_TABLE	  "set table"
#define BLOCK_DEQUE_BLOCK "deque block"
#define BLOCK_ODICT_NODE  "OrderedDict node"
#define BLOCK_ODICT_INDEX "OrderedDict index"
#define BLOCK_NUMBERS	  "number block" /* 2.7: ints or floats, many in a block */
#define BLOCK_STR_DATA	  "str data"
#define BLOCK_TEXT	  "text buffer"
#define BLOCK_RAW	  "raw buffer"
#define BLOCK_RECYCLED	  "free list" /* a dead object kept for quick reuse */
#define BLOCK_UNKNOWN	  "unknown"

void block_classify(const struct classifier *classifier, const struct block_view *block,
		    struct block_class *found);

#endif
