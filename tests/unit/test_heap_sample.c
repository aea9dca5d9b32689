// SPDX-License-Identifier: GPL-2.0-or-later
/* A heap of which only some pools are remembered: which, what that takes, and what is said of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/pool_cache.h"
#include "collect/pool_sample.h"
#include "tests/unit/pool_heap.h"

enum { POOLS = 1024, FEW = 32 << 10, NO_LIMIT = 1 << 30 };

/* The first @used of POOLS pools hold @carved blocks each. */
static struct pool_heap *heap_new(uint32_t used, uint32_t carved)
{
	struct pool_heap *heap = pool_heap_new(POOLS);

	for (uint32_t pool = 0; pool < used; pool++)
		set_pool(heap, pool, carved);
	return heap;
}

static struct heap_index *read_heap(struct pool_heap *heap, const struct heap_index *before,
				    uint64_t most_bytes)
{
	struct heap_index *index =
		heap_index_read(&heap->memory.base, heap->maps, &wide, before, most_bytes);

	assert_non_null(index);
	return index;
}

static void look(struct pool_heap *heap, struct heap_index **index, uint64_t most_bytes)
{
	struct heap_index *next = read_heap(heap, *index, most_bytes);

	heap_index_follow(next, *index, 1);
	*index = next;
}

static uint32_t covered(const struct heap_index *index)
{
	uint32_t pools = 0;

	for (uint32_t pool = 0; pool < POOLS; pool++)
		pools += heap_index_has_pool(index, block_address(pool, 3));
	return pools;
}

static void each_level_has_half_of_the_pools_below(void **state)
{
	uint32_t at[POOL_MAX_LEVEL + 1] = { 0 }, pools = 1 << 18, above = 0;

	(void)state;
	for (uint32_t pool = 0; pool < pools; pool++)
		at[pool_level(0x7f0000000000 + (uint64_t)pool * WIDE)]++;
	for (int level = POOL_MAX_LEVEL; level >= 0; level--) {
		double expected = pools / (double)(1 << level);

		above += at[level];
		/* Five standard deviations. */
		assert_true((above - expected) * (above - expected) <= 25 * expected + 1);
	}
	assert_int_equal(above, pools);
}

static void a_small_limit_halves_the_sample_until_it_fits(void **state)
{
	struct pool_heap *heap = heap_new(POOLS, CAPACITY);
	struct heap_index *all = read_heap(heap, NULL, NO_LIMIT),
			  *some = read_heap(heap, NULL, FEW), *none = read_heap(heap, NULL, 0);

	(void)state;
	assert_int_equal(heap_index_level(all), 0);
	assert_int_equal(covered(all), POOLS);
	assert_in_range(heap_index_level(some), 1, 3);
	assert_in_range(heap_index_own_bytes(some), FEW / 4, FEW + 32768);
	assert_in_range(covered(some), (POOLS >> heap_index_level(some)) / 2,
			(POOLS >> heap_index_level(some)) * 2);
	assert_int_equal(covered(none), 0);
	/* What is covered answers as if all were; what is not is not called dead. */
	for (uint32_t pool = 0; pool < POOLS; pool++) {
		assert_true(heap_index_is_live(all, block_address(pool, 7)));
		assert_int_equal(heap_index_is_live(some, block_address(pool, 7)),
				 heap_index_has_pool(some, block_address(pool, 7)));
	}
	heap_index_free(all);
	heap_index_free(some);
	heap_index_free(none);
	pool_heap_free(heap);
}

static void sums_are_of_all_pools(void **state)
{
	struct pool_heap *heap = heap_new(700, 50);
	struct heap_index *index = read_heap(heap, NULL, FEW / 4);

	(void)state;
	assert_true(heap_index_level(index) > 0);
	assert_int_equal(heap_index_blocks(index), 700 * 50);
	assert_int_equal(heap_index_bytes(index), 700 * 50 * SIZE);
	assert_int_equal(heap_index_pool_bytes(index), 700 * WIDE);
	assert_int_equal(heap_index_totals(index)->pools_in_use, 700);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_smaller_sample_is_part_of_the_larger_and_never_grows(void **state)
{
	struct pool_heap *heap = heap_new(POOLS, CAPACITY);
	struct heap_index *index = read_heap(heap, NULL, NO_LIMIT);
	bool before[POOLS];
	uint32_t level = 0;

	(void)state;
	heap_index_set_baseline(index);
	memset(before, true, sizeof(before));
	for (uint64_t most = FEW; most >= 1024; most /= 2) {
		look(heap, &index, most);
		assert_true(heap_index_level(index) >= level);
		level = heap_index_level(index);
		assert_int_equal(count_new(index, SIZE), 0);
		for (uint32_t pool = 0; pool < POOLS; pool++) {
			bool now = heap_index_has_pool(index, block_address(pool, 0));

			assert_true(before[pool] || !now);
			before[pool] = now;
		}
	}
	assert_true(level > 2);
	look(heap, &index, NO_LIMIT);
	assert_int_equal(heap_index_level(index), level);
	assert_int_equal(count_new(index, SIZE), 0);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void growth_of_a_heap_that_stays_is_known_exactly(void **state)
{
	struct pool_heap *heap = heap_new(500, CAPACITY);
	struct heap_index *index = read_heap(heap, NULL, FEW / 4);

	(void)state;
	heap_index_set_baseline(index);
	assert_true(heap_index_level(index) >= 2);
	for (uint32_t pool = 500; pool < 800; pool++) {
		set_pool(heap, pool, 100);
		if (pool % 10 == 0) {
			look(heap, &index, FEW / 4);
			assert_int_equal(count_new(index, SIZE), (pool - 499) * 100);
		}
	}
	heap_index_free(index);
	pool_heap_free(heap);
}

/* One block of each pool of the baseline dies, and as many are born elsewhere. */
static void what_dies_meanwhile_is_estimated(void **state)
{
	struct pool_heap *heap = heap_new(800, CAPACITY);
	struct heap_index *index = read_heap(heap, NULL, FEW / 4);
	double covered_before;

	(void)state;
	heap_index_set_baseline(index);
	for (uint32_t pool = 0; pool < 800; pool++)
		for (uint32_t block = 0; block < 10; block++)
			free_block(heap, pool, block);
	for (uint32_t pool = 800; pool < 880; pool++)
		set_pool(heap, pool, 100);
	look(heap, &index, FEW / 4);
	/* Exact but for how many of the 800 pools the sample happens to have. */
	covered_before = 0;
	for (uint32_t pool = 0; pool < 800; pool++)
		covered_before += heap_index_has_pool(index, block_address(pool, 0));
	assert_int_equal(count_new(index, SIZE),
			 10 * covered_before * (1 << heap_index_level(index)));
	assert_in_range(count_new(index, SIZE), 5000, 11000);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void ages_keep_within_the_limit(void **state)
{
	struct pool_heap *heap = heap_new(POOLS, CAPACITY - 1);
	uint64_t most = 160 << 10; /* enough without ages */
	struct heap_index *index = read_heap(heap, NULL, most);

	(void)state;
	assert_int_equal(heap_index_level(index), 0);
	for (uint32_t pool = 0; pool < POOLS; pool++)
		set_pool(heap, pool, CAPACITY);
	look(heap, &index, most);
	assert_in_range(heap_index_level(index), 1, 2);
	assert_in_range(heap_index_own_bytes(index), most / 4, most + 32768);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void pools_that_are_carved_anew_are_new_in_and_out_of_the_sample(void **state)
{
	struct pool_heap *heap = heap_new(POOLS, 100);
	struct heap_index *index = read_heap(heap, NULL, NO_LIMIT);

	(void)state;
	heap_index_set_baseline(index);
	look(heap, &index, FEW / 2);
	memset(heap->bytes, 0, (size_t)WIDE * POOLS / 2);
	look(heap, &index, FEW);
	look(heap, &index, FEW); /* now they are forgotten */
	for (uint32_t pool = 0; pool < POOLS / 2; pool++)
		set_pool(heap, pool, 100);
	look(heap, &index, FEW);
	assert_int_equal(heap_index_blocks(index), POOLS * 100);
	/* Half of the heap is new, as far as the sample tells. */
	assert_in_range(count_new(index, SIZE), POOLS * 25, POOLS * 75);
	heap_index_free(index);
	pool_heap_free(heap);
}

static void a_new_block_is_as_old_as_the_first_look_after_its_birth(void **state)
{
	struct pool_heap *heap = heap_new(4, 100);
	struct heap_index *index = read_heap(heap, NULL, NO_LIMIT), *next;

	(void)state;
	assert_int_equal(heap_index_age_of_new(index, 1000), 0);
	for (uint32_t passed = 10; passed <= 30; passed += 10) { /* looks 60, 50, 30, 0 units ago */
		next = read_heap(heap, index, NO_LIMIT);
		heap_index_follow(next, index, passed);
		index = next;
	}
	assert_int_equal(heap_index_age_of_new(index, 0), 0);
	assert_int_equal(heap_index_age_of_new(index, 29), 0);
	assert_int_equal(heap_index_age_of_new(index, 30), 30);
	assert_int_equal(heap_index_age_of_new(index, 49), 30);
	assert_int_equal(heap_index_age_of_new(index, 59), 50);
	assert_int_equal(heap_index_age_of_new(index, 1000), 60);
	next = read_heap(heap, index, NO_LIMIT);
	heap_index_follow(next, index, 100000);
	assert_int_equal(heap_index_age_of_new(next, 253), 0);
	assert_int_equal(heap_index_age_of_new(next, 254), HEAP_AGE_MOST);
	heap_index_free(next);
	pool_heap_free(heap);
}

static void pools_are_read_one_by_one(void **state)
{
	struct pool_heap *heap = heap_new(POOLS / 2, CAPACITY);
	struct pool_cache *cache;

	(void)state;
	for (uint32_t pool = 0; pool < POOLS / 2; pool++)
		free_block(heap, pool, pool % CAPACITY);
	cache = pool_cache_new(&heap->memory.base, &wide);
	for (int round = 0; round < 2; round++)
		for (uint32_t pool = 0; pool < POOLS; pool++)
			for (uint32_t block = pool % 7; block < CAPACITY; block += 13)
				assert_int_equal(pool_cache_look(cache, block_address(pool, block)),
						 pool >= POOLS / 2	    ? POOL_GONE
						 : block == pool % CAPACITY ? POOL_BLOCK_FREE
									    : POOL_BLOCK_LIVE);
	assert_int_equal(pool_cache_look(cache, block_address(3, 0) + 8), POOL_BLOCK_FREE);
	/* What was read stays so for the look. */
	memset(heap->bytes, 0, WIDE);
	assert_int_equal(pool_cache_look(cache, block_address(0, 1)), POOL_BLOCK_LIVE);
	pool_cache_free(cache);
	cache = pool_cache_new(&heap->memory.base, &wide);
	assert_int_equal(pool_cache_look(cache, block_address(0, 1)), POOL_GONE);
	assert_int_equal(pool_cache_look(cache, 0x1000), POOL_GONE);
	pool_cache_free(cache);
	pool_cache_free(NULL);
	pool_heap_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_level_has_half_of_the_pools_below),
		cmocka_unit_test(a_small_limit_halves_the_sample_until_it_fits),
		cmocka_unit_test(sums_are_of_all_pools),
		cmocka_unit_test(a_smaller_sample_is_part_of_the_larger_and_never_grows),
		cmocka_unit_test(growth_of_a_heap_that_stays_is_known_exactly),
		cmocka_unit_test(what_dies_meanwhile_is_estimated),
		cmocka_unit_test(ages_keep_within_the_limit),
		cmocka_unit_test(pools_that_are_carved_anew_are_new_in_and_out_of_the_sample),
		cmocka_unit_test(a_new_block_is_as_old_as_the_first_look_after_its_birth),
		cmocka_unit_test(pools_are_read_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
