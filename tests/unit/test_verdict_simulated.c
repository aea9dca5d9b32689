// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verdicts on simulated programs: blocks are born and die by a known rule, snapshots are taken as
 * collect/ takes them (survival is judged at half of the time since attach), and all that analysis
 * says is held against what the program really does.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "analyse/verdict.h"

enum { BLOCK_SIZE = 1024, INTERVAL = 10 };

struct life {
	double born, died; /* seconds since attach */
};

static const double NEVER = INFINITY;

static void add_block(GArray *blocks, double born, double died)
{
	struct life block = { born, died };

	g_array_append_val(blocks, block);
}

/* Blocks that come at @rate a second from @from to @to and live for @life seconds. */
static void add_steady(GArray *blocks, double from, double to, double rate, double life)
{
	double born;

	for (born = from; born < to; born += 1 / rate)
		add_block(blocks, born, born + life);
}

/* The same at random moments, with exponentially distributed lives. */
static void add_random(GArray *blocks, GRand *random, double to, double rate, double mean_life)
{
	double born = 0;

	while ((born -= log(1 - g_rand_double(random)) / rate) < to)
		add_block(blocks, born, born - mean_life * log(1 - g_rand_double(random)));
}

static struct snapshot *take_snapshot(const GArray *blocks, double time)
{
	struct snapshot *snapshot = g_new0(struct snapshot, 1);
	struct snapshot_context context = { .id = 1, .family = FAMILY_PYMALLOC };
	double oldest = time;
	guint i;

	for (i = 0; i < blocks->len; i++) {
		const struct life *block = &g_array_index(blocks, struct life, i);
		bool old = block->born <= time / 2, live = block->died > time;

		if (block->born > time)
			continue;
		context.alloc_blocks++;
		context.live_blocks += live;
		context.old_alloc_blocks += old;
		context.old_live_blocks += old && live;
		if (live)
			oldest = MIN(oldest, block->born);
	}
	context.alloc_bytes = context.alloc_blocks * BLOCK_SIZE;
	context.live_bytes = context.live_blocks * BLOCK_SIZE;
	snapshot->attached_ns = 1000000000;
	snapshot->taken_ns = snapshot->attached_ns + (uint64_t)(time * 1e9);
	snapshot->survival_age_ns = (uint64_t)(time / 2 * 1e9);
	context.oldest_born_ns = snapshot->attached_ns + (uint64_t)(oldest * 1e9);
	snapshot->coverage = -1;
	snapshot->contexts = g_array_new(FALSE, FALSE, sizeof(context));
	g_array_append_val(snapshot->contexts, context);
	return snapshot;
}

static const struct stack *no_stack(void *context, uint32_t id)
{
	static const struct stack empty;

	(void)context;
	(void)id;
	return &empty;
}

static const struct analysis_sources sources = { .stack = no_stack };

/* What was said at the end of each interval; a site that is not listed holds nothing: steady. */
struct verdicts {
	enum verdict at[100];
	double confidence[100];
	int count;
};

static struct verdicts watch(GArray *blocks, double until)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	struct verdicts verdicts = { .count = 0 };
	double time;

	for (time = INTERVAL; time <= until; time += INTERVAL) {
		struct snapshot *snapshot = take_snapshot(blocks, time);
		struct report *report = analysis_add(analysis, snapshot, &sources);

		verdicts.at[verdicts.count] = VERDICT_STEADY;
		if (report->sites->len) {
			const struct site *site = &g_array_index(report->sites, struct site, 0);

			verdicts.at[verdicts.count] = site->verdict;
			verdicts.confidence[verdicts.count] = site->confidence;
			assert_true(site->confidence >= 0 && site->confidence <= 1);
			assert_true(site->growth_bytes_per_s_low <= site->growth_bytes_per_s);
			assert_true(site->growth_bytes_per_s <= site->growth_bytes_per_s_high);
			assert_true(isfinite(site->growth_bytes_per_s_low));
			assert_true(isfinite(site->growth_bytes_per_s_high));
		}
		verdicts.count++;
		report_free(report);
		snapshot_free(snapshot);
	}
	analysis_free(analysis);
	g_array_set_size(blocks, 0);
	return verdicts;
}

static enum verdict last(const struct verdicts *verdicts)
{
	return verdicts->at[verdicts->count - 1];
}

/* How many reports from @time on said leak. */
static int leaks_from(const struct verdicts *verdicts, double time)
{
	int i, leaks = 0;

	for (i = 0; i < verdicts->count; i++) {
		bool late_enough = (i + 1) * INTERVAL >= time;

		leaks += late_enough && verdicts->at[i] == VERDICT_LEAK;
	}
	return leaks;
}

static GArray *blocks_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct life));
}

static void a_linear_leak_is_called_within_a_minute(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;

	(void)state;
	add_steady(blocks, 0, 500, 10, NEVER);
	verdicts = watch(blocks, 500);
	assert_int_equal(leaks_from(&verdicts, 0), verdicts.count - 4);
	assert_int_equal(leaks_from(&verdicts, 50), verdicts.count - 4);
	assert_int_equal(verdicts.at[0], VERDICT_GROWING);
	assert_true(verdicts.confidence[4] >= 0.95 && verdicts.confidence[4] < 0.97);
	assert_true(verdicts.confidence[verdicts.count - 1] >= 0.98);
}

static void one_block_every_two_intervals_is_a_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;

	(void)state;
	add_steady(blocks, 3, 400, 0.05, NEVER);
	verdicts = watch(blocks, 400);
	assert_int_equal(last(&verdicts), VERDICT_LEAK);
}

/* Ten intervals without anything, then a leak: a request that nobody made before. */
static void a_leak_that_begins_late_is_found(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;

	(void)state;
	add_steady(blocks, 100, 300, 10, NEVER);
	verdicts = watch(blocks, 300);
	assert_int_equal(last(&verdicts), VERDICT_LEAK);
}

/* The same line makes 200 short-lived blocks a second and leaks 5: over 100 seeds. */
static void a_slow_leak_among_temporaries_is_found(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	int seed, found = 0;

	(void)state;
	for (seed = 0; seed < 100; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		struct verdicts verdicts;

		add_random(blocks, random, 200, 200, 2);
		add_random(blocks, random, 200, 5, 1e9);
		verdicts = watch(blocks, 200);
		found += last(&verdicts) == VERDICT_LEAK;
	}
	print_message("slow leak found in %d of 100 runs\n", found);
	assert_in_range(found, 90, 100);
}

/* Each interval leaks between half and one and a half times the mean: load is never even. */
static void an_uneven_leak_is_found(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	int seed, interval, found[2] = { 0 };

	(void)state;
	for (seed = 0; seed < 200; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		struct verdicts verdicts;

		for (interval = 0; interval < 24; interval++)
			add_steady(blocks, interval * INTERVAL, (interval + 1) * INTERVAL,
				   g_rand_double_range(random, 5, 15), NEVER);
		verdicts = watch(blocks, 24 * INTERVAL);
		found[0] += verdicts.at[11] == VERDICT_LEAK;
		found[1] += last(&verdicts) == VERDICT_LEAK;
	}
	print_message("uneven leak found in %d of 200 runs after 12 intervals, %d after 24\n",
		      found[0], found[1]);
	assert_in_range(found[0], 170, 200);
	assert_in_range(found[1], 190, 200);
}

static void warm_up_that_stopped_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	double length;

	(void)state;
	for (length = 5; length <= 100; length += 5) {
		struct verdicts verdicts;

		add_steady(blocks, 0, length, 10, NEVER);
		verdicts = watch(blocks, 400);
		/* Until a third of the growth's time has gone by without growth nobody can tell. */
		assert_int_equal(leaks_from(&verdicts, MAX(length * 4 / 3, length + 30) + 1), 0);
		assert_int_equal(last(&verdicts), VERDICT_STEADY);
	}
}

/* Distinct keys become rare: the size is 1 - exp(-t/30 s). */
static void a_cache_that_fills_ever_slower_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++)
		add_block(blocks, -30 * log(1 - (i + 0.5) / 2000), NEVER);
	verdicts = watch(blocks, 400);
	assert_int_equal(leaks_from(&verdicts, 50), 0);
	assert_int_equal(last(&verdicts), VERDICT_STEADY);
}

static void a_bounded_cache_is_no_leak_once_full(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;
	double life;

	(void)state;
	for (life = 15; life <= 95; life += 20) {
		add_steady(blocks, 0, 500, 20, life);
		verdicts = watch(blocks, 500);
		assert_int_equal(leaks_from(&verdicts, MAX(life * 4 / 3, life + 30) + 1), 0);
		assert_int_equal(last(&verdicts), VERDICT_STEADY);
	}
}

/* A growing cache is indistinguishable from a leak up to its first release; from then on it is not.
 */
static void a_sawtooth_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	double period, start, born;

	(void)state;
	for (period = 7; period <= 70; period += 9) {
		struct verdicts verdicts;

		for (start = 0; start < 600; start += period)
			for (born = start; born < start + period; born += 0.1)
				add_block(blocks, born, start + period);
		verdicts = watch(blocks, 600);
		assert_int_equal(leaks_from(&verdicts, period + INTERVAL), 0);
	}
}

/* Fills for 50 s, drains for 50 s, rests for 20 s, again and again. */
static void a_queue_that_grows_and_drains_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;
	double start, born;

	(void)state;
	for (start = 0; start < 600; start += 120)
		for (born = 0; born < 50; born += 0.2)
			add_block(blocks, start + born, start + 50 + born);
	verdicts = watch(blocks, 600);
	assert_int_equal(leaks_from(&verdicts, 80), 0);
}

static void one_big_load_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	double at;

	(void)state;
	for (at = 5; at < 100; at += 10) {
		struct verdicts verdicts;

		add_steady(blocks, at, at + 3, 500, NEVER);
		verdicts = watch(blocks, 300);
		assert_int_equal(leaks_from(&verdicts, 0), 0);
		assert_int_equal(last(&verdicts), VERDICT_STEADY);
	}
}

static void what_is_given_back_bit_by_bit_is_shrinking(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	struct verdicts verdicts;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		add_block(blocks, i / 1000.0, 20 + i * 0.4);
	verdicts = watch(blocks, 200);
	assert_int_equal(last(&verdicts), VERDICT_SHRINKING);
}

/*
 * Working memory that comes and goes at random, 300 processes for each mean life. Each is judged at
 * every report once it has had three mean lives to fill up: until then it does grow.
 */
static void working_memory_is_hardly_ever_called_a_leak(void **state)
{
	static const double lives[] = { 0.5, 3, 10, 30 };
	g_autoptr(GArray) blocks = blocks_new();
	int judged = 0, leaks = 0, seed;
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(lives); i++) {
		for (seed = 0; seed < 300; seed++) {
			g_autoptr(GRand) random = g_rand_new_with_seed(seed);
			struct verdicts verdicts;

			add_random(blocks, random, 300, 10, lives[i]);
			verdicts = watch(blocks, 300);
			leaks += leaks_from(&verdicts, 3 * lives[i]);
			judged += verdicts.count - (int)(3 * lives[i] / INTERVAL);
		}
	}
	print_message("false leaks: %d of %d verdicts\n", leaks, judged);
	/* One in a thousand. */
	assert_true(leaks * 1000 <= judged);
}

/* Ever fewer keys are new, to the very end of the trace: 1 - exp(-t/80 s). */
static void a_cache_that_is_slow_to_fill_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	int seed, leaks = 0;

	(void)state;
	for (seed = 0; seed < 100; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		struct verdicts verdicts;

		for (double born = 0; born < 180; born -= log(1 - g_rand_double(random)) / 100)
			if (g_rand_double(random) < exp(-born / 80))
				add_block(blocks, born, NEVER);
		verdicts = watch(blocks, 180);
		leaks += leaks_from(&verdicts, 0) > 0;
	}
	print_message("slowly filled caches called leaks: %d of 100\n", leaks);
	assert_in_range(leaks, 0, 2);
}

/* A minute of growth during which the oldest are served, a minute of draining. */
static void a_queue_with_a_long_busy_hour_is_no_leak(void **state)
{
	g_autoptr(GArray) blocks = blocks_new();
	int leaks = 0;
	double phase;

	(void)state;
	for (phase = 0; phase <= 60; phase++) {
		struct verdicts verdicts;
		double served = -phase; /* attach comes at 0 */

		for (double time = -phase; time < 200; time += 0.1) {
			bool busy = fmod(time + phase, 120) < 60;

			/* 10 a second come in busy hours, 7 are served */
			if (!busy && fmod(time + phase, 0.3) > 0.11)
				continue;
			served = MAX(served + 0.1 / 0.7, time);
			if (time >= 0)
				add_block(blocks, time, served);
		}
		verdicts = watch(blocks, 200);
		leaks += leaks_from(&verdicts, 0) > 0;
	}
	print_message("queues called leaks: %d of 61\n", leaks);
	assert_int_equal(leaks, 0);
}

/* Sizes that jump about without any trend, all else unknown: noise must not add up to a leak. */
static void noise_without_survival_is_no_leak(void **state)
{
	int seed, leaks = 0, i, judged = 0;

	(void)state;
	for (seed = 0; seed < 300; seed++) {
		const struct analysis_options options = { .top = 1 };
		struct analysis *analysis = analysis_new(&options);
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);

		for (i = 1; i <= 30; i++) {
			g_autoptr(GArray) none = blocks_new();
			struct snapshot *snapshot = take_snapshot(none, i * INTERVAL);
			struct snapshot_context *context =
				&g_array_index(snapshot->contexts, struct snapshot_context, 0);
			struct report *report;

			context->live_blocks = g_rand_int_range(random, 800, 1200);
			context->live_bytes = context->live_blocks * BLOCK_SIZE;
			report = analysis_add(analysis, snapshot, &sources);
			leaks += g_array_index(report->sites, struct site, 0).verdict ==
				 VERDICT_LEAK;
			judged++;
			report_free(report);
			snapshot_free(snapshot);
		}
		analysis_free(analysis);
	}
	print_message("false leaks in noise: %d of %d verdicts\n", leaks, judged);
	assert_true(leaks * 1000 <= judged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_linear_leak_is_called_within_a_minute),
		cmocka_unit_test(one_block_every_two_intervals_is_a_leak),
		cmocka_unit_test(a_leak_that_begins_late_is_found),
		cmocka_unit_test(a_slow_leak_among_temporaries_is_found),
		cmocka_unit_test(an_uneven_leak_is_found),
		cmocka_unit_test(warm_up_that_stopped_is_no_leak),
		cmocka_unit_test(a_cache_that_fills_ever_slower_is_no_leak),
		cmocka_unit_test(a_bounded_cache_is_no_leak_once_full),
		cmocka_unit_test(a_sawtooth_is_no_leak),
		cmocka_unit_test(a_queue_that_grows_and_drains_is_no_leak),
		cmocka_unit_test(one_big_load_is_no_leak),
		cmocka_unit_test(what_is_given_back_bit_by_bit_is_shrinking),
		cmocka_unit_test(working_memory_is_hardly_ever_called_a_leak),
		cmocka_unit_test(a_cache_that_is_slow_to_fill_is_no_leak),
		cmocka_unit_test(a_queue_with_a_long_busy_hour_is_no_leak),
		cmocka_unit_test(noise_without_survival_is_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
