/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a pool as it lies in memory. Used inside cpython/ by pools.c and pools_walk.c. */
#ifndef PYLEAK_CPYTHON_POOL_HEADER_H
#define PYLEAK_CPYTHON_POOL_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/pools.h"

/* struct pool_header of Objects/obmalloc.c, CPython 2.7 to 3.15, 64-bit. */
struct pool_header {
	uint32_t count; /* ref.count: blocks handed out */
	uint32_t padding;
	uint64_t freeblock;
	uint64_t nextpool, prevpool;
	uint32_t arenaindex;
	uint32_t szidx;
	uint32_t nextoffset;	/* of the first block never handed out */
	uint32_t maxnextoffset; /* of the last block */
};
G_STATIC_ASSERT(sizeof(struct pool_header) == PYLEAK_POOL_HEADER_SIZE);

struct pool_shape {
	uint32_t block_size;
	uint32_t capacity;
	uint32_t carved; /* blocks below nextoffset: those that were ever handed out or put on the
			    free list */
};

bool pool_geometry_is_sane(const struct pool_geometry *geometry);

/* Whether a pool in use or a freed one (which keeps its header) begins with @header. */
bool pool_header_shape(const struct pool_geometry *geometry, const struct pool_header *header,
		       struct pool_shape *shape);

#endif
