/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was true of one target at one moment, read from the kernel's maps and the target's memory.
 * Immutable once made; no kernel is needed to use it, so analysis runs on recorded ones.
 */
#ifndef PYLEAK_COLLECT_SNAPSHOT_H
#define PYLEAK_COLLECT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "collect/block_sample.h"
#include "collect/memory_use.h"

enum family_mode { FAMILY_MODE_OFF, FAMILY_MODE_SAMPLED, FAMILY_MODE_EXACT };

/* One context: a stack and an allocator family. */
struct snapshot_context {
	uint32_t id; /* names the context while the trace lasts; symbolize/ knows its stack */
	enum family family;
	int64_t live_blocks, live_bytes; /* outstanding: allocated since attach, not yet freed (and
					    old enough for --min-age) */
	/* All that was seen to be allocated since attach, but in focused windows (trace/focus.h).
	 */
	uint64_t alloc_blocks, alloc_bytes;
	uint64_t oldest_born_ns; /* CLOCK_MONOTONIC; 0 when nothing is outstanding */
	bool estimated; /* live_* are estimates (estimate.h), and the true bytes lie between the two
			   with 95 %: */
	double live_bytes_low, live_bytes_high;
	uint64_t old_alloc_blocks, old_live_blocks; /* allocated at least @survival_age_ns ago; and
						       of those, still there */
	/* What its live blocks stand for, and of those the old ones: sums of weights as in struct
	 * sample_cell. 0, 0: not known. A recorded snapshot, whose estimates are made, has none. */
	double live_weight, old_live_weight;
};

/*
 * How old a survivor is. Young ones are not all what they seem: where one block took the place of
 * another unseen, and looks like it, it takes some looks and windows to find out. Recent ones were
 * born in as long a time as young ones, just before.
 */
enum survivor_age { SURVIVOR_YOUNG, SURVIVOR_RECENT, SURVIVOR_OLD, SURVIVOR_AGES };

/*
 * Blocks of a context that windows saw being born and that live on, by age and size class. A block
 * counts 1 / (fraction of the target's time that was seen when it was born).
 */
struct sample_cell {
	uint32_t context;
	enum survivor_age age;
	uint32_t block_size;   /* of the size class in pymalloc; 0 for the other families, whose
				  blocks have any size */
	uint64_t blocks, size; /* as they were seen: how many, and their bytes */
	double weight, bytes;  /* sums over the blocks: of weights, of weight x size */
	/*
	 * Sums over bursts, which is what was born in one window, each less what is certain: of the
	 * square of its weight here, of that times its weight in all contexts of the size class, of
	 * the square of its bytes.
	 */
	double weight_squares, weight_products, byte_squares;
};

enum { SNAPSHOT_MAX_CLASSES = 64 };

struct snapshot {
	uint64_t taken_ns;    /* CLOCK_MONOTONIC */
	uint64_t attached_ns; /* when tracing began, same clock */
	int64_t time_us;      /* wall clock, since the epoch */
	uint64_t survival_age_ns;
	uint64_t rss_bytes, rss_at_attach_bytes;
	struct memory_use memory;
	uint32_t threads;
	double overhead_pct;
	double budget_scale; /* part of the budget that the host has time for, 0 to 1 */
	struct {
		enum family_mode mode;
		double observed_fraction;
		uint64_t windows, allocs, frees;
	} families[FAMILY_COUNT];
	uint64_t lost[LOST_COUNT];
	double coverage; /* -1: not known */
	uint64_t coverage_blocks;
	/* One in 2^heap_level of pymalloc's pools is remembered (heap_index.h): @coverage is of
	 * their blocks, @class_blocks are estimates of all. */
	uint32_t heap_level;
	/*
	 * Since attach: growth of resident memory that no file stands behind, and of pymalloc's
	 * pools. What the difference leaves over is malloc's and mmap's.
	 */
	int64_t private_growth_bytes, pool_growth_bytes;
	/* Growth of what malloc holds unused, since it was first looked at. 0: not known. */
	int64_t malloc_free_growth_bytes;
	/*
	 * Of the time in bursts on malloc, the fraction that was the target's own. Small: it was
	 * nearly all spent on tracing, and the time observed is little more than a guess. 1:
	 * nothing was sampled.
	 */
	double malloc_own_share;
	/*
	 * The cyclic garbage collector (garbage.h): whether anything is known of it; it ran later
	 * than gc_collected_ns (CLOCK_MONOTONIC; 0: not since attach); how many objects that it
	 * watches over have been made since it ran, or since attach, less those that were freed.
	 */
	bool gc_known, gc_enabled;
	uint64_t gc_collected_ns;
	uint32_t gc_young;
	GArray *contexts;	     /* of struct snapshot_context */
	struct block_sample *blocks; /* live blocks to look into while the target is there; NULL in
					a recorded one */
	GArray *cells; /* of struct sample_cell, for families that are sampled; NULL when all is
			  exact */
	/*
	 * pymalloc blocks that live now and did not at attach, by age and size class, counted from
	 * outside: all there are, seen or not. The age is that of the place, which may have been
	 * handed on.
	 */
	uint32_t class_step; /* bytes from one class to the next: class i holds blocks of (i + 1) x
				class_step */
	uint64_t class_blocks[SURVIVOR_AGES][SNAPSHOT_MAX_CLASSES];
};

void snapshot_free(struct snapshot *snapshot);

#endif
