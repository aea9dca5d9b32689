/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All pools of a process as they stood at one moment, by address: answers whether a block is handed
 * out, and keeps track of which blocks were accounted for.
 */
#ifndef PYLEAK_COLLECT_HEAP_INDEX_H
#define PYLEAK_COLLECT_HEAP_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/pools.h"
#include "proc/maps.h"
#include "proc/memory.h"

struct heap_index;

/* Reads the heap. NULL when nothing could be read. An index without pools is not NULL. */
struct heap_index *heap_index_read(const struct memory *memory, const struct maps *maps,
				   const struct pool_geometry *geometry);
void heap_index_free(struct heap_index *index);

bool heap_index_is_live(const struct heap_index *index, uint64_t block);
/* Marks a live block as accounted for. False when it is not live in @index. */
bool heap_index_mark(struct heap_index *index, uint64_t block);

uint64_t heap_index_blocks(const struct heap_index *index); /* handed out */
uint64_t heap_index_bytes(const struct heap_index *index);
uint64_t
heap_index_pool_bytes(const struct heap_index *index); /* of the pools in use, full or not */

/* Calls @visit for each live block that is neither marked nor live in @baseline (may be NULL). */
typedef void (*block_visit)(void *context, uint64_t block, uint32_t block_size);
void heap_index_each_unmarked(const struct heap_index *index, const struct heap_index *baseline,
			      block_visit visit, void *context);

/*
 * Counts the live blocks that are not live in @baseline (may be NULL) by size class: @counts[i]
 * those of (i + 1) x alignment bytes.
 */
void heap_index_count_new(const struct heap_index *index, const struct heap_index *baseline,
			  uint64_t counts[POOL_MAX_CLASSES]);

/*
 * Forgets of @baseline what is no longer live in @index: such a block, when live again, is a new
 * one. A pool that is missing is forgotten when it is missing the second time in a row: pools too
 * busy to be read are left out of an index (pools_walk()).
 */
void heap_index_intersect(struct heap_index *baseline, const struct heap_index *index);

#endif
