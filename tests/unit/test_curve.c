// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory curve: kept in bounded memory, and what it says of made-up processes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/curve.h"

static const double MIB = 1 << 20;

static void add(struct curve *curve, double time, double in_use, double unused)
{
	struct curve_point point = {
		.elapsed_s = time,
		.rss_bytes = in_use + unused + 8 * MIB,
		.in_use_bytes = in_use,
		.unused_bytes = unused,
	};

	curve_add(curve, &point);
}

/* What a process used and its allocators held besides after so many seconds. */
typedef void (*process)(double time, GRand *random, double *in_use, double *unused);

static void flat(double time, GRand *random, double *in_use, double *unused)
{
	(void)time;
	*in_use = 200 * MIB + g_rand_double_range(random, -MIB, MIB);
	*unused = 3 * MIB;
}

static void leak(double time, GRand *random, double *in_use, double *unused)
{
	*in_use = 100 * MIB + time * MIB / 4 + g_rand_double_range(random, -MIB, MIB);
	*unused = 2 * MIB;
}

static void leak_of_a_fragmented_process(double time, GRand *random, double *in_use, double *unused)
{
	leak(time, random, in_use, unused);
	*unused = 60 * MIB;
}

static void sawtooth(double time, GRand *random, double *in_use, double *unused)
{
	*in_use = 100 * MIB + fmod(time, 7) * 5 * MIB + g_rand_double_range(random, 0, MIB);
	*unused = 5 * MIB;
}

static void warm_up(double time, GRand *random, double *in_use, double *unused)
{
	*in_use = 50 * MIB + MIN(time, 20) * 2 * MIB + g_rand_double_range(random, 0, MIB / 4);
	*unused = MIB;
}

static void batch_that_fragments(double time, GRand *random, double *in_use, double *unused)
{
	bool batch = time > 5 && time < 15;

	*in_use = (batch ? 180 : 40) * MIB + g_rand_double_range(random, 0, MIB / 4);
	*unused = (time < 15 ? 1 : 139) * MIB;
}

/* Every round leaves more holes. */
static void ever_more_fragments(double time, GRand *random, double *in_use, double *unused)
{
	*in_use = 80 * MIB + g_rand_double_range(random, -MIB / 2, MIB / 2);
	*unused = 10 * MIB + time * MIB;
}

static void draining(double time, GRand *random, double *in_use, double *unused)
{
	*in_use = 300 * MIB - time * 3 * MIB + g_rand_double_range(random, -MIB, MIB);
	*unused = 2 * MIB;
}

static struct curve_summary watch(process process, int seed, double seconds, double every)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);
	struct curve *curve = curve_new();
	struct curve_summary summary;

	for (double time = every; time <= seconds; time += every) {
		double in_use = 0, unused = 0;

		process(time, random, &in_use, &unused);
		add(curve, time, in_use, unused);
	}
	summary = curve_summarise(curve);
	curve_free(curve);
	return summary;
}

static void growth_is_told_from_fragmentation_and_from_what_stays(void **state)
{
	static const struct {
		const char *name;
		process process;
		enum curve_trend trend;
		bool lasting; /* by looks as far apart as on a large process */
	} cases[] = {
		{ "flat", flat, CURVE_FLAT, false },
		{ "leak", leak, CURVE_GROWING, true },
		{ "leak, fragmented", leak_of_a_fragmented_process, CURVE_GROWING, true },
		{ "sawtooth", sawtooth, CURVE_FLAT, false },
		{ "warm-up", warm_up, CURVE_FLAT, false },
		{ "batch", batch_that_fragments, CURVE_FRAGMENTED, false },
		{ "ever more fragments", ever_more_fragments, CURVE_FRAGMENTED, false },
		{ "draining", draining, CURVE_SHRINKING, false },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (int seed = 0; seed < 20; seed++) {
			struct curve_summary summary = watch(cases[i].process, seed, 90, 0.5);

			if (summary.trend != cases[i].trend)
				fail_msg("%s, seed %d: %s, slope %.0f", cases[i].name, seed,
					 curve_trend_name(summary.trend), summary.bytes_per_s);
			summary = watch(cases[i].process, seed, 60, 3);
			if (summary.lasting != cases[i].lasting)
				fail_msg("%s, seed %d: p %.4f, by %.0f", cases[i].name, seed,
					 summary.p_up, summary.rise_bytes);
		}
	}
}

static void a_rise_is_measured(void **state)
{
	struct curve_summary summary = watch(leak, 1, 60, 3);

	(void)state;
	assert_true(summary.p_up < 0.001);
	assert_true(fabs(summary.rise_bytes - 57 * MIB / 4) < 3 * MIB);
	assert_true(summary.most_bytes_per_s > MIB / 5 && summary.most_bytes_per_s < MIB / 2);
	assert_in_range(summary.spans_grown, 6, 10);
	/* Too short, whatever it does. */
	summary = watch(leak, 1, 42, 3);
	assert_int_equal(summary.trend, CURVE_GROWING);
	assert_false(summary.lasting);
	summary = watch(leak, 1, 60, 12);
	assert_int_equal(summary.trend, CURVE_UNKNOWN);
	assert_false(summary.lasting);
}

/* Of a sawtooth nothing, however high its teeth are; of a leak all of it. */
static void what_stays_is_the_rise_of_the_floor(void **state)
{
	(void)state;
	assert_true(fabs(watch(sawtooth, 1, 60, 1).floor_rise_bytes) < 2 * MIB);
	assert_true(fabs(watch(leak, 1, 60, 1).floor_rise_bytes - 60 * MIB / 4) < 4 * MIB);
	assert_true(watch(draining, 1, 60, 1).floor_rise_bytes < 0);
	assert_true(isinf(watch(leak, 1, 3, 1).floor_rise_bytes));
}

static void slopes_and_peaks_are_measured(void **state)
{
	struct curve_summary summary = watch(leak, 1, 90, 0.5);

	(void)state;
	assert_true(fabs(summary.bytes_per_s - MIB / 4) < MIB / 50);
	assert_true(fabs(summary.rise_bytes - 89.5 * MIB / 4) < 3 * MIB);
	summary = watch(batch_that_fragments, 1, 90, 0.5);
	assert_true(summary.peak_bytes >= 180 * MIB && summary.peak_bytes < 181 * MIB);
	assert_true(summary.first.elapsed_s == 0.5 && summary.last.elapsed_s == 90);
}

static void a_few_looks_say_nothing(void **state)
{
	struct curve *curve = curve_new();

	(void)state;
	assert_int_equal(curve_summarise(curve).trend, CURVE_UNKNOWN);
	for (int i = 0; i < 5; i++)
		add(curve, i, i * 100 * MIB, 0);
	assert_int_equal(curve_summarise(curve).trend, CURVE_UNKNOWN);
	add(curve, 5, 500 * MIB, 0);
	assert_int_equal(curve_summarise(curve).trend, CURVE_GROWING);
	curve_free(curve);
}

/* A week of looks: few are kept, evenly, with the first and always the newest. */
static void a_long_trace_stays_small(void **state)
{
	struct curve *curve = curve_new();
	const double week = 7 * 86400;

	(void)state;
	for (double time = 0.5; time <= week; time += 7.5) {
		g_autoptr(GArray) points = NULL;

		add(curve, time, 100 * MIB + time, 0);
		if (fmod(time, 1000) > 7.5)
			continue;
		points = curve_points(curve);
		assert_in_range(points->len, 1, CURVE_MAX_POINTS);
		assert_true(g_array_index(points, struct curve_point, 0).elapsed_s == 0.5);
		assert_true(g_array_index(points, struct curve_point, points->len - 1).elapsed_s ==
			    time);
	}
	g_autoptr(GArray) points = curve_points(curve);

	assert_true(points->len > CURVE_MAX_POINTS / 3);
	for (guint i = 1; i < points->len; i++) {
		double gap = g_array_index(points, struct curve_point, i).elapsed_s -
			     g_array_index(points, struct curve_point, i - 1).elapsed_s;

		assert_true(gap > 0 && gap < 4 * week / CURVE_MAX_POINTS);
	}
	assert_true(fabs(curve_summarise(curve).bytes_per_s - 1) < 0.01);
	curve_free(curve);
}

static void time_never_runs_backwards(void **state)
{
	static const double times[] = { 1, 2, 3, 2.5, 2.5, 1, 0, -1, NAN, INFINITY, 4 };
	struct curve *curve = curve_new();
	g_autoptr(GArray) points = NULL;

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
		add(curve, times[i], i * MIB, 0);
	points = curve_points(curve);
	for (guint i = 1; i < points->len; i++)
		assert_true(g_array_index(points, struct curve_point, i).elapsed_s >=
			    g_array_index(points, struct curve_point, i - 1).elapsed_s);
	assert_true(g_array_index(points, struct curve_point, points->len - 1).elapsed_s == 4);
	curve_free(curve);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_told_from_fragmentation_and_from_what_stays),
		cmocka_unit_test(a_rise_is_measured),
		cmocka_unit_test(what_stays_is_the_rise_of_the_floor),
		cmocka_unit_test(slopes_and_peaks_are_measured),
		cmocka_unit_test(a_few_looks_say_nothing),
		cmocka_unit_test(a_long_trace_stays_small),
		cmocka_unit_test(time_never_runs_backwards),
	};

	return cmocka_run_group_tests_name("curve", tests, NULL, NULL);
}
