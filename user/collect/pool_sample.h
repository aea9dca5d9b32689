/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sample of the pools of a heap, for when to remember all would take too much, and what it says
 * of all. At level n one pool in 2^n is in the sample, chosen by a hash of its address: the sample
 * of a level is part of that of the level below, and what was in it stays in it. Pure.
 */
#ifndef PYLEAK_COLLECT_POOL_SAMPLE_H
#define PYLEAK_COLLECT_POOL_SAMPLE_H

#include <stdint.h>

#include "cpython/pools.h"

enum { POOL_MAX_LEVEL = 16 };

/* The highest level of which the pool at @address is in the sample: 0 to POOL_MAX_LEVEL. */
uint32_t pool_level(uint64_t address);

/* Blocks handed out in all pools, by the level of their pool (no level holds those of another) and
 * their size class. */
struct level_counts {
	uint64_t blocks[POOL_MAX_LEVEL + 1][POOL_MAX_CLASSES];
};

/*
 * From the blocks of sampled pools that are not of the baseline, to those of all pools: @counts of
 * @groups ages, as heap_index_count_new() has them, are scaled in place. How much each class has
 * grown is known of all pools, from @baseline and @now; only how many blocks of the baseline have
 * died since is taken from the sample, where @left of them live on. So what grows in a heap that
 * stays is known without error.
 */
void pool_sample_scale(uint32_t level, const struct level_counts *baseline,
		       const struct level_counts *now, const uint64_t *left, uint32_t groups,
		       uint64_t counts[][POOL_MAX_CLASSES]);

#endif
