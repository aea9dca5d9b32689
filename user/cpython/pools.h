/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pymalloc's pools, read from outside: which blocks are free, and which pools there are. Source:
 * Objects/obmalloc.c, struct pool_header, the same from CPython 2.7 to 3.15. The target runs on
 * while it is read, so every structure may be torn: free lists are walked with a bound, and a pool
 * that makes no sense is skipped.
 */
#ifndef PYLEAK_CPYTHON_POOLS_H
#define PYLEAK_CPYTHON_POOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "proc/maps.h"
#include "proc/memory.h"

enum { POOL_MAX_BLOCKS = 2048, POOL_MAX_CLASSES = 64 };

struct pool_geometry {
	uint32_t pool_size; /* 4096 or 16384 */
	uint32_t alignment; /* 8 or 16 */
};

/* One pool as it stood at one moment. */
struct pool {
	uint64_t address;
	uint32_t block_size; /* bytes */
	uint32_t capacity;   /* blocks */
	uint32_t used;	     /* ref.count as read */
	uint64_t live[POOL_MAX_BLOCKS /
		      64]; /* bit i: block i (at address + 48 + i * block_size) is handed out */
};

/*
 * Parses the @geometry->pool_size bytes of a pool read at @address. False unless it is a consistent
 * pool header (class, counts, bounds, alignment) and its free list stays within it and ends within
 * capacity steps. A pool whose free list and count disagree (torn) is accepted when they differ by
 * no more than @slack blocks.
 */
bool pool_parse(const struct pool_geometry *geometry, uint64_t address, const uint8_t *bytes,
		uint32_t slack, struct pool *pool);
bool pool_block_is_live(const struct pool *pool, uint64_t block);

/*
 * Reads every pool of the process: of each anonymous rw mapping what is populated, each
 * pool-aligned address that looks like a pool. Calls @visit for each, in ascending order of
 * address; the pool is borrowed for the call. A false return ends the walk. Returns the number of
 * pools, or -1 when nothing could be read.
 */
typedef bool (*pool_visit)(const struct pool *pool, void *context);
int64_t pools_walk(const struct memory *memory, const struct maps *maps,
		   const struct pool_geometry *geometry, pool_visit visit, void *context);

/* What pymalloc holds, as a walk found it. */
struct pools_totals {
	uint64_t pools_in_use;
	uint64_t pools;	     /* also those that are free again */
	uint64_t held_bytes; /* whole arenas, with what was never touched of them */
	uint64_t used_bytes; /* blocks handed out */
	/* Free blocks of pools in use, and free pools: memory that was touched and serves nothing.
	 */
	uint64_t free_bytes;
};
/* The same, with a sum. Pools too busy to be visited are in @totals. */
int64_t pools_walk_totals(const struct memory *memory, const struct maps *maps,
			  const struct pool_geometry *geometry, pool_visit visit, void *context,
			  struct pools_totals *totals);

/*
 * How many blocks of each size class, (i + 1) x alignment bytes large, are handed out, by the
 * headers of the pools alone, which costs far less than a walk. False when nothing could be read.
 */
bool pools_count_blocks(const struct memory *memory, const struct maps *maps,
			const struct pool_geometry *geometry, uint64_t blocks[POOL_MAX_CLASSES]);

/* Reads one pool. POOL_BUSY: there is one, but its free list moved at each of several attempts. */
enum pool_reading { POOL_NOT_THERE, POOL_BUSY, POOL_READ };
enum pool_reading pool_read(const struct memory *memory, const struct pool_geometry *geometry,
			    uint64_t address, struct pool *pool);

#endif
