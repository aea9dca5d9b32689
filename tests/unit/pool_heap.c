// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/pool_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct pool_heap *pool_heap_new(uint32_t pools)
{
	struct pool_heap *heap = g_new0(struct pool_heap, 1);
	size_t length = (size_t)pools * WIDE;
	g_autofree char *map =
		g_strdup_printf("%x-%zx rw-p 00000000 00:00 0 \n", BASE, BASE + length);

	heap->bytes = g_malloc0(length);
	image_memory_init(&heap->memory, BASE, heap->bytes, length);
	heap->maps = maps_parse(map);
	assert_int_equal(heap->maps->count, 1);
	return heap;
}

void pool_heap_free(struct pool_heap *heap)
{
	maps_free(heap->maps);
	g_free(heap->bytes);
	g_free(heap);
}

uint64_t pool_address(uint32_t pool)
{
	return BASE + (uint64_t)pool * WIDE;
}

uint64_t block_address(uint32_t pool, uint32_t block)
{
	return pool_address(pool) + HEADER + (uint64_t)block * SIZE;
}

uint8_t *pool_bytes(struct pool_heap *heap, uint32_t pool)
{
	return heap->bytes + (size_t)pool * WIDE;
}

void set_pool(struct pool_heap *heap, uint32_t pool, uint32_t carved)
{
	pool_full_up_to(pool_bytes(heap, pool), &wide, SIZE, carved);
}

void free_block(struct pool_heap *heap, uint32_t pool, uint32_t block)
{
	block_free(pool_bytes(heap, pool), pool_address(pool), SIZE, block);
}

uint64_t count_new(const struct heap_index *index, uint32_t size)
{
	uint64_t counts[1][POOL_MAX_CLASSES];

	heap_index_count_new(index, NULL, 1, counts);
	return counts[0][size / 16 - 1];
}
