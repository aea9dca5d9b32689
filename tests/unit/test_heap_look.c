// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether traced blocks live, where walking the heap has not found their pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/heap_look.h"
#include "tests/unit/pool_heap.h"

enum { POOLS = 6, CARVED = 100, BEGAN = 1000, OLD = 10 };

/* A process with some pools. */
struct heap {
	struct process process; /* ours: it lives */
	struct target record;
	struct pool_heap *pools;
	struct heap_look look;
	uint32_t busy; /* the pool whose free list is torn whenever it is read; POOLS: none */
};

/* Of the heap that the test is about: the reader of memory knows it by where its base lies. */
static bool heap_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct heap *heap =
		(const void *)((const char *)memory - offsetof(struct heap, process.memory.base));
	uint64_t busy = pool_address(heap->busy);

	if (!memory_read(&heap->pools->memory.base, address, buffer, length))
		return false;
	if (busy >= address && busy + 16 <= address + length)
		put64((uint8_t *)buffer + (busy - address), 8, 1);
	return true;
}

/* The first and the third pool are in use. */
static struct heap *heap_new(void)
{
	struct heap *heap = g_new0(struct heap, 1);

	heap->process.memory.base.read = heap_read;
	heap->process.pidfd = -1;
	heap->process.pid = getpid();
	heap->busy = POOLS;
	heap->pools = pool_heap_new(POOLS);
	set_pool(heap->pools, 0, CARVED);
	set_pool(heap->pools, 2, CARVED);
	return heap;
}

static void heap_free(struct heap *heap)
{
	heap_look_end(&heap->look);
	heap_index_free(heap->look.index);
	pool_heap_free(heap->pools);
	g_free(heap);
}

static void begin(struct heap *heap)
{
	heap_look_begin(&heap->look, &heap->process, &heap->record, &wide, BEGAN);
	heap->look.index = heap_index_read(&heap->process.memory.base, heap->pools->maps, &wide,
					   NULL, UINT64_MAX);
	assert_non_null(heap->look.index);
}

static enum heap_block look_at(struct heap *heap, uint32_t pool, uint32_t block, uint32_t born)
{
	uint8_t age;

	return heap_look_at(&heap->look, block_address(pool, block), PYLEAK_TAG(1, born), 1, &age);
}

static void what_was_freed_is_dead(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	free_block(heap->pools, 0, 7);
	begin(heap);
	assert_int_equal(look_at(heap, 0, 6, OLD), HEAP_BLOCK_THERE);
	assert_int_equal(look_at(heap, 0, 7, OLD), HEAP_BLOCK_DEAD);
	assert_int_equal(look_at(heap, 1, 6, OLD), HEAP_BLOCK_DEAD);
	assert_int_equal(look_at(heap, 1, 6, BEGAN + 1), HEAP_BLOCK_NOT_FOUND);
	assert_int_equal(heap->look.seen, 1);
	heap_free(heap);
}

/* It was not in the mappings that were read, or not yet populated. */
static void a_pool_that_the_walk_missed_is_read_once_more(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	heap->pools->maps->items[0].end = BASE + 2 * WIDE;
	free_block(heap->pools, 2, 7);
	begin(heap);
	assert_int_equal(look_at(heap, 0, 6, OLD), HEAP_BLOCK_THERE);
	assert_int_equal(look_at(heap, 2, 6, OLD), HEAP_BLOCK_THERE);
	assert_int_equal(look_at(heap, 2, 7, OLD), HEAP_BLOCK_DEAD);
	assert_int_equal(look_at(heap, 3, 6, OLD), HEAP_BLOCK_DEAD);
	heap_free(heap);
}

/* All of its blocks were declared dead once, whatever lived in it. */
static void blocks_of_a_pool_too_busy_to_be_read_live(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	heap->busy = 2;
	begin(heap);
	assert_false(heap_index_has_pool(heap->look.index, block_address(2, 6)));
	assert_int_equal(look_at(heap, 2, 6, OLD), HEAP_BLOCK_THERE);
	assert_int_equal(look_at(heap, 0, 6, OLD), HEAP_BLOCK_THERE);
	assert_int_equal(look_at(heap, 3, 6, OLD), HEAP_BLOCK_DEAD);
	heap_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_freed_is_dead),
		cmocka_unit_test(a_pool_that_the_walk_missed_is_read_once_more),
		cmocka_unit_test(blocks_of_a_pool_too_busy_to_be_read_live),
	};

	return cmocka_run_group_tests_name("heap look", tests, NULL, NULL);
}
