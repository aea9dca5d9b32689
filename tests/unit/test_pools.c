// SPDX-License-Identifier: GPL-2.0-or-later
/* Pools in every state that a running interpreter leaves them in, and in those that only damage
 * makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "tests/unit/pool_bytes.h"

static bool is_live(const struct pool *pool, uint32_t index)
{
	return pool_block_is_live(pool,
				  pool->address + HEADER + (uint64_t)index * pool->block_size);
}

static void a_fresh_pool_has_its_first_block_handed_out(void **state)
{
	(void)state;
	uint8_t bytes[WIDE];
	struct pool pool;

	pool_full_up_to(bytes, &wide, 48, 2);
	block_free(bytes, BASE, 48, 1);
	assert_true(pool_parse(&wide, BASE, bytes, 0, &pool));
	assert_int_equal(pool.address, BASE);
	assert_int_equal(pool.block_size, 48);
	assert_int_equal(pool.capacity, (WIDE - HEADER) / 48);
	assert_int_equal(pool.used, 1);
	assert_int_equal(live_count(&pool), 1);
	assert_true(is_live(&pool, 0));
	assert_false(is_live(&pool, 1));
	assert_false(is_live(&pool, 2));
}

static void freed_and_virgin_blocks_are_not_live(void **state)
{
	(void)state;
	uint8_t bytes[NARROW];
	struct pool pool;

	pool_full_up_to(bytes, &narrow, 24, 100);
	block_free(bytes, BASE, 24, 7);
	block_free(bytes, BASE, 24, 99);
	block_free(bytes, BASE, 24, 0);
	assert_true(pool_parse(&narrow, BASE, bytes, 0, &pool));
	assert_int_equal(pool.used, 97);
	for (uint32_t i = 0; i < pool.capacity; i++)
		assert_int_equal(is_live(&pool, i), i < 100 && i != 7 && i != 99 && i != 0);
}

static void full_pools_of_every_size_class_are_wholly_live(void **state)
{
	(void)state;
	static const struct pool_geometry geometries[] = {
		{ NARROW, 8 }, { NARROW, 16 }, { WIDE, 16 }, { WIDE, 8 }
	};
	uint8_t bytes[WIDE];
	struct pool pool;

	for (size_t i = 0; i < G_N_ELEMENTS(geometries); i++) {
		const struct pool_geometry *geometry = &geometries[i];

		for (uint32_t size = geometry->alignment; size <= 512;
		     size += geometry->alignment) {
			uint32_t capacity = (geometry->pool_size - HEADER) / size;

			pool_full_up_to(bytes, geometry, size, capacity);
			assert_true(pool_parse(geometry, BASE, bytes, 0, &pool));
			assert_int_equal(pool.capacity, capacity);
			assert_int_equal(live_count(&pool), capacity);
			assert_true(is_live(&pool, capacity - 1));
			assert_false(is_live(&pool, capacity));
		}
	}
}

static void only_the_starts_of_blocks_are_live(void **state)
{
	(void)state;
	uint8_t bytes[WIDE];
	struct pool pool;

	pool_full_up_to(bytes, &wide, 64, 10);
	assert_true(pool_parse(&wide, BASE, bytes, 0, &pool));
	assert_true(pool_block_is_live(&pool, BASE + HEADER));
	assert_false(pool_block_is_live(&pool, BASE + HEADER + 16));
	assert_false(pool_block_is_live(&pool, BASE));
	assert_false(pool_block_is_live(&pool, BASE - 64));
	assert_false(pool_block_is_live(&pool, BASE + WIDE + HEADER));
	assert_false(pool_block_is_live(&pool, 0));
	assert_false(pool_block_is_live(&pool, UINT64_MAX));
}

static void a_freed_pool_is_none(void **state)
{
	(void)state;
	uint8_t bytes[WIDE];
	struct pool pool;

	pool_full_up_to(bytes, &wide, 512, 2);
	block_free(bytes, BASE, 512, 1);
	block_free(bytes, BASE, 512, 0);
	assert_false(pool_parse(&wide, BASE, bytes, 0, &pool));
	assert_false(pool_parse(&wide, BASE, bytes, 100, &pool));
	memset(bytes, 0, sizeof(bytes));
	assert_false(pool_parse(&wide, BASE, bytes, 100, &pool)); /* never carved */
}

static void headers_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const struct {
		size_t offset;
		uint32_t value;
	} damages[] = {
		{ 36, 32 },
		{ 36, UINT32_MAX },
		{ 36, 4 },
		{ 40, HEADER + 10 * 64 + 1 },
		{ 40, HEADER + 64 },
		{ 40, HEADER },
		{ 40, 0 },
		{ 40, UINT32_MAX },
		{ 40, WIDE + 64 },
		{ 44, WIDE - 64 - 1 },
		{ 44, NARROW - 64 },
		{ 44, UINT32_MAX },
		{ 0, 0 },
		{ 0, (WIDE - HEADER) / 64 + 1 },
		{ 0, UINT32_MAX },
	};
	uint8_t bytes[WIDE];
	struct pool pool;

	for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
		pool_full_up_to(bytes, &wide, 64, 10);
		assert_true(pool_parse(&wide, BASE, bytes, 0, &pool));
		put32(bytes, damages[i].offset, damages[i].value);
		assert_false(pool_parse(&wide, BASE, bytes, UINT32_MAX, &pool));
	}
	pool_full_up_to(bytes, &wide, 64, 10);
	assert_false(pool_parse(&wide, BASE + NARROW, bytes, 0, &pool));
	assert_false(pool_parse(&narrow, BASE, bytes, 0, &pool));
	assert_false(pool_parse(&(struct pool_geometry){ 0, 0 }, BASE, bytes, 0, &pool));
	assert_false(pool_parse(&(struct pool_geometry){ WIDE, 0 }, BASE, bytes, 0, &pool));
}

static void free_lists_that_leave_the_pool_or_loop_are_refused(void **state)
{
	(void)state;
	const uint64_t outside[] = { 1,		  BASE,		  BASE + HEADER + 8,
				     BASE + WIDE, BASE - 64,	  BASE + WIDE + HEADER,
				     UINT64_MAX,  UINT64_MAX - 7, BASE + HEADER + 10 * 64 };
	uint8_t bytes[WIDE];
	struct pool pool;

	for (size_t i = 0; i < G_N_ELEMENTS(outside); i++) {
		pool_full_up_to(bytes, &wide, 64, 10);
		put64(bytes, 8, outside[i]);
		assert_false(pool_parse(&wide, BASE, bytes, UINT32_MAX, &pool));
		pool_full_up_to(bytes, &wide, 64, 10);
		block_free(bytes, BASE, 64, 3);
		put64(bytes, HEADER + 3 * 64, outside[i]);
		assert_false(pool_parse(&wide, BASE, bytes, UINT32_MAX, &pool));
	}
	pool_full_up_to(bytes, &wide, 64, 10);
	block_free(bytes, BASE, 64, 3);
	block_free(bytes, BASE, 64, 4);
	put64(bytes, HEADER + 3 * 64, BASE + HEADER + 4 * 64);
	assert_false(pool_parse(&wide, BASE, bytes, UINT32_MAX, &pool));
	put64(bytes, HEADER + 4 * 64, BASE + HEADER + 4 * 64);
	assert_false(pool_parse(&wide, BASE, bytes, UINT32_MAX, &pool));
}

static void a_torn_count_is_accepted_within_the_slack(void **state)
{
	(void)state;
	uint8_t bytes[WIDE];
	struct pool pool;

	pool_full_up_to(bytes, &wide, 64, 50);
	block_free(bytes, BASE, 64, 3);
	put32(bytes, 0, 47);
	assert_false(pool_parse(&wide, BASE, bytes, 0, &pool));
	assert_false(pool_parse(&wide, BASE, bytes, 1, &pool));
	assert_true(pool_parse(&wide, BASE, bytes, 2, &pool));
	assert_int_equal(pool.used, 47);
	put32(bytes, 0, 51);
	assert_false(pool_parse(&wide, BASE, bytes, 1, &pool));
	assert_true(pool_parse(&wide, BASE, bytes, 2, &pool));
}

/* Whatever the bytes, an accepted pool is consistent and a refused one costs nothing (the
 * sanitizers watch the reads). */
static void any_bytes_are_refused_or_make_a_consistent_pool(void **state)
{
	(void)state;
	g_autoptr(GRand) random = g_rand_new_with_seed(2);
	g_autofree uint8_t *bytes = g_malloc(NARROW); /* exact, so that an over-read is seen */
	uint32_t accepted = 0;
	struct pool pool;

	for (unsigned int round = 0; round < 20000; round++) {
		uint32_t size = 8 * (uint32_t)g_rand_int_range(random, 1, 65);
		uint32_t capacity = (NARROW - HEADER) / size;

		pool_full_up_to(bytes, &narrow, size,
				(uint32_t)g_rand_int_range(random, 2, (int)capacity + 1));
		for (int i = g_rand_int_range(random, 0, 3); i > 0; i--)
			put32(bytes, 4 * (size_t)g_rand_int_range(random, 0, 12),
			      g_rand_int(random) >> g_rand_int_range(random, 0, 32));
		for (uint32_t i = 0; i < capacity;
		     i++) /* what a followed free list finds: other blocks, odd addresses */
			put64(bytes, HEADER + (size_t)i * size,
			      BASE + (uint64_t)g_rand_int_range(random, 0, NARROW + 64));
		if (g_rand_boolean(random))
			put64(bytes, 8,
			      BASE + HEADER +
				      size * (uint64_t)g_rand_int_range(random, 0, (int)capacity));
		if (!pool_parse(&narrow, BASE, bytes, 4, &pool))
			continue;
		accepted++;
		assert_true(pool.used >= 1 && pool.used <= pool.capacity);
		assert_in_range(live_count(&pool), pool.used > 4 ? pool.used - 4 : 0,
				pool.used + 4);
		for (uint32_t i = pool.capacity; i < POOL_MAX_BLOCKS; i++)
			assert_false(pool.live[i / 64] >> i % 64 & 1);
	}
	assert_in_range(accepted, 100, 19900); /* both sides were tried */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_pool_has_its_first_block_handed_out),
		cmocka_unit_test(freed_and_virgin_blocks_are_not_live),
		cmocka_unit_test(full_pools_of_every_size_class_are_wholly_live),
		cmocka_unit_test(only_the_starts_of_blocks_are_live),
		cmocka_unit_test(a_freed_pool_is_none),
		cmocka_unit_test(headers_that_make_no_sense_are_refused),
		cmocka_unit_test(free_lists_that_leave_the_pool_or_loop_are_refused),
		cmocka_unit_test(a_torn_count_is_accepted_within_the_slack),
		cmocka_unit_test(any_bytes_are_refused_or_make_a_consistent_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
