/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One look at the target's pymalloc heap: which of the traced blocks live. */
#ifndef PYLEAK_COLLECT_HEAP_LOOK_H
#define PYLEAK_COLLECT_HEAP_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"
#include "collect/heap_index.h"
#include "collect/pool_cache.h"
#include "proc/process.h"

struct heap_look {
	const struct process *process;
	const struct target *record;
	const struct pool_geometry *geometry;
	uint32_t began; /* in units of struct block's born */
	/* What was on its way out of the allocator when the heap was about to be read: the key of a
	 * block that may not have left its free list yet, the tag of one whose pool may not have
	 * been there (the slow path's; 0: none). */
	uint64_t in_flight, in_flight_slow;
	struct heap_index *index;  /* NULL: cannot be read (any more), or no pymalloc */
	struct pool_cache *others; /* of pools that @index does not have; NULL: none was needed */
	uint64_t seen;		   /* live blocks that were asked for, in the sample of @index */
};

/* Notes what is in flight. To be called before the heap is read. @process, @record (the kernel
 * side's) and @geometry are borrowed; @began: when the look began. */
void heap_look_begin(struct heap_look *look, const struct process *process,
		     const struct target *record, const struct pool_geometry *geometry,
		     uint32_t began);
/* Frees what is the look's own: not @index. */
void heap_look_end(struct heap_look *look);

/*
 * Whether a traced block still lives; a look with an index only. @age: for how long, in the index's
 * units. @place_age: of its place, if it is there. A block that is on its way out of the allocator,
 * or was born since the look began, lives though it cannot be found. So does one that could not be
 * asked for since the process has gone meanwhile. That a walk missed a block's pool proves nothing:
 * the pool is read once more, and one that moves too fast to be read has all its blocks.
 */
enum heap_block { HEAP_BLOCK_DEAD, HEAP_BLOCK_NOT_FOUND, HEAP_BLOCK_THERE };
enum heap_block heap_look_at(struct heap_look *look, uint64_t address, uint64_t tag, uint32_t age,
			     uint8_t *place_age);

/*
 * The last allocation by pymalloc's slow path, if it is not accounted for yet, in the way
 * bpf/pymalloc.h says: 0, or the address of the block and its size.
 */
uint64_t heap_look_pending(const struct heap_look *look, const struct pending_slow_path *pending,
			   uint32_t *size);

#endif
