/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a process's memory is used, seen from outside: what is resident, and what of it the
 * allocators hold though no live block uses it.
 */
#ifndef PYLEAK_COLLECT_MEMORY_USE_H
#define PYLEAK_COLLECT_MEMORY_USE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/pools.h"
#include "proc/maps.h"
#include "proc/memory.h"

/* Bytes at one moment. */
struct memory_use {
	bool known; /* the process could be looked at */
	uint64_t rss_bytes;
	uint64_t private_bytes; /* of these, what no file stands behind: heaps, stacks, buffers */
	bool pymalloc_known;	/* it uses pymalloc, and its pools could be read */
	uint64_t pymalloc_held_bytes, pymalloc_used_bytes, pymalloc_free_bytes; /* pools.h */
	bool malloc_known; /* malloc is glibc's, and its heaps could be read */
	bool malloc_whole; /* to their ends; else there may be more free bytes */
	uint64_t malloc_held_bytes, malloc_free_bytes; /* glibc_heaps.h */
};

/* Measures malloc's heaps as often as costs little, and remembers them between. */
struct memory_meter {
	bool malloc_known, malloc_whole;
	uint64_t malloc_held_bytes, malloc_free_bytes;
	uint64_t first_free_bytes; /* malloc_free_bytes when they became known */
	uint64_t looked_ns;
	double seconds; /* that the last look took */
};

/*
 * Fills in @use what allocators hold. @pools: of a walk just made, or NULL. @is_glibc: malloc is
 * glibc's. The caller has filled rss and private bytes.
 */
void memory_meter_read(struct memory_meter *meter, const struct memory *memory,
		       const struct maps *maps, const struct pools_totals *pools, bool is_glibc,
		       uint64_t now_ns, struct memory_use *use);

/* By how much malloc_free_bytes has grown since the first look; 0: it is not known. */
int64_t memory_meter_free_growth(const struct memory_meter *meter);

/* What allocators hold that no live block uses: as far as is known. */
uint64_t memory_use_unused(const struct memory_use *use);
/* Private memory that is not known to be unused: objects, buffers, arrays, stacks. */
uint64_t memory_use_in_use(const struct memory_use *use);

#endif
