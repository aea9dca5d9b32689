/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What heap_index.h remembers of one pool: which blocks live, for how long, and which were
 * accounted for. */
#ifndef PYLEAK_COLLECT_POOL_ENTRY_H
#define PYLEAK_COLLECT_POOL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/pools.h"

/* Ages, in units that the caller chooses. */
enum { HEAP_AGE_MOST = 254, HEAP_AGE_BASELINE = 255 };

struct pool_entry {
	uint64_t address; /* first: it is the entry's key */
	uint32_t block_size, capacity, words;
	uint8_t age;	 /* of all its live blocks, unless: */
	uint8_t *ages;	 /* a byte a block; NULL: they are all of one age, as nearly always */
	uint64_t bits[]; /* words of live, then words of marked */
};

/* Of age 0, nothing marked. */
struct pool_entry *pool_entry_new(const struct pool *pool);
void pool_entry_free(void *entry); /* fits GDestroyNotify */
/* What it takes, a place in a hash table and what malloc needs for itself included. */
uint64_t pool_entry_bytes(const struct pool_entry *entry);

/* The number of the live block at @block, an address in the pool; false when there is none. */
bool pool_entry_find(const struct pool_entry *entry, uint64_t block, uint32_t *number);
bool pool_entry_is_live(const struct pool_entry *entry, uint32_t number);
uint8_t pool_entry_age(const struct pool_entry *entry, uint32_t number);
void pool_entry_mark(struct pool_entry *entry, uint32_t number);
/* Of @word's 64 blocks those that live and are not marked, a bit each. */
uint64_t pool_entry_unmarked(const struct pool_entry *entry, uint32_t word);
uint64_t pool_entry_block(const struct pool_entry *entry, uint32_t number); /* its address */

void pool_entry_set_baseline(struct pool_entry *entry);
/* @age and @passed more. The baseline stays what it is. */
uint8_t pool_age_after(uint8_t age, uint32_t passed);
/* Gives the blocks of @entry, of age 0, the ages that they had in @before and @passed more. */
void pool_entry_follow(struct pool_entry *entry, const struct pool_entry *before, uint32_t passed);

#endif
