/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: the bytes of pools, as pymalloc would leave them. */
#ifndef PYLEAK_TESTS_POOL_BYTES_H
#define PYLEAK_TESTS_POOL_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "cpython/pools.h"

enum { WIDE = 16384, NARROW = 4096, BASE = 0x40000000, HEADER = 48 };

extern const struct pool_geometry wide;	  /* 3.10 on */
extern const struct pool_geometry narrow; /* up to 3.6; 3.7 to 3.9 align to 16 */

void put32(uint8_t *bytes, size_t offset, uint32_t value);
void put64(uint8_t *bytes, size_t offset, uint64_t value);

/* A pool of blocks of @size bytes of which the first @carved were once handed out and all still
 * are. What the blocks hold is no pointer. */
void pool_full_up_to(uint8_t *bytes, const struct pool_geometry *geometry, uint32_t size,
		     uint32_t carved);
/* Puts block @index of the pool that stands at @address in front of the free list. */
void block_free(uint8_t *bytes, uint64_t address, uint32_t size, uint32_t index);

/* How many blocks @pool calls live. */
uint32_t live_count(const struct pool *pool);

#endif
