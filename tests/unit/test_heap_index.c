// SPDX-License-Identifier: GPL-2.0-or-later
/* The heap of pools as one index: which blocks live, which were accounted for, which are new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "tests/unit/pool_heap.h"

enum { POOLS = 4, CARVED = 100 };

/* A target with room for four pools; two are of 100 blocks. */
static struct pool_heap *heap_new(void)
{
	struct pool_heap *heap = pool_heap_new(POOLS);

	set_pool(heap, 0, CARVED);
	set_pool(heap, 2, CARVED);
	return heap;
}

static struct heap_index *read_heap(struct pool_heap *heap)
{
	struct heap_index *index =
		heap_index_read(&heap->memory.base, heap->maps, &wide, NULL, UINT64_MAX);

	assert_non_null(index);
	return index;
}

static void handed_out_blocks_are_live_and_nothing_else(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index;

	(void)state;
	free_block(heap, 0, 7);
	index = read_heap(heap);
	assert_int_equal(heap_index_blocks(index), 2 * CARVED - 1);
	assert_int_equal(heap_index_bytes(index), (2 * CARVED - 1) * SIZE);
	assert_int_equal(heap_index_pool_bytes(index), 2 * WIDE);
	for (uint32_t block = 0; block < CAPACITY; block++)
		assert_int_equal(heap_index_is_live(index, block_address(0, block)),
				 block < CARVED && block != 7);
	assert_false(heap_index_is_live(index, block_address(0, 3) + 16));
	assert_false(heap_index_is_live(index, pool_address(0)));
	assert_false(heap_index_is_live(index, pool_address(0) + 16));
	assert_false(heap_index_is_live(index, block_address(1, 0)));
	assert_false(heap_index_is_live(index, block_address(0, 255)));
	assert_false(heap_index_is_live(index, 0));
	assert_false(heap_index_is_live(index, UINT64_MAX));
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_heap_that_cannot_be_read_is_none_and_one_without_pools_is(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index;

	(void)state;
	memset(heap->bytes, 0, POOLS * WIDE);
	index = read_heap(heap);
	assert_int_equal(heap_index_blocks(index), 0);
	assert_int_equal(heap_index_bytes(index), 0);
	heap_index_free(index);
	heap->memory.length = 0;
	assert_null(heap_index_read(&heap->memory.base, heap->maps, &wide, NULL, UINT64_MAX));
	heap_index_free(NULL);
	pool_heap_free(heap);
}

struct visited {
	uint32_t blocks;
	uint64_t last, bytes;
};

static void visit(void *context, uint64_t block, uint32_t block_size)
{
	struct visited *visited = context;

	visited->blocks++;
	visited->last = block;
	visited->bytes += block_size;
}

static struct visited unmarked(struct heap_index *index)
{
	struct visited visited = { 0 };

	heap_index_each_unmarked(index, visit, &visited);
	return visited;
}

static void marked_blocks_are_accounted_for(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index;

	(void)state;
	free_block(heap, 0, 7);
	index = read_heap(heap);
	assert_int_equal(unmarked(index).blocks, 2 * CARVED - 1);
	assert_int_equal(unmarked(index).bytes, (2 * CARVED - 1) * SIZE);
	assert_false(heap_index_mark(index, block_address(0, 7), NULL));
	for (uint32_t block = 0; block < CARVED; block++) {
		assert_int_equal(heap_index_mark(index, block_address(0, block), NULL), block != 7);
		if (block != 70)
			assert_true(heap_index_mark(index, block_address(2, block), NULL));
	}
	assert_true(heap_index_mark(index, block_address(0, 99), NULL)); /* once more */
	assert_int_equal(unmarked(index).blocks, 1);
	assert_int_equal(unmarked(index).last, block_address(2, 70));
	assert_true(heap_index_is_live(index, block_address(2, 3)));
	heap_index_free(index);
	pool_heap_free(heap);
}

/* The heap as it stands is the baseline. */
static struct heap_index *read_baseline(struct pool_heap *heap)
{
	struct heap_index *index = read_heap(heap);

	heap_index_set_baseline(index);
	return index;
}

/* A look @passed units after the one before, which it replaces. */
static void look(struct pool_heap *heap, struct heap_index **index, uint32_t passed)
{
	struct heap_index *next = read_heap(heap);

	heap_index_follow(next, *index, passed);
	*index = next;
}

static void what_lived_before_is_not_new(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);

	(void)state;
	set_pool(heap, 2, CARVED + 5);
	pool_full_up_to(pool_bytes(heap, 3), &wide, 512, 20);
	look(heap, &index, 1);
	assert_int_equal(unmarked(index).blocks, 25);
	assert_true(heap_index_mark(index, pool_address(3) + HEADER, NULL));
	assert_int_equal(unmarked(index).blocks, 24);
	for (uint32_t size = 16; size <= 16 * POOL_MAX_CLASSES; size += 16)
		assert_int_equal(count_new(index, size), size == SIZE ? 5 : size == 512 ? 20 : 0);
	heap_index_free(index);
	pool_heap_free(heap);
}

/* The pool went back to its arena and was given to another size class. */
static void assert_grown(struct pool_heap *heap, struct heap_index *index, int64_t blocks)
{
	int64_t bytes[POOL_MAX_CLASSES], now[POOL_MAX_CLASSES];

	assert_true(heap_index_class_growth_now(index, &heap->memory.base, heap->maps, now));
	heap_index_class_growth(index, bytes);
	for (uint32_t i = 0; i < POOL_MAX_CLASSES; i++) {
		assert_int_equal(now[i], i == SIZE / wide.alignment - 1 ? blocks * SIZE : 0);
		assert_int_equal(bytes[i], now[i]);
	}
}

/* Other than new blocks: those that took the place of older ones are no growth. */
static void classes_grow_by_what_was_added_less_what_was_freed(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);
	int64_t bytes[POOL_MAX_CLASSES];

	(void)state;
	assert_grown(heap, index, 0);
	set_pool(heap, 1, 30);
	free_block(heap, 0, 5);
	look(heap, &index, 1);
	assert_grown(heap, index, 29);
	memset(pool_bytes(heap, 2), 0, WIDE);
	look(heap, &index, 1);
	assert_grown(heap, index, 29 - CARVED);
	heap->memory.length = 0;
	assert_false(heap_index_class_growth_now(index, &heap->memory.base, heap->maps, bytes));
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_pool_of_another_class_has_nothing_old(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);

	(void)state;
	pool_full_up_to(pool_bytes(heap, 0), &wide, 32, 400);
	look(heap, &index, 1);
	assert_int_equal(count_new(index, 32), 400);
	assert_int_equal(count_new(index, SIZE), 0);
	set_pool(heap, 0, CARVED);
	look(heap, &index, 1);
	assert_int_equal(count_new(index, SIZE), CARVED);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_freed_place_that_is_handed_out_again_is_new(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);

	(void)state;
	free_block(heap, 0, 20);
	look(heap, &index, 1);
	assert_int_equal(count_new(index, SIZE), 0);
	set_pool(heap, 0, CARVED);
	for (int round = 0; round < 2; round++) {
		look(heap, &index, 1);
		assert_int_equal(count_new(index, SIZE), 1);
	}
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_pool_that_was_missed_once_is_not_new(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);

	(void)state;
	for (int round = 0; round < 3; round++) {
		put32(pool_bytes(heap, 0), 36, 63); /* torn */
		look(heap, &index, 1);
		assert_int_equal(count_new(index, SIZE), 0);
		assert_int_equal(heap_index_blocks(index), CARVED);
		set_pool(heap, 0, CARVED);
		look(heap, &index, 1);
		assert_int_equal(count_new(index, SIZE), 0);
	}
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_pool_that_is_gone_is_forgotten(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);

	(void)state;
	memset(pool_bytes(heap, 0), 0, WIDE);
	look(heap, &index, 1);
	look(heap, &index, 1);
	assert_int_equal(count_new(index, SIZE), 0);
	set_pool(heap, 0, CARVED);
	look(heap, &index, 1);
	assert_int_equal(count_new(index, SIZE), CARVED);
	heap_index_free(index);
	pool_heap_free(heap);
}

static uint8_t age_of(struct heap_index *index, uint32_t block)
{
	uint8_t age;

	assert_true(heap_index_mark(index, block_address(2, block), &age));
	return age;
}

static void places_grow_old_while_every_look_finds_them_handed_out(void **state)
{
	static const uint8_t bounds[] = { 10, 100 };
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_baseline(heap);
	uint64_t counts[3][POOL_MAX_CLASSES];

	(void)state;
	set_pool(heap, 2, CARVED + 4);
	look(heap, &index, 7);
	assert_int_equal(age_of(index, 0), HEAP_AGE_BASELINE);
	assert_int_equal(age_of(index, CARVED), 0);
	look(heap, &index, 9);
	set_pool(heap, 2, CARVED + 6);
	look(heap, &index, 1);
	assert_int_equal(age_of(index, CARVED), 10);
	assert_int_equal(age_of(index, CARVED + 4), 0);
	free_block(heap, 2, CARVED);
	look(heap, &index, 90);
	set_pool(heap, 2, CARVED + 6);
	look(heap, &index, 1);
	assert_int_equal(age_of(index, CARVED), 0);
	heap_index_count_new(index, bounds, 3, counts);
	assert_int_equal(counts[0][SIZE / 16 - 1], 1);
	assert_int_equal(counts[1][SIZE / 16 - 1], 2);
	assert_int_equal(counts[2][SIZE / 16 - 1], 3);
	look(heap, &index, 1000);
	assert_int_equal(age_of(index, CARVED), HEAP_AGE_MOST);
	assert_int_equal(age_of(index, 0), HEAP_AGE_BASELINE);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_pool_of_one_age_takes_no_byte_a_block(void **state)
{
	struct pool_heap *heap = heap_new();
	struct heap_index *index = read_heap(heap);
	uint64_t fresh = heap_index_own_bytes(index);
	uint8_t age;

	(void)state;
	/* New, grown old together, then with one block younger than the others, then without it. */
	look(heap, &index, 3);
	assert_int_equal(heap_index_own_bytes(index), fresh);
	assert_true(heap_index_mark(index, block_address(0, 5), &age));
	assert_int_equal(age, 3);
	free_block(heap, 0, 5);
	look(heap, &index, 3);
	assert_int_equal(heap_index_own_bytes(index), fresh);
	set_pool(heap, 0, CARVED);
	look(heap, &index, 3);
	assert_in_range(heap_index_own_bytes(index), fresh + CAPACITY, fresh + CAPACITY + 24);
	assert_true(heap_index_mark(index, block_address(0, 5), &age));
	assert_int_equal(age, 0);
	assert_true(heap_index_mark(index, block_address(0, 6), &age));
	assert_int_equal(age, 9);
	/* At the most there is, they are of one age again. */
	look(heap, &index, HEAP_AGE_MOST);
	assert_int_equal(heap_index_own_bytes(index), fresh);
	assert_true(heap_index_mark(index, block_address(0, 5), &age));
	assert_int_equal(age, HEAP_AGE_MOST);
	heap_index_set_baseline(index);
	assert_int_equal(heap_index_own_bytes(index), fresh);
	heap_index_free(index);
	pool_heap_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handed_out_blocks_are_live_and_nothing_else),
		cmocka_unit_test(a_heap_that_cannot_be_read_is_none_and_one_without_pools_is),
		cmocka_unit_test(marked_blocks_are_accounted_for),
		cmocka_unit_test(what_lived_before_is_not_new),
		cmocka_unit_test(classes_grow_by_what_was_added_less_what_was_freed),
		cmocka_unit_test(a_pool_of_another_class_has_nothing_old),
		cmocka_unit_test(a_freed_place_that_is_handed_out_again_is_new),
		cmocka_unit_test(a_pool_that_was_missed_once_is_not_new),
		cmocka_unit_test(a_pool_that_is_gone_is_forgotten),
		cmocka_unit_test(places_grow_old_while_every_look_finds_them_handed_out),
		cmocka_unit_test(a_pool_of_one_age_takes_no_byte_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
