/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What glibc's malloc holds and does not use, read from outside: its heaps are chains of chunks,
 * and a chunk says whether the one before it is free. Source: malloc/malloc.c and arena.c of
 * glibc 2.31 to 2.40, 64-bit. The process runs on meanwhile: a chain that breaks is given up from
 * there on.
 *
 * Free chunks in the threads' caches and the fast bins (at most 1 KiB and 128 bytes each) look like
 * used ones here. Large blocks are mappings of their own, which go back to the kernel when freed.
 */
#ifndef PYLEAK_COLLECT_GLIBC_HEAPS_H
#define PYLEAK_COLLECT_GLIBC_HEAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/maps.h"
#include "proc/memory.h"

struct glibc_heaps {
	uint32_t heaps;	     /* the program break and what other arenas have */
	uint64_t held_bytes; /* resident, of all heaps */
	uint64_t free_bytes; /* resident, in free chunks: at least that much */
	uint64_t read_bytes; /* what the walk cost */
	bool complete;	     /* every chain was followed to its end */
};

/* False when there is no heap of glibc's, or nothing could be read. */
bool glibc_heaps_walk(const struct memory *memory, const struct maps *maps,
		      struct glibc_heaps *sums);

#endif
