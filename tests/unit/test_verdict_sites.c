// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verdicts on single sites: what is known of each is written down, much of it recorded from
 * programs that were once called wrongly.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/verdict.h"

static struct verdict_evidence linear_growth(const double *times, const double *values)
{
	return (struct verdict_evidence){
		.times = times,
		.values = values,
		.count = 7,
		.intervals = 6,
		.intervals_grown = 6,
		.outstanding_blocks = 600,
		.survival_age_s = 30,
		.held_blocks = 300,
		.old_live_blocks = 300,
		.survival_known = true,
		.all_bytes = 6e6,
		.collected_ago_s = INFINITY,
	};
}

static void what_the_collector_has_yet_to_look_at_is_no_leak(void **state)
{
	const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	const double values[] = { 0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	/* Too few to hold so much. */
	evidence.uncollected = 3;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	evidence.uncollected = 11;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	evidence.uncollected = 600;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	/* It left what there was after 10 s; what there was after 20 s. */
	evidence.collected_ago_s = 50;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	evidence.collected_ago_s = 40;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/*
 * Recorded with cases.py --record from tests/targets/cases/lru.py --cache=ordered (Debian 3.11 with
 * seeds 6 and 12, pyenv 3.8 with seed 7, 3.12 with 200 and 203; an interval of 10 s), where each
 * was once called a leak: a cache that fills while more and more of its keys come back.
 */
static void recorded_caches_that_fill_are_no_leak(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50, 60, 70 };
	static const struct {
		double values[8];
		size_t count;
		double blocks;
		bool estimated;
	} caches[] = {
		{ { 0, 718944, 1330713, 1908134, 2362595, 2796384, 3013718, 3014225 },
		  8,
		  36574,
		  true },
		{ { 0, 718944, 1330713, 1908134, 2362595, 2796384, 3013718 }, 7, 36558, true },
		{ { 0, 545472, 974016, 1329152, 1626870, 1880885, 2103942 }, 7, 25452, true },
		{ { 0, 352160, 572960, 630496, 659264, 677168 }, 6, 8161, false },
		{ { 0, 158080, 262912, 339584, 361088, 387200 }, 6, 5575, false },
		{ { 0, 261952, 473280, 626368, 801920, 962496, 1070656 }, 7, 15442, false },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(caches); i++) {
		struct verdict_evidence evidence = linear_growth(times, caches[i].values);

		evidence.count = caches[i].count;
		evidence.intervals = evidence.intervals_grown = caches[i].count - 1;
		evidence.estimated = caches[i].estimated;
		evidence.outstanding_blocks = caches[i].blocks;
		evidence.survival_age_s = times[caches[i].count - 1] / 2;
		evidence.held_blocks = evidence.old_live_blocks = caches[i].blocks / 2;
		assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	}
}

/*
 * Recorded from numpy_list.py, seed 2002: one array every 1.2 s, all kept. Between two reports 27
 * are thought to have been there, but 25 had been made.
 */
static void nothing_freed_is_all_kept(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50 };
	static const double values[] = { 0, 116e6, 166e6, 237e6, 329e6, 409e6 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.count = 6;
	evidence.intervals = evidence.intervals_grown = 5;
	evidence.survival_age_s = 15;
	evidence.outstanding_blocks = 42;
	evidence.held_blocks = 26;
	evidence.old_live_blocks = 25;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	evidence.old_alloc_blocks = 25;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	assert_true(verdict_decide(&evidence).confidence >= 0.95);
}

/*
 * As CI saw it: the keys of lru.py, seed 1016, a thirtieth of what its cache holds, all but a few
 * of which were still there after 50 s.
 */
static void a_small_site_must_be_surer(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50, 60, 70, 80, 90 };
	static const double values[] = { 0,	13760, 27520, 41280,  55040,
					 68800, 82560, 96320, 110080, 123840 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.count = 6;
	evidence.intervals = evidence.intervals_grown = 5;
	evidence.survival_age_s = 25;
	evidence.outstanding_blocks = 2150;
	evidence.held_blocks = evidence.old_alloc_blocks = 1075;
	evidence.old_live_blocks = 1075 * 0.938;
	evidence.all_bytes = 2e6;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	evidence.old_live_blocks = 1075;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	/* In time a large one need not be. */
	evidence.count = 10;
	evidence.intervals = evidence.intervals_grown = 9;
	evidence.survival_age_s = 45;
	evidence.outstanding_blocks = 3870;
	evidence.held_blocks = evidence.old_alloc_blocks = 1935;
	evidence.old_live_blocks = 1935 * 0.938;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	evidence.all_bytes = 200e3;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/*
 * Recorded from queue_drains.py, seed 12001 on pyenv 3.8: a busy hour began after 50 s and was over
 * when it was called a leak.
 */
static void a_rise_that_has_just_ended_is_no_leak(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110 };
	double values[] = { 0,	   24880,  1056,   1056,   10112,  10032,
			    39568, 129664, 221616, 301952, 399968, 414224 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.count = 12;
	evidence.intervals = 11;
	evidence.intervals_grown = 8;
	evidence.survival_age_s = 60;
	evidence.outstanding_blocks = 4309;
	evidence.held_blocks = evidence.old_alloc_blocks = 101;
	evidence.old_live_blocks = 98;
	evidence.all_bytes = 457456;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	/* It goes on; and there is more to know of old blocks. */
	values[11] = 484224;
	evidence.survival_age_s = 30;
	evidence.held_blocks = evidence.old_alloc_blocks = 2316;
	evidence.old_live_blocks = 2300;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	values[11] = 414224;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
}

/*
 * The same with seed 12016, in the middle of its busy hour: jobs are done within 20 s, but of those
 * that are asked for after 60 s there were none then.
 */
static void a_rise_that_began_later_than_old_blocks_must_last(void **state)
{
	double times[14], values[14] = { 0 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	for (int i = 0; i < 14; i++) {
		times[i] = i * 10;
		values[i] = i < 7 ? 528 : 528 + 90e3 * (i - 6);
	}
	evidence.count = 13;
	evidence.intervals = 12;
	evidence.intervals_grown = 8;
	evidence.survival_age_s = 60;
	evidence.outstanding_blocks = 5704;
	evidence.held_blocks = evidence.old_alloc_blocks = evidence.old_live_blocks = 1;
	evidence.all_bytes = 605616;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	/* A leak that begins so late is told from that when more of it is old, */
	evidence.held_blocks = evidence.old_alloc_blocks = evidence.old_live_blocks = 600;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	/* or it has lasted, however long the trace was before. */
	evidence.held_blocks = evidence.old_alloc_blocks = evidence.old_live_blocks = 1;
	for (int i = 0; i < 14; i++)
		times[i] = i < 7 ? i * 10 : 60 + (i - 6) * 15;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/* A few large objects that come by chance: gains that happen to fall say nothing. */
static void few_blocks_whose_gains_fall_by_chance_are_a_leak(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	static const double values[] = { 0, 9e7, 18e7, 26e7, 33e7, 39e7, 44e7 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.outstanding_blocks = 44;
	evidence.old_live_blocks = evidence.held_blocks = 26;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/* Recorded from tests/targets/cases/cycles.py --gc=on, seed 300: collected at 22 s or so. */
static void what_fell_when_the_collector_ran_is_no_leak(void **state)
{
	static const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	static const double values[] = { 0,	   15704016, 27863856, 18355024,
					 34273424, 48644144, 64783568 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.intervals_grown = 5;
	evidence.outstanding_blocks = 586;
	evidence.uncollected = 586;
	evidence.collected_ago_s = 40;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
}

/* Of a process whose memory in use rises by a bit more than the site claims. */
static struct curve_summary rising_memory(double bytes, double seconds)
{
	return (struct curve_summary){
		.trend = CURVE_GROWING,
		.lasting = true,
		.p_up = 1e-5,
		.rise_bytes = bytes,
		.most_bytes_per_s = bytes / seconds,
		.spans_grown = 8,
	};
}

/* What a recording of samples says of a site, and the curve of all that it had. */
struct recorded {
	double values[7]; /* bytes, at 0, 10 ... 60 s */
	double observed_fraction, relative_error;
	double blocks, old, held; /* outstanding, of these old, old ones held: in blocks */
	double all_bytes;
};

static const double SAMPLED_AT[] = { 0, 10, 20, 30, 40, 50, 60 };

static struct verdict_evidence sampled_growth(const struct recorded *recorded)
{
	struct verdict_evidence evidence = linear_growth(SAMPLED_AT, recorded->values);

	evidence.estimated = true;
	evidence.observed_fraction = recorded->observed_fraction;
	evidence.relative_error = recorded->relative_error;
	evidence.outstanding_blocks = recorded->blocks;
	evidence.old_live_blocks = recorded->old;
	evidence.held_blocks = recorded->held;
	evidence.all_bytes = recorded->all_bytes;
	return evidence;
}

/*
 * Recorded with cases.py --record: the pictures of pyplot_loop.py --figures=kept (seeds 500, 501
 * and 503) and the windows of charts_tk.py (seed 501), few large blocks under deep stacks, which
 * windows show in a few jumps. Such an estimate is a leak where the memory in use, which is
 * measured, rises.
 */
static void recorded_jumps_are_a_leak_where_memory_rises(void **state)
{
	static const struct recorded sites[] = {
		{ .values = { 0, 2541152, 3811728, 14316981, 15587557, 47444998, 70143569 },
		  .relative_error = 0.5,
		  .blocks = 166,
		  .old = 66,
		  .held = 34 },
		{ .values = { 0, 34654762, 49966530, 74799279, 88421612, 99087049, 108789699 },
		  .relative_error = 0.38,
		  .blocks = 249,
		  .old = 170,
		  .held = 177 },
		{ .values = { 0, 2541152, 3811728, 15218426, 25503628, 79138659, 98980940 },
		  .relative_error = 0.52,
		  .blocks = 234,
		  .old = 84,
		  .held = 36 },
		{ .values = { 0, 16132392, 30973481, 31333497, 62300635, 62660651, 62660651 },
		  .relative_error = 0.73,
		  .blocks = 174,
		  .old = 124,
		  .held = 87 },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(sites); i++) {
		double bytes = sites[i].values[6];
		struct recorded recorded = sites[i];
		struct curve_summary memory = rising_memory(1.2 * bytes, 60);
		struct verdict_evidence evidence;
		struct verdict_result result;

		recorded.observed_fraction = 0.1;
		recorded.all_bytes = 1.5 * bytes;
		evidence = sampled_growth(&recorded);
		evidence.intervals_grown = 5;
		assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
		evidence.memory = &memory;
		result = verdict_decide(&evidence);
		assert_int_equal(result.verdict, VERDICT_LEAK);
		assert_true(result.with_memory);
		assert_true(result.confidence >= 0.95);
		memory.lasting = false;
		assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	}
}

/*
 * Recorded from which_dict.py on pyenv 3.8, seed 3004: the curve is nearly straight, for the totals
 * of its size classes are known, but five sixths of the survivors that windows saw were old.
 */
static void a_straight_curve_needs_no_ages(void **state)
{
	static const struct recorded recorded = {
		.values = { 0, 996000, 1890000, 2790000, 3760000, 4706268, 5614968 },
		.observed_fraction = 0.1,
		.relative_error = 0.07,
		.blocks = 58795,
		.old = 49465,
		.held = 27751,
		.all_bytes = 6134428,
	};
	struct verdict_evidence evidence = sampled_growth(&recorded);
	struct curve_summary memory = rising_memory(5136337, 60);

	(void)state;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	evidence.memory = &memory;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/* However well the samples look: what the process has not got, the site does not hold. */
static void memory_in_use_contradicts_an_estimate(void **state)
{
	const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	const double values[] = { 0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6 };
	struct verdict_evidence evidence = linear_growth(times, values);
	struct curve_summary memory = { .trend = CURVE_FLAT, .p_up = 0.5, .most_bytes_per_s = 2e4 };

	(void)state;
	evidence.memory = &memory;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	evidence.estimated = true;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	/* That it might have grown so much is not enough: it must have grown. */
	memory.most_bytes_per_s = 1e5;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	memory.trend = CURVE_GROWING;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

/* An interval from nothing to a multiple: recorded from pyplot_loop.py --figures=closed, seed 1000.
 */
static void an_estimate_that_says_nothing_is_no_leak(void **state)
{
	const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	const double values[] = { 0, 1e6, 2e6, 3e6, 4e6, 5e6, 6e6 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.estimated = true;
	evidence.relative_error = 0.3;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	evidence.relative_error = 1.4;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
}

/*
 * Recorded from lru.py while the cache fills, which memory in use shows too: all of it, sampled
 * (pyenv 3.12, seed 1013), and its keys, a small part of what is outstanding (--cache=ordered,
 * pyenv 3.12, seed 1004; exact).
 */
static void recorded_caches_are_no_leak_though_memory_rises(void **state)
{
	static const struct recorded all = {
		.values = { 0, 695252, 1335616, 1843826, 2262807, 2640711, 2946008 },
		.observed_fraction = 0.5,
		.relative_error = 0.09,
		.blocks = 42502,
		.old = 18367,
		.held = 26603,
		.all_bytes = 3417880,
	};
	static const double keys[] = { 0, 8992, 18048, 25792, 32192, 37824 };
	struct verdict_evidence evidence = sampled_growth(&all);
	struct curve_summary memory = rising_memory(2624512, 60);

	(void)state;
	evidence.memory = &memory;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	assert_true(verdict_decide(&evidence).fades);
	evidence = linear_growth(SAMPLED_AT, keys);
	evidence.count = 6;
	evidence.intervals = evidence.intervals_grown = 5;
	evidence.survival_age_s = 25;
	evidence.outstanding_blocks = 1182;
	evidence.old_live_blocks = 520;
	evidence.held_blocks = 681;
	evidence.all_bytes = 2193768;
	evidence.memory = &memory;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
	assert_true(verdict_decide(&evidence).fades);
}

/* Of samples, a leak of next to nothing may be anything. */
static void a_trifle_among_estimates_is_no_leak(void **state)
{
	const double times[] = { 0, 10, 20, 30, 40, 50, 60 };
	const double values[] = { 0, 1e5, 2e5, 3e5, 4e5, 5e5, 6e5 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.estimated = true;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	evidence.all_bytes = 1e8;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
}

/* The last report comes when the trace ends: its interval may be next to nothing. */
static void a_short_last_interval_changes_nothing(void **state)
{
	const double times[] = { 0, 10, 20, 30, 40, 50, 60, 60.5 };
	const double values[] = { 0, 1.1e6, 2e6, 3e6, 3.9e6, 5e6, 6e6, 6e6 };
	struct verdict_evidence evidence = linear_growth(times, values);

	(void)state;
	evidence.count = 8;
	evidence.intervals = 7;
	/* A bit slower than before. */
	evidence.old_live_blocks = evidence.held_blocks = 330;
	assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
}

static void three_quarters_of_a_minute_must_pass(void **state)
{
	double times[61], values[61];
	struct verdict_evidence evidence;

	(void)state;
	for (int i = 0; i <= 60; i++) {
		times[i] = i;
		values[i] = i * 1e5;
	}
	evidence = linear_growth(times, values);
	for (int last = 5; last <= 60; last++) {
		evidence.count = last + 1;
		evidence.intervals = evidence.intervals_grown = last;
		evidence.survival_age_s = last / 2.0;
		evidence.outstanding_blocks = last * 100;
		evidence.held_blocks = evidence.old_live_blocks = last * 50;
		if (last < 45)
			assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_GROWING);
		else if (last > 50)
			assert_int_equal(verdict_decide(&evidence).verdict, VERDICT_LEAK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_collector_has_yet_to_look_at_is_no_leak),
		cmocka_unit_test(recorded_caches_that_fill_are_no_leak),
		cmocka_unit_test(nothing_freed_is_all_kept),
		cmocka_unit_test(a_small_site_must_be_surer),
		cmocka_unit_test(a_rise_that_has_just_ended_is_no_leak),
		cmocka_unit_test(a_rise_that_began_later_than_old_blocks_must_last),
		cmocka_unit_test(few_blocks_whose_gains_fall_by_chance_are_a_leak),
		cmocka_unit_test(what_fell_when_the_collector_ran_is_no_leak),
		cmocka_unit_test(recorded_jumps_are_a_leak_where_memory_rises),
		cmocka_unit_test(a_straight_curve_needs_no_ages),
		cmocka_unit_test(memory_in_use_contradicts_an_estimate),
		cmocka_unit_test(an_estimate_that_says_nothing_is_no_leak),
		cmocka_unit_test(recorded_caches_are_no_leak_though_memory_rises),
		cmocka_unit_test(a_trifle_among_estimates_is_no_leak),
		cmocka_unit_test(a_short_last_interval_changes_nothing),
		cmocka_unit_test(three_quarters_of_a_minute_must_pass),
	};

	return cmocka_run_group_tests_name("verdicts on sites", tests, NULL, NULL);
}
