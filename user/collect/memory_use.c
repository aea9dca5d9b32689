// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/memory_use.h"

#include <glib.h>

#include "collect/glibc_heaps.h"

/* Walking through malloc's heaps may take this share of one processor: they may be gigabytes. */
static const double WALK_SHARE = 0.01;
static const double WALK_SECONDS = 1;

static void walk_heaps(struct memory_meter *meter, const struct memory *memory,
		       const struct maps *maps, uint64_t now_ns)
{
	gint64 began_us = g_get_monotonic_time();
	struct glibc_heaps heaps;
	bool first = !meter->malloc_known;

	meter->malloc_known = glibc_heaps_walk(memory, maps, &heaps);
	meter->malloc_whole = heaps.complete;
	meter->malloc_held_bytes = heaps.held_bytes;
	meter->malloc_free_bytes = heaps.free_bytes;
	if (first)
		meter->first_free_bytes = heaps.free_bytes;
	meter->looked_ns = now_ns;
	meter->seconds = (g_get_monotonic_time() - began_us) / 1e6;
}

void memory_meter_read(struct memory_meter *meter, const struct memory *memory,
		       const struct maps *maps, const struct pools_totals *pools, bool is_glibc,
		       uint64_t now_ns, struct memory_use *use)
{
	double pause = MAX(meter->seconds / WALK_SHARE, WALK_SECONDS);

	use->known = true;
	use->pymalloc_known = pools && pools->pools;
	if (use->pymalloc_known) {
		use->pymalloc_held_bytes = pools->held_bytes;
		use->pymalloc_used_bytes = pools->used_bytes;
		use->pymalloc_free_bytes = pools->free_bytes;
	}
	if (is_glibc && (!meter->looked_ns || (now_ns - meter->looked_ns) / 1e9 >= pause))
		walk_heaps(meter, memory, maps, now_ns);
	use->malloc_known = is_glibc && meter->malloc_known;
	if (use->malloc_known) {
		use->malloc_whole = meter->malloc_whole;
		use->malloc_held_bytes = meter->malloc_held_bytes;
		use->malloc_free_bytes = meter->malloc_free_bytes;
	}
}

int64_t memory_meter_free_growth(const struct memory_meter *meter)
{
	if (!meter->malloc_known)
		return 0;
	return (int64_t)(meter->malloc_free_bytes - meter->first_free_bytes);
}

uint64_t memory_use_unused(const struct memory_use *use)
{
	return MIN(use->pymalloc_free_bytes + use->malloc_free_bytes, use->private_bytes);
}

uint64_t memory_use_in_use(const struct memory_use *use)
{
	return use->private_bytes - memory_use_unused(use);
}
