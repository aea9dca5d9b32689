// SPDX-License-Identifier: GPL-2.0-or-later
/* The sample of live blocks: what it stands for, how large it gets, and that it is a fair one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/block_sample.h"

static const struct sampled_block *block_at(const GArray *blocks, guint i)
{
	return &g_array_index(blocks, struct sampled_block, i);
}

static void assert_sums(const GArray *blocks, double count, double bytes)
{
	double blocks_sum = 0, bytes_sum = 0;

	for (guint i = 0; i < blocks->len; i++) {
		blocks_sum += block_at(blocks, i)->blocks;
		bytes_sum += block_at(blocks, i)->bytes;
	}
	assert_float_equal(blocks_sum, count, 1e-6 * count);
	assert_float_equal(bytes_sum, bytes, 1e-6 * bytes);
}

/* @count blocks of @size bytes; addresses from @start on. */
static void add_blocks(struct block_sample *sample, uint32_t context, enum family family,
		       uint64_t start, uint64_t count, uint64_t size)
{
	for (uint64_t i = 0; i < count; i++)
		block_sample_add(sample, context, family, start + i * size, 7, size);
}

static void few_blocks_are_all_kept(void **state)
{
	struct block_sample *sample = block_sample_new(16, 1000);
	GArray *blocks;

	(void)state;
	add_blocks(sample, 1, FAMILY_PYMALLOC, 0x10000, 10, 64);
	blocks = block_sample_get(sample, 1);
	assert_int_equal(blocks->len, 10);
	for (guint i = 0; i < blocks->len; i++) {
		assert_float_equal(block_at(blocks, i)->blocks, 1, 0);
		assert_float_equal(block_at(blocks, i)->bytes, 64, 0);
		assert_int_equal(block_at(blocks, i)->family, FAMILY_PYMALLOC);
	}
	g_array_unref(blocks);
	assert_null(block_sample_get(sample, 2));
	block_sample_free(sample);
}

static void many_blocks_are_stood_for(void **state)
{
	struct block_sample *sample = block_sample_new(16, 1000);
	GArray *blocks;

	(void)state;
	add_blocks(sample, 1, FAMILY_PYMALLOC, 0x10000, 5000, 64);
	add_blocks(sample, 1, FAMILY_PYMALLOC, 0x900000, 300, 32);
	blocks = block_sample_get(sample, 1);
	assert_int_equal(blocks->len, 32);
	assert_sums(blocks, 5300, 5000.0 * 64 + 300 * 32);
	g_array_unref(blocks);
	block_sample_free(sample);
}

/* One large block among many small ones must not be lost. */
static void each_size_has_its_own_sample(void **state)
{
	struct block_sample *sample = block_sample_new(4, 1000);
	GArray *blocks;
	bool large = false;

	(void)state;
	add_blocks(sample, 1, FAMILY_MALLOC, 0x10000, 5000, 600);
	block_sample_add(sample, 1, FAMILY_MALLOC, 0x7f0000000000, 7, 80 << 20);
	blocks = block_sample_get(sample, 1);
	for (guint i = 0; i < blocks->len; i++)
		large |= block_at(blocks, i)->size == 80 << 20 && block_at(blocks, i)->blocks == 1;
	assert_true(large);
	assert_sums(blocks, 5001, 5000.0 * 600 + (80 << 20));
	g_array_unref(blocks);
	block_sample_free(sample);
}

static void sizes_of_any_number_share_samples(void **state)
{
	struct block_sample *sample = block_sample_new(4, 1000000);
	double bytes = 0;
	GArray *blocks;

	(void)state;
	for (uint64_t size = 0; size < 10000; size++, bytes += size - 1)
		block_sample_add(sample, 1, FAMILY_MALLOC, 0x10000 + size * 16, 7, size);
	blocks = block_sample_get(sample, 1);
	assert_true(blocks->len <= 15 * 4);
	assert_sums(blocks, 10000, bytes);
	g_array_unref(blocks);
	block_sample_free(sample);
}

/* 65,000 contexts of 20 blocks do not need more room than was given. */
static void many_contexts_are_kept_small(void **state)
{
	struct block_sample *sample = block_sample_new(128, 50000);
	uint64_t kept = 0;

	(void)state;
	for (uint32_t context = 0; context < 65000; context++)
		add_blocks(sample, context, FAMILY_PYMALLOC, 0x10000 + context * 4096ULL, 20, 48);
	for (uint32_t context = 0; context < 65000; context++) {
		GArray *blocks = block_sample_get(sample, context);

		assert_non_null(blocks);
		assert_sums(blocks, 20, 20 * 48);
		kept += blocks->len;
		g_array_unref(blocks);
	}
	assert_int_equal(kept, 65000);
	block_sample_free(sample);
}

/* Every second block is of one kind: so must about half of the sample be, whatever the pattern. */
static void the_sample_is_fair(void **state)
{
	double share = 0;

	(void)state;
	for (uint32_t run = 0; run < 200; run++) {
		struct block_sample *sample = block_sample_new(64, 1000);
		GArray *blocks;

		add_blocks(sample, 1, FAMILY_PYMALLOC, 0x7f0000000000 + run * 0x1000000ULL, 4000,
			   48);
		blocks = block_sample_get(sample, 1);
		for (guint i = 0; i < blocks->len; i++)
			share += block_at(blocks, i)->address / 48 % 2;
		g_array_unref(blocks);
		block_sample_free(sample);
	}
	/* 12,800 draws: a standard error of 0.0044 */
	assert_float_equal(share / (200 * 64), 0.5, 0.02);
}

/* A block that lives on stays in the sample while others come and go. */
static void the_sample_is_steady(void **state)
{
	struct block_sample *first = block_sample_new(16, 1000),
			    *second = block_sample_new(16, 1000);
	GArray *before, *after;
	unsigned int same = 0;

	(void)state;
	add_blocks(first, 1, FAMILY_PYMALLOC, 0x10000, 1000, 48);
	add_blocks(second, 1, FAMILY_PYMALLOC, 0x10000, 1010, 48);
	before = block_sample_get(first, 1);
	after = block_sample_get(second, 1);
	for (guint i = 0; i < before->len; i++)
		for (guint k = 0; k < after->len; k++)
			same += block_at(before, i)->address == block_at(after, k)->address;
	assert_true(same >= 13);
	g_array_unref(before);
	g_array_unref(after);
	block_sample_free(first);
	block_sample_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_blocks_are_all_kept),
		cmocka_unit_test(many_blocks_are_stood_for),
		cmocka_unit_test(each_size_has_its_own_sample),
		cmocka_unit_test(sizes_of_any_number_share_samples),
		cmocka_unit_test(many_contexts_are_kept_small),
		cmocka_unit_test(the_sample_is_fair),
		cmocka_unit_test(the_sample_is_steady),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
