/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking into a dict of the target from outside. */
#ifndef PYLEAK_CPYTHON_DICT_H
#define PYLEAK_CPYTHON_DICT_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "cpython/object_layout.h"
#include "proc/memory.h"

/*
 * The value under the ASCII key @name of the dict at @dict, as an address. False where there is no
 * such key, or no readable dict. Dicts whose values lie elsewhere (instance attributes) have none;
 * of a very large dict only the first entries are looked at.
 */
bool dict_find(const struct memory *memory, const struct python_facts *facts,
	       const struct object_layout *layout, uint64_t dict, const char *name,
	       uint64_t *value);

/* What stands at the head of a dict's keys (PyDictKeysObject, 3.6 on). */
struct dict_keys {
	uint64_t slots;		/* a power of two */
	uint64_t entries;	/* that are in use, deleted ones included */
	uint64_t entries_start; /* bytes from the start of the keys */
	uint64_t entry_size;
	bool has_hash; /* entries are {hash, key, value}; else {key, value} */
	uint64_t size; /* bytes in all */
};

/* Bytes that dict_keys_parse() needs. */
enum { DICT_KEYS_HEADER = 40 };

/*
 * Takes the header apart. False unless it is consistent in itself; random memory hardly is. Never
 * for 2.7, which has no such thing.
 */
bool dict_keys_parse(const struct object_layout *layout, const uint8_t header[DICT_KEYS_HEADER],
		     struct dict_keys *keys);

#endif
