// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Estimates against the truth, over many runs of a simulated program: right on average, and inside
 * the 95 % interval as often as that promises. PYLEAK_TEST_VERBOSE=1 prints the figures.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/estimate.h"
#include "tests/unit/simulation.h"

enum { SEEDS = 300 };

/* Of one context over all seeds. */
struct score {
	uint32_t seen, covered;
	double truth, estimate, error_squares, width; /* sums of bytes; of (high - low) / truth */
};

typedef void (*program)(struct simulation *simulation, GRand *random, double end);

static const struct snapshot_context *context_of(const struct snapshot *snapshot, uint32_t id)
{
	for (guint i = 0; i < snapshot->contexts->len; i++)
		if (g_array_index(snapshot->contexts, struct snapshot_context, i).id == id)
			return &g_array_index(snapshot->contexts, struct snapshot_context, i);
	return NULL;
}

static void add_score(struct score *score, const struct snapshot_context *context, double truth)
{
	double estimate = context ? context->live_bytes : 0;

	score->truth += truth;
	score->estimate += estimate;
	score->error_squares += (estimate - truth) * (estimate - truth);
	if (!context || context->live_bytes <= 0)
		return;
	assert_true(context->estimated);
	assert_true(isfinite(context->live_bytes_low) && isfinite(context->live_bytes_high));
	assert_true(context->live_bytes_low <= context->live_bytes + 1);
	assert_true(context->live_bytes_high >= context->live_bytes - 1);
	assert_true(context->live_bytes_low >= 0);
	score->seen++;
	score->covered += context->live_bytes_low <= truth && truth <= context->live_bytes_high;
	score->width += (context->live_bytes_high - context->live_bytes_low) / MAX(truth, 1);
}

static void run(program program, const struct simulation_windows windows[FAMILY_COUNT], double end,
		struct score scores[SIMULATION_CONTEXTS])
{
	for (guint seed = 1; seed <= SEEDS; seed++) {
		int64_t blocks[SIMULATION_CONTEXTS], bytes[SIMULATION_CONTEXTS];
		GRand *random = g_rand_new_with_seed(seed);
		struct simulation *simulation = simulation_new(random, end, windows);
		struct snapshot *snapshot;

		program(simulation, random, end);
		snapshot = simulation_take(simulation, end);
		estimate_contexts(snapshot);
		simulation_truth(simulation, end, blocks, bytes);
		for (uint32_t id = 1; id < SIMULATION_CONTEXTS; id++)
			add_score(&scores[id], context_of(snapshot, id), bytes[id]);
		snapshot_free(snapshot);
		simulation_free(simulation);
		g_rand_free(random);
	}
	for (uint32_t id = 1; id < SIMULATION_CONTEXTS && g_getenv("PYLEAK_TEST_VERBOSE"); id++)
		if (scores[id].truth > 0)
			print_message("context %2u: bias %+5.1f %%, error %5.1f %%, covered %5.1f "
				      "%% of %u, width %.2f\n",
				      id, 100 * (scores[id].estimate / scores[id].truth - 1),
				      100 * sqrt(scores[id].error_squares / SEEDS) /
					      (scores[id].truth / SEEDS),
				      100.0 * scores[id].covered / scores[id].seen, scores[id].seen,
				      scores[id].width / scores[id].seen);
}

/* @allowed: of the truth. What chance makes of a mean of SEEDS runs comes on top. */
static void assert_unbiased(const struct score *score, double allowed)
{
	double chance = 3 * sqrt(score->error_squares);

	assert_true(score->truth > 0);
	assert_true(fabs(score->estimate - score->truth) < allowed * score->truth ||
		    fabs(score->estimate - score->truth) < MIN(chance, 0.5 * score->truth));
}

static void assert_covered(const struct score *score, double most_width)
{
	assert_true(score->seen > SEEDS / 20);
	assert_true(score->covered >= 0.93 * score->seen);
	assert_true(score->width / score->seen < most_width);
}

static const struct simulation_windows usual[FAMILY_COUNT] = {
	[FAMILY_PYMALLOC] = { 0.008, 0.45, 0.4 },
	[FAMILY_MALLOC] = { 0.02, 0.5, 1 },
	[FAMILY_MMAP] = { 0.02, 2, 1 },
};

/* pymalloc: 1 leak, 2 cache, 3 rare bursts, 4 hot loop (its blocks die young, as temporaries do), 5
 * leak of a class of its own with many temporaries. */
static void shop(struct simulation *simulation, GRand *random, double end)
{
	for (uint32_t id = 1; id <= 5; id++)
		simulation_context(simulation, id, FAMILY_PYMALLOC);
	simulation_random(simulation, 1, 64, 0, end, 200, INFINITY);
	simulation_random(simulation, 2, 64, 0, end, 300, 10);
	for (double at = random_exponential(random, 2); at < end;
	     at += random_exponential(random, 2))
		for (int i = 0; i < 20; i++)
			simulation_block(simulation, 3, 64, at + i * 50e-6, INFINITY);
	simulation_random(simulation, 4, 64, 0, end, 1000, 2);
	simulation_context(simulation, 6, FAMILY_PYMALLOC);
	simulation_churn(simulation, 6, 64, 100);
	simulation_random(simulation, 5, 512, 0, end, 50, INFINITY);
	simulation_churn(simulation, 6, 512, 60);
}

static void shares_of_pymalloc_are_right_and_as_sure_as_they_say(void **state)
{
	struct score scores[SIMULATION_CONTEXTS] = { { 0 } };

	(void)state;
	run(shop, usual, 60, scores);
	for (uint32_t id = 1; id <= 5; id++)
		assert_unbiased(&scores[id], id == 4 ? 0.4 : 0.05);
	assert_covered(&scores[1], 0.8);
	assert_covered(&scores[2], 1.5);
	assert_covered(&scores[3], 20);
	assert_covered(&scores[4], 3);
	assert_covered(&scores[5], 0.5);
}

/* 1 leak of sizes from 100 to 5,000, 2 cache, 3 rare bursts, 4 hot loop. */
static void pages(struct simulation *simulation, GRand *random, double end)
{
	for (uint32_t id = 1; id <= 4; id++)
		simulation_context(simulation, id, FAMILY_MALLOC);
	for (double at = random_exponential(random, 0.02); at < end;
	     at += random_exponential(random, 0.02))
		simulation_block(simulation, 1, g_rand_int_range(random, 100, 5000), at, INFINITY);
	simulation_random(simulation, 2, 2000, 0, end, 100, 10);
	for (double at = random_exponential(random, 2); at < end;
	     at += random_exponential(random, 2))
		for (int i = 0; i < 10; i++)
			simulation_block(simulation, 3, 10000, at + i * 1e-4, INFINITY);
	simulation_random(simulation, 4, 700, 0, end, 1000, 2);
}

static void sums_of_malloc_are_right_and_as_sure_as_they_say(void **state)
{
	struct score scores[SIMULATION_CONTEXTS] = { { 0 } };

	(void)state;
	run(pages, usual, 60, scores);
	for (uint32_t id = 1; id <= 4; id++)
		assert_unbiased(&scores[id], 0.05);
	assert_covered(&scores[1], 0.8);
	assert_covered(&scores[2], 1.2);
	assert_covered(&scores[3], 8);
	assert_covered(&scores[4], 2);
}

/* One snapshot of @count contexts with a cell each. */
static struct snapshot *snapshot_of(const struct sample_cell *cells, guint count,
				    enum family family)
{
	struct snapshot *snapshot = g_new0(struct snapshot, 1);

	snapshot->class_step = 16;
	snapshot->malloc_own_share = 1;
	snapshot->contexts = g_array_new(false, true, sizeof(struct snapshot_context));
	snapshot->cells = g_array_new(false, true, sizeof(struct sample_cell));
	snapshot->families[family].mode = FAMILY_MODE_SAMPLED;
	snapshot->families[family].windows = 50;
	g_array_append_vals(snapshot->cells, cells, count);
	for (guint i = 0; i < count; i++) {
		struct snapshot_context context = { .id = cells[i].context, .family = family };

		context.live_blocks = cells[i].blocks;
		context.live_bytes = cells[i].size;
		g_array_append_val(snapshot->contexts, context);
	}
	return snapshot;
}

static void a_known_total_is_shared_out_by_weight(void **state)
{
	const struct sample_cell cells[] = {
		{ .context = 1,
		  .age = SURVIVOR_OLD,
		  .block_size = 64,
		  .blocks = 30,
		  .size = 1920,
		  .weight = 3000,
		  .weight_squares = 3e5,
		  .weight_products = 3e5 },
		{ .context = 2,
		  .age = SURVIVOR_OLD,
		  .block_size = 64,
		  .blocks = 10,
		  .size = 640,
		  .weight = 1000,
		  .weight_squares = 1e5,
		  .weight_products = 1e5 },
		{ .context = 3,
		  .age = SURVIVOR_OLD,
		  .block_size = 96,
		  .blocks = 5,
		  .size = 480,
		  .weight = 500,
		  .weight_squares = 5e4,
		  .weight_products = 5e4 },
	};
	struct snapshot *snapshot = snapshot_of(cells, 3, FAMILY_PYMALLOC);

	(void)state;
	snapshot->class_blocks[SURVIVOR_OLD][3] = 8000;
	snapshot->class_blocks[SURVIVOR_OLD][5] = 77;
	estimate_contexts(snapshot);
	assert_int_equal(context_of(snapshot, 1)->live_blocks, 6000);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 6000 * 64);
	assert_int_equal(context_of(snapshot, 2)->live_bytes, 2000 * 64);
	assert_int_equal(context_of(snapshot, 3)->live_bytes, 77 * 96);
	assert_true(context_of(snapshot, 1)->live_bytes_low < 5500 * 64);
	assert_true(context_of(snapshot, 1)->live_bytes_high > 6500 * 64);
	assert_true(context_of(snapshot, 1)->live_bytes_high <= 8000 * 64);
	snapshot_free(snapshot);
}

static int64_t blocks_of(const struct snapshot *snapshot, uint32_t context)
{
	return context_of(snapshot, context)->live_blocks;
}

/*
 * A steady leak, of which twice as much was seen in the first half: two thirds of the survivors are
 * old, but only half of what they stand for. (which_dict.py was taken for a cache that fills up.)
 */
static void old_blocks_count_what_they_stand_for(void **state)
{
	const struct sample_cell cell = {
		.context = 1,
		.age = SURVIVOR_OLD,
		.block_size = 64,
		.blocks = 60,
		.size = 3840,
		.weight = 8000,
		.weight_squares = 1e6,
		.weight_products = 1e6,
	};
	struct snapshot *snapshot = snapshot_of(&cell, 1, FAMILY_PYMALLOC);
	struct snapshot_context *context =
		&g_array_index(snapshot->contexts, struct snapshot_context, 0);

	(void)state;
	snapshot->class_blocks[SURVIVOR_OLD][3] = 8000;
	context->old_live_blocks = 40;
	context->old_alloc_blocks = 50;
	context->live_weight = 8000;
	context->old_live_weight = 4000;
	estimate_contexts(snapshot);
	assert_int_equal(context->live_blocks, 8000);
	assert_int_equal(context->old_live_blocks, 4000);
	assert_int_equal(context->old_alloc_blocks, 5000);
	snapshot_free(snapshot);
}

/* 1 has leaked all the time; 2's temporaries pass for survivors while they are young. */
static void young_blocks_are_taken_to_be_of_the_sites_of_recent_ones(void **state)
{
	struct sample_cell cells[] = {
		{ 1, SURVIVOR_OLD, 64, 30, 1920, 3000, 0, 0, 0, 0 },
		{ 1, SURVIVOR_RECENT, 64, 10, 640, 1000, 0, 0, 0, 0 },
		{ 1, SURVIVOR_YOUNG, 64, 10, 640, 1000, 0, 0, 0, 0 },
		{ 2, SURVIVOR_YOUNG, 64, 30, 1920, 3000, 0, 0, 0, 0 },
	};
	struct snapshot *snapshot = snapshot_of(cells, G_N_ELEMENTS(cells), FAMILY_PYMALLOC);

	(void)state;
	g_array_set_size(snapshot->contexts, 1);
	g_array_append_val(snapshot->contexts, ((struct snapshot_context){ .id = 2 }));
	snapshot->class_blocks[SURVIVOR_OLD][3] = 3000;
	snapshot->class_blocks[SURVIVOR_RECENT][3] = 1000;
	snapshot->class_blocks[SURVIVOR_YOUNG][3] = 1400;
	estimate_contexts(snapshot);
	assert_int_equal(blocks_of(snapshot, 1), 3000 + 1000 + 1000);
	assert_int_equal(blocks_of(snapshot, 2), 400);
	snapshot_free(snapshot);
}

static void blocks_of_an_age_that_nobody_saw_are_shared_out_all_the_same(void **state)
{
	for (enum survivor_age age = SURVIVOR_YOUNG; age < SURVIVOR_AGES; age++) {
		struct sample_cell cell = { 1, age, 64, 30, 1920, 3000, 0, 0, 0, 0 };
		struct snapshot *snapshot = snapshot_of(&cell, 1, FAMILY_PYMALLOC);

		(void)state;
		for (int i = 0; i < SURVIVOR_AGES; i++)
			snapshot->class_blocks[i][3] = 1000;
		estimate_contexts(snapshot);
		assert_int_equal(blocks_of(snapshot, 1), 3000);
		snapshot_free(snapshot);
	}
}

/* Weights of 1: no window was missed. */
static void what_was_seen_whole_is_exact(void **state)
{
	const struct sample_cell cell = {
		.context = 1, .blocks = 30, .size = 1920, .weight = 30, .bytes = 1920
	};
	struct snapshot *snapshot = snapshot_of(&cell, 1, FAMILY_MALLOC);
	const struct snapshot_context *context = context_of(snapshot, 1);

	(void)state;
	estimate_contexts(snapshot);
	assert_int_equal(context->live_bytes, 1920);
	assert_true(context->live_bytes_low == 1920);
	assert_true(context->live_bytes_high == 1920);
	snapshot_free(snapshot);
}

static void families_that_are_traced_whole_are_left_alone(void **state)
{
	const struct sample_cell cell = { .context = 1,
					  .blocks = 30,
					  .size = 1920,
					  .weight = 60,
					  .bytes = 3840,
					  .byte_squares = 1e6 };
	struct snapshot *snapshot = snapshot_of(&cell, 1, FAMILY_MALLOC);

	(void)state;
	snapshot->families[FAMILY_MALLOC].mode = FAMILY_MODE_EXACT;
	estimate_contexts(snapshot);
	assert_false(context_of(snapshot, 1)->estimated);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 1920);
	snapshot_free(snapshot);
}

static int64_t malloc_bytes(double own_share, int64_t private_growth, int64_t pool_growth)
{
	const struct sample_cell cell = { .context = 1,
					  .blocks = 50,
					  .size = 100000,
					  .weight = 5000,
					  .bytes = 1e7,
					  .byte_squares = 2e12 };
	struct snapshot *snapshot = snapshot_of(&cell, 1, FAMILY_MALLOC);
	int64_t bytes;

	snapshot->malloc_own_share = own_share;
	snapshot->private_growth_bytes = private_growth;
	snapshot->pool_growth_bytes = pool_growth;
	estimate_contexts(snapshot);
	bytes = context_of(snapshot, 1)->live_bytes;
	assert_true(context_of(snapshot, 1)->live_bytes_low <= bytes);
	assert_true(context_of(snapshot, 1)->live_bytes_high >= bytes);
	snapshot_free(snapshot);
	return bytes;
}

static void where_windows_were_nearly_all_cost_memory_itself_is_the_measure(void **state)
{
	(void)state;
	assert_int_equal(malloc_bytes(0.9, 50000000, 10000000), 10000000);
	assert_int_equal(malloc_bytes(0.1, 50000000, 10000000), 40000000);
	assert_int_equal(malloc_bytes(0.1, 18000000, 10000000), 8000000);
	/* Too little to tell, or less than there was. */
	assert_int_equal(malloc_bytes(0.1, 11000000, 10000000), 10000000);
	assert_int_equal(malloc_bytes(0.1, -50000000, 10000000), 10000000);
	/* Nobody's growth is all malloc's survivors' without end. */
	assert_int_equal(malloc_bytes(0.1, 50000000000, 0), 300000000);
}

/*
 * As CI saw it (tests/e2e/test_memory.py): the items of a list of 200,000, which is resized now and
 * then, seen by a window of 8 % of the time. Memory has no room for 13 of them.
 */
static void what_memory_has_no_room_for_is_not_extrapolated(void **state)
{
	const struct sample_cell few = { .context = 1,
					 .blocks = 1,
					 .size = 1600000,
					 .weight = 13,
					 .bytes = 13 * 1.6e6,
					 .byte_squares = 13 * 1.6e6 * 13 * 1.6e6 };
	struct sample_cell many = few;
	struct snapshot *snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);

	(void)state;
	snapshot->private_growth_bytes = 50000000;
	snapshot->pool_growth_bytes = 48000000;
	estimate_contexts(snapshot);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 20800000);
	snapshot_free(snapshot);
	snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	snapshot->private_growth_bytes = 50000000;
	snapshot->pool_growth_bytes = 48000000;
	estimate_contexts(snapshot);
	assert_in_range(context_of(snapshot, 1)->live_bytes, 1600000, 5 << 20);
	assert_true(context_of(snapshot, 1)->live_bytes_high > 20800000);
	snapshot_free(snapshot);
	/* There is room among chunks that were free. */
	snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	snapshot->malloc_free_growth_bytes = -20800000;
	estimate_contexts(snapshot);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 20800000);
	snapshot_free(snapshot);
	/* A good sample is believed: what was there before may have made room. */
	many.blocks = 100;
	many.size = 100 * 16000;
	many.byte_squares /= 100;
	snapshot = snapshot_of(&many, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	estimate_contexts(snapshot);
	assert_in_range(context_of(snapshot, 1)->live_bytes, 16000000, 20000000);
	snapshot_free(snapshot);
}

/*
 * As CI saw it (test_windows.py, a leak among millions of mallocs) on a crowded host: windows in
 * which the target hardly ran showed 5 blocks of the leak, which stand for a third of it.
 */
static void of_few_survivors_memory_says_how_much_they_hold(void **state)
{
	const struct sample_cell few = { .context = 1,
					 .blocks = 5,
					 .size = 1280,
					 .weight = 12500,
					 .bytes = 3.2e6,
					 .byte_squares = 5 * 0.64e6 * 0.64e6 };
	struct sample_cell many = few;
	struct snapshot *snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);

	(void)state;
	snapshot->private_growth_bytes = 5000000;
	estimate_contexts(snapshot);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 3200000); /* what is free: unknown */
	snapshot_free(snapshot);
	snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	snapshot->private_growth_bytes = 5000000;
	estimate_contexts(snapshot);
	assert_int_equal(context_of(snapshot, 1)->live_bytes, 5000000);
	snapshot_free(snapshot);
	/* Others may hold the rest, which no window has seen: five are twelve at most. */
	snapshot = snapshot_of(&few, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	snapshot->private_growth_bytes = 500000000;
	estimate_contexts(snapshot);
	assert_in_range(context_of(snapshot, 1)->live_bytes, 3200000 * 2, 3200000 / 5 * 12);
	snapshot_free(snapshot);
	many.blocks = 500;
	many.byte_squares /= 100;
	snapshot = snapshot_of(&many, 1, FAMILY_MALLOC);
	snapshot->memory.malloc_known = true;
	snapshot->private_growth_bytes = 500000000;
	estimate_contexts(snapshot);
	assert_in_range(context_of(snapshot, 1)->live_bytes, 3200000, 3600000);
	snapshot_free(snapshot);
}

static void nonsense_makes_no_estimate_that_is_none(void **state)
{
	GRand *random = g_rand_new_with_seed(5);

	(void)state;
	for (int run = 0; run < 3000; run++) {
		static const double values[] = { 0, 1, 1e12, 5, 1e3 };
		struct sample_cell cells[4] = { { 0 } };
		struct snapshot *snapshot;

		for (guint i = 0; i < 4; i++) {
			double *numbers[] = { &cells[i].weight, &cells[i].bytes,
					      &cells[i].weight_squares, &cells[i].weight_products,
					      &cells[i].byte_squares };

			cells[i].context = 1 + i / 2;
			cells[i].block_size = g_rand_int_range(random, 0, 3) * 600;
			cells[i].blocks = g_rand_int_range(random, 1, 5);
			cells[i].age = g_rand_int_range(random, 0, SURVIVOR_AGES);
			for (size_t k = 0; k < G_N_ELEMENTS(numbers); k++)
				*numbers[k] =
					values[g_rand_int_range(random, 0, G_N_ELEMENTS(values))];
		}
		snapshot = snapshot_of(cells, 4, g_rand_int_range(random, 0, FAMILY_COUNT));
		snapshot->class_step = g_rand_int_range(random, 0, 3) * 8;
		snapshot->memory.malloc_known = g_rand_boolean(random);
		snapshot->malloc_own_share = g_rand_double(random);
		for (guint i = 0; i < SNAPSHOT_MAX_CLASSES; i++)
			for (int age = 0; age < SURVIVOR_AGES; age++)
				snapshot->class_blocks[age][i] = g_rand_int_range(random, 0, 1000);
		estimate_contexts(snapshot);
		for (guint i = 0; i < snapshot->contexts->len; i++) {
			const struct snapshot_context *context =
				&g_array_index(snapshot->contexts, struct snapshot_context, i);

			assert_true(context->live_bytes >= 0 && context->live_blocks >= 0);
			assert_true(isfinite(context->live_bytes_low));
			assert_true(isfinite(context->live_bytes_high));
			assert_true(context->live_bytes_low <= context->live_bytes_high);
		}
		snapshot_free(snapshot);
	}
	g_rand_free(random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_of_pymalloc_are_right_and_as_sure_as_they_say),
		cmocka_unit_test(sums_of_malloc_are_right_and_as_sure_as_they_say),
		cmocka_unit_test(a_known_total_is_shared_out_by_weight),
		cmocka_unit_test(old_blocks_count_what_they_stand_for),
		cmocka_unit_test(young_blocks_are_taken_to_be_of_the_sites_of_recent_ones),
		cmocka_unit_test(blocks_of_an_age_that_nobody_saw_are_shared_out_all_the_same),
		cmocka_unit_test(what_was_seen_whole_is_exact),
		cmocka_unit_test(families_that_are_traced_whole_are_left_alone),
		cmocka_unit_test(where_windows_were_nearly_all_cost_memory_itself_is_the_measure),
		cmocka_unit_test(what_memory_has_no_room_for_is_not_extrapolated),
		cmocka_unit_test(of_few_survivors_memory_says_how_much_they_hold),
		cmocka_unit_test(nonsense_makes_no_estimate_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
