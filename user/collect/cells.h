/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Survivors summed up for the estimate: by context and size class, with what tells how far the sums
 * may be off. Survivors do not come one by one: what was born in one window was seen together, so
 * the spread is that of whole bursts, not of blocks. Pure.
 */
#ifndef PYLEAK_COLLECT_CELLS_H
#define PYLEAK_COLLECT_CELLS_H

#include <stdint.h>
#include <glib.h>

#include "collect/snapshot.h"

struct cells;

struct cells *cells_new(void);
void cells_free(struct cells *cells);

/* A block that is still there. */
struct survivor {
	uint32_t context;
	uint32_t block_size; /* its size class, or 0 where blocks have any size */
	uint64_t size, born_ns;
	enum survivor_age age;
	/* burst_expected_ns() of the burst in which it was born; 0: it was born while all was seen;
	 * below 0: unknown. */
	double window_ns;
};

/* Adds @survivor, which stands for @weight (at least 1) like it. */
void cells_add(struct cells *cells, const struct survivor *survivor, double weight);

/* The sums, an array of struct sample_cell to g_array_unref(), in no order. */
GArray *cells_sum(const struct cells *cells);

#endif
