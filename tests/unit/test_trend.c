// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/trend.h"

static void assert_close(double value, double expected, double tolerance)
{
	if (!(fabs(value - expected) <= tolerance))
		fail_msg("%.6f is not %.6f within %.6f", value, expected, tolerance);
}

/* 1 of 5! orders is all upward: 1/120. */
static void short_series_are_judged_exactly(void **state)
{
	const double up[] = { 1, 2, 3, 4, 5 }, one_swap[] = { 1, 3, 2, 4, 5 };

	(void)state;
	assert_close(mann_kendall(up, 5).p_up, 1.0 / 120, 1e-12);
	assert_close(mann_kendall(up, 5).p_down, 1, 1e-12);
	/* 1 order without an inversion and 4 with one. */
	assert_close(mann_kendall(one_swap, 5).p_up, 5.0 / 120, 1e-12);
}

/* By hand: S = 5 of 6 pairs with a tie pair, variance (4*3*13 - 2*1*9) / 18 = 7.667. */
static void ties_make_a_trend_less_sure(void **state)
{
	const double ties[] = { 1, 2, 2, 3 };

	(void)state;
	assert_close(mann_kendall(ties, 4).p_up, 0.5 * erfc((4 / sqrt(7.0 + 2.0 / 3)) / M_SQRT2),
		     1e-12);
}

static void a_constant_series_has_no_trend(void **state)
{
	const double flat[] = { 7, 7, 7, 7, 7, 7 }, two[] = { 1, 2 };

	(void)state;
	assert_true(mann_kendall(flat, 6).p_up == 1);
	assert_true(mann_kendall(flat, 6).p_down == 1);
	assert_true(mann_kendall(two, 2).p_up == 1);
	assert_true(mann_kendall(NULL, 0).p_up == 1);
}

/* Of 2,000 random series, 5 % look significant at 5 %, whichever formula is used. */
static void false_alarms_come_as_often_as_promised(void **state)
{
	static const size_t lengths[] = { 5, 10, 12, 40 };
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	size_t i, j, k;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(lengths); i++) {
		int alarms = 0;

		for (j = 0; j < 2000; j++) {
			double values[40];

			for (k = 0; k < lengths[i]; k++)
				values[k] = g_rand_double(random);
			alarms += mann_kendall(values, lengths[i]).p_up < 0.05;
		}
		assert_in_range(alarms, 40, 140);
	}
}

static void a_line_has_its_slope_and_no_interval(void **state)
{
	const double times[] = { 0, 1, 4, 9 }, values[] = { 5, 7, 13, 23 };
	struct theil_sen slope = theil_sen(times, values, 4);

	(void)state;
	assert_close(slope.slope, 2, 1e-12);
	assert_close(slope.low, 2, 1e-12);
	assert_close(slope.high, 2, 1e-12);
}

static void outliers_do_not_move_the_slope(void **state)
{
	double times[20], values[20];
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		times[i] = i;
		values[i] = 3 * i;
	}
	values[7] = 1e9;
	values[15] = -1e9;
	assert_close(theil_sen(times, values, 20).slope, 3, 1e-9);
}

/* 95 % of the intervals hold the true slope; 1,000 noisy lines. */
static void the_interval_holds_the_true_slope(void **state)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(2);
	int held = 0, i, j;

	(void)state;
	for (i = 0; i < 1000; i++) {
		double times[20], values[20];
		struct theil_sen slope;

		for (j = 0; j < 20; j++) {
			times[j] = 10 * j;
			values[j] = 5 * times[j] +
				    400 * (g_rand_double(random) + g_rand_double(random) - 1);
		}
		slope = theil_sen(times, values, 20);
		assert_true(slope.low <= slope.slope && slope.slope <= slope.high);
		held += slope.low <= 5 && 5 <= slope.high;
	}
	assert_in_range(held, 920, 980);
}

static void equal_times_and_huge_values_stay_finite(void **state)
{
	const double same[] = { 3, 3, 3 }, values[] = { 1, 2, 3 };
	const double times[] = { 0, 1e-300, 1 }, huge[] = { -1e308, 1e308, 0 };
	struct theil_sen slope = theil_sen(same, values, 3);

	(void)state;
	assert_true(slope.slope == 0 && slope.low == 0 && slope.high == 0);
	slope = theil_sen(times, huge, 3);
	assert_true(isfinite(slope.slope) && isfinite(slope.low) && isfinite(slope.high));
	slope = theil_sen(times, values, 1);
	assert_true(slope.slope == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_series_are_judged_exactly),
		cmocka_unit_test(ties_make_a_trend_less_sure),
		cmocka_unit_test(a_constant_series_has_no_trend),
		cmocka_unit_test(false_alarms_come_as_often_as_promised),
		cmocka_unit_test(a_line_has_its_slope_and_no_interval),
		cmocka_unit_test(outliers_do_not_move_the_slope),
		cmocka_unit_test(the_interval_holds_the_true_slope),
		cmocka_unit_test(equal_times_and_huge_values_stay_finite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
