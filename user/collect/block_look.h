/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One look at a target's traced blocks: which of them still live, by what its allocators say, and
 * what each context holds. What the next look goes on from is the collector's (collector.h).
 */
#ifndef PYLEAK_COLLECT_BLOCK_LOOK_H
#define PYLEAK_COLLECT_BLOCK_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "collect/block_sample.h"
#include "collect/heap_index.h"
#include "collect/heap_look.h"
#include "collect/sampling.h"
#include "collect/snapshot.h"
#include "collect/survival.h"
#include "proc/maps.h"
#include "proc/process.h"
#include "trace/kernel_side.h"
#include "trace/tracer.h"

struct block_look {
	/* For the caller to fill in, borrowed; all else is 0. */
	const struct kernel_side *kernel;
	const struct traced *traced;
	const struct process *process;
	const struct pool_geometry *geometry; /* NULL: blocks of pymalloc are not traced */
	struct sampling *sampling;	      /* NULL: everything is traced */
	const struct checkpoint *checkpoint;  /* NULL: none yet */
	struct heap_index *last_heap;	      /* NULL: the heap has never been read */
	uint64_t last_heap_ns;		      /* when it was, or tracing began */
	uint64_t heap_bytes;		      /* that its index may take */
	uint64_t now_ns;		      /* when the look begins, CLOCK_MONOTONIC */
	uint64_t last_ns;		      /* when the last snapshot was taken; 0: none yet */

	/* What was found. */
	struct maps *maps;		  /* NULL: cannot be read (any more) */
	struct heap_look heap;		  /* its index is the caller's */
	uint8_t age_bounds[SURVIVOR_OLD]; /* of places in the heap: young, recent */
	uint64_t unchecked;		  /* blocks that could not be asked for, left out */
	uint64_t entries;		  /* in the kernel's table */
	const struct traced_context *totals;
	GArray *contexts; /* of struct snapshot_context, by id */
	struct block_sample *blocks;

	uint32_t began, young, checked_until, old; /* units of struct block's born */
};

/*
 * Reads the target's maps and heap, as long as it is there. Where @look->heap.index is not NULL
 * then it takes the place of @look->last_heap, which is freed. Memory younger than @min_age_s is to
 * be left out.
 */
void block_look_begin(struct block_look *look, double min_age_s);

/* Goes through the kernel's table and retires blocks that have died, see live_scan.h for @erase.
 * False and @error when it cannot be read. */
bool block_look_scan(struct block_look *look, bool erase, GError **error);

/* After a scan: hands the contexts and the sample of blocks over to @snapshot. */
void block_look_fill(struct block_look *look, struct snapshot *snapshot);

/* Frees what is the look's own, which @look->heap.index is not. */
void block_look_end(struct block_look *look);

#endif
