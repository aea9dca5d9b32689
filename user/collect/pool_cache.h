/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pools read one by one, for a look at blocks whose pools heap_index.h does not remember. */
#ifndef PYLEAK_COLLECT_POOL_CACHE_H
#define PYLEAK_COLLECT_POOL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/pools.h"
#include "proc/memory.h"

struct pool_cache; /* 1.2 MB */

/* Arguments are borrowed. */
struct pool_cache *pool_cache_new(const struct memory *memory,
				  const struct pool_geometry *geometry);
void pool_cache_free(struct pool_cache *cache); /* NULL is allowed */

/* The block as it is, or was when another block of its pool was asked for. POOL_GONE: there is no
 * such pool, or it cannot be read (any more). POOL_BLOCK_UNKNOWN: the pool is too busy. */
enum pool_block { POOL_GONE, POOL_BLOCK_UNKNOWN, POOL_BLOCK_FREE, POOL_BLOCK_LIVE };
enum pool_block pool_cache_look(struct pool_cache *cache, uint64_t block);

#endif
