// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/pool_sample.h"

#include <math.h>
#include <glib.h>

uint32_t pool_level(uint64_t address)
{
	/* splitmix64's finisher (Steele, Lea, Flood 2014). */
	uint64_t hash = address * 0x9e3779b97f4a7c15ULL;

	hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ULL;
	hash = (hash ^ hash >> 27) * 0x94d049bb133111ebULL;
	hash ^= hash >> 31;
	return __builtin_ctzll(hash | 1ULL << POOL_MAX_LEVEL);
}

/* In the pools that are in the sample of @level. */
static uint64_t blocks_from(const struct level_counts *counts, uint32_t level, uint32_t size_class)
{
	uint64_t blocks = 0;

	for (; level <= POOL_MAX_LEVEL; level++)
		blocks += counts->blocks[level][size_class];
	return blocks;
}

static void scale_class(uint32_t groups, uint64_t counts[][POOL_MAX_CLASSES], uint32_t size_class,
			double all)
{
	uint64_t seen = 0;

	for (uint32_t group = 0; group < groups; group++)
		seen += counts[group][size_class];
	all = MAX(all, (double)seen);
	/* Nobody knows how old they are: what counts least is to be young. */
	if (!seen)
		counts[0][size_class] = llround(all);
	for (uint32_t group = 0; seen && group < groups; group++)
		counts[group][size_class] = llround(all / seen * counts[group][size_class]);
}

void pool_sample_scale(uint32_t level, const struct level_counts *baseline,
		       const struct level_counts *now, const uint64_t *left, uint32_t groups,
		       uint64_t counts[][POOL_MAX_CLASSES])
{
	for (uint32_t i = 0; level && i < POOL_MAX_CLASSES; i++) {
		double growth = (double)blocks_from(now, 0, i) - blocks_from(baseline, 0, i);
		double died = (double)blocks_from(baseline, level, i) - left[i];

		scale_class(groups, counts, i, growth + died * (1u << level));
	}
}
