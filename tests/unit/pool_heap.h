/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: a heap of pools in one mapping from BASE on, of which those that are set are in use.
 * Failures fail the test. */
#ifndef PYLEAK_TESTS_POOL_HEAP_H
#define PYLEAK_TESTS_POOL_HEAP_H

#include "collect/heap_index.h"
#include "tests/unit/pool_bytes.h"

/* Of a block, and how many a pool has room for. */
enum { SIZE = 64, CAPACITY = (WIDE - HEADER) / SIZE };

struct pool_heap {
	struct image_memory memory;
	struct maps *maps;
	uint8_t *bytes;
};

struct pool_heap *pool_heap_new(uint32_t pools);
void pool_heap_free(struct pool_heap *heap);

uint64_t pool_address(uint32_t pool);
uint64_t block_address(uint32_t pool, uint32_t block);
uint8_t *pool_bytes(struct pool_heap *heap, uint32_t pool);

/* The first @carved blocks of @pool are handed out. */
void set_pool(struct pool_heap *heap, uint32_t pool, uint32_t carved);
void free_block(struct pool_heap *heap, uint32_t pool, uint32_t block);

/* Blocks of @size bytes that are not of the baseline, however old. */
uint64_t count_new(const struct heap_index *index, uint32_t size);

#endif
