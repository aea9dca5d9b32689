/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pools of a process as they stood at one moment, by address: answers whether a block is handed
 * out, and keeps track of which blocks were accounted for. Where all pools would take too much it
 * has a sample of them (pool_sample.h); sums are of all pools even so.
 */
#ifndef PYLEAK_COLLECT_HEAP_INDEX_H
#define PYLEAK_COLLECT_HEAP_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "collect/pool_entry.h"
#include "cpython/pools.h"
#include "proc/maps.h"
#include "proc/memory.h"

struct heap_index;

/*
 * Reads the heap. @before is the index that this one is to follow, or NULL: no pool is in the
 * sample that is not in that one's. The index, with what it remembers of the one before, takes
 * @most_bytes at most: whenever it would take more, every second pool goes. NULL when nothing could
 * be read. An index without pools is not NULL.
 */
struct heap_index *heap_index_read(const struct memory *memory, const struct maps *maps,
				   const struct pool_geometry *geometry,
				   const struct heap_index *before, uint64_t most_bytes);
void heap_index_free(struct heap_index *index);

/* One pool in 2^level is in the sample: 0 means all. */
uint32_t heap_index_level(const struct heap_index *index);
/* Whether the block's pool is in the index: not if it was not there, too busy to be read or, of a
 * sample, left out. */
bool heap_index_has_pool(const struct heap_index *index, uint64_t block);

bool heap_index_is_live(const struct heap_index *index, uint64_t block);
/*
 * Marks a live block as accounted for and tells its age (may be NULL), see heap_index_follow().
 * False when it is not live in @index.
 */
bool heap_index_mark(struct heap_index *index, uint64_t block, uint8_t *age);

/* Of all pools: */
uint64_t heap_index_blocks(const struct heap_index *index); /* handed out */
uint64_t heap_index_bytes(const struct heap_index *index);
uint64_t
heap_index_pool_bytes(const struct heap_index *index); /* of the pools in use, full or not */

/*
 * By how many bytes the blocks of each size class have grown since the baseline (may be negative);
 * zeros where there is none. Of all pools.
 */
void heap_index_class_growth(const struct heap_index *index, int64_t bytes[POOL_MAX_CLASSES]);
/* The same as of this moment: reads all pools, and costs a third of a new index. False where
 * nothing could be read. */
bool heap_index_class_growth_now(const struct heap_index *index, const struct memory *memory,
				 const struct maps *maps, int64_t bytes[POOL_MAX_CLASSES]);

/* What the index takes itself: about 100 bytes for a pool of 16 KiB, and a byte for each of its
 * blocks as long as their ages differ. */
uint64_t heap_index_own_bytes(const struct heap_index *index);

/* What pymalloc holds and uses. */
const struct pools_totals *heap_index_totals(const struct heap_index *index);

/*
 * The age of a place: for how long, in units that the caller chooses, every index has found it
 * handed out, be it to one block or to several in turn.
 */

/* Everything in @index has lived before anything was counted. */
void heap_index_set_baseline(struct heap_index *index);

/*
 * Gives the blocks of @index, just read and of age 0, the ages that they had in @before and @passed
 * more, up to HEAP_AGE_MOST; what was not live there is new. Those of the baseline stay so. A pool
 * that only @before has is remembered until the next time: pools too busy to be read are left out
 * of an index (pools_walk()). Frees @before.
 */
void heap_index_follow(struct heap_index *index, struct heap_index *before, uint32_t passed);

/* The age of a place that was free until a block was born there @since units ago: since the first
 * look that could find it. */
uint8_t heap_index_age_of_new(const struct heap_index *index, uint32_t since);

/* Calls @visit for each live block of the sample that is neither marked nor of the baseline. */
typedef void (*block_visit)(void *context, uint64_t block, uint32_t block_size);
void heap_index_each_unmarked(const struct heap_index *index, block_visit visit, void *context);

/*
 * Counts the live blocks that are not of the baseline, by age and size class: @counts[i][j] those
 * of (j + 1) x alignment bytes whose age is below @bounds[i] and not below the bound before; of the
 * last of @groups all the rest. Where the index has a sample of the pools these are estimates.
 */
void heap_index_count_new(const struct heap_index *index, const uint8_t *bounds, uint32_t groups,
			  uint64_t counts[][POOL_MAX_CLASSES]);

#endif
