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

/*
 * Adds a block of @size bytes, born at @born_ns, that stands for @weight (at least 1) like it.
 * @block_size: its size class, or 0 where blocks have any size.
 */
void cells_add(struct cells *cells, uint32_t context, uint32_t block_size, uint64_t size,
	       double weight, uint64_t born_ns);

/* The sums, an array of struct sample_cell to g_array_unref(), in no order. */
GArray *cells_sum(const struct cells *cells);

#endif
