// SPDX-License-Identifier: GPL-2.0-or-later
/* What fraction of the time was seen, stretch by stretch, and what a block born then stands for. */
#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/epochs.h"

static const double SECOND = 1e9;
static const uint64_t BEGAN = 1000000000000;

static uint64_t at(double seconds)
{
	return BEGAN + (uint64_t)(seconds * SECOND);
}

/* Looks twice a second from @from to @to, each of which saw @windows windows of @hold seconds. */
static void add_looks(struct epochs *epochs, double from, double to, uint64_t windows, double hold)
{
	for (double time = from + 0.5; time <= to; time += 0.5)
		epochs_add(epochs, at(time), 0.5 * SECOND, windows * hold * SECOND, windows);
}

static void assert_weight(const struct epochs *epochs, double born, double expected)
{
	double weight = epochs_weight(epochs, at(born), -1);

	if (fabs(weight - expected) > 1e-6 * expected)
		fail_msg("born at %.1f s: weighs %f instead of %f", born, weight, expected);
}

static void a_steadily_sampled_block_stands_for_the_time_between_windows(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	add_looks(epochs, 0, 600, 1, 0.005);
	for (double born = 0; born <= 600; born += 0.37)
		assert_weight(epochs, born, 100);
	epochs_free(epochs);
}

/* Windows that did not see everything add to no fraction, but stand for their time as others do. */
static void windows_without_a_fraction_stand_for_their_time(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	epochs_add(epochs, at(4), 4 * SECOND, 0.08 * SECOND, 8);
	epochs_add(epochs, at(6), 2 * SECOND, 0, 8);
	assert_true(fabs(epochs_weight(epochs, at(3), 0.01 * SECOND) - 50) < 1e-6);
	assert_true(fabs(epochs_weight(epochs, at(5), 0.01 * SECOND) - 25) < 1e-6);
	epochs_free(epochs);
}

static void before_the_first_look_a_block_stands_for_itself(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	assert_weight(epochs, 0, 1);
	assert_weight(epochs, 10, 1);
	assert_true(epochs_weight(epochs, 0, -1) == 1);
	assert_true(epochs_weight(epochs, UINT64_MAX, -1) == 1);
	epochs_free(epochs);
	epochs_free(NULL);
}

static void what_was_traced_whole_keeps_counting_once_when_sampling_begins(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	epochs_add(epochs, at(10), 10 * SECOND, 10 * SECOND, 1);
	add_looks(epochs, 10, 30, 1, 0.01);
	assert_weight(epochs, 1, 1);
	assert_weight(epochs, 9.9, 1);
	assert_weight(epochs, 20, 50);
	assert_weight(epochs, 30, 50);
	epochs_free(epochs);
}

static void sampled_blocks_keep_their_weight_when_all_is_traced_again(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	add_looks(epochs, 0, 20, 1, 0.01);
	epochs_add(epochs, at(60), 40 * SECOND, 40 * SECOND, 0);
	add_looks(epochs, 60, 80, 1, 0.02);
	assert_weight(epochs, 1, 50);
	assert_weight(epochs, 19, 50);
	assert_weight(epochs, 21, 1);
	assert_weight(epochs, 59, 1);
	assert_weight(epochs, 70, 25);
	epochs_free(epochs);
}

/* A stretch is as long as it takes to hold several windows. */
static void time_without_windows_is_shared_by_the_windows_around_it(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	/* A window every 4 s, looked for twice a second. */
	for (int look = 1; look <= 400; look++)
		epochs_add(epochs, at(look * 0.5), 0.5 * SECOND, look % 8 == 4 ? 0.04 * SECOND : 0,
			   look % 8 == 4);
	for (double born = 0; born < 190; born += 1.3) {
		double weight = epochs_weight(epochs, at(born), -1);

		assert_true(weight > 80 && weight < 120);
	}
	epochs_free(epochs);
}

static void an_idle_hour_does_not_make_later_blocks_weigh_more(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	add_looks(epochs, 0, 20, 1, 0.01);
	epochs_add(epochs, at(3620), 3600 * SECOND, 0, 0);
	add_looks(epochs, 3620, 3660, 1, 0.01);
	assert_weight(epochs, 2, 50);
	assert_weight(epochs, 3650, 50);
	epochs_free(epochs);
}

static void a_change_of_pace_is_followed(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	add_looks(epochs, 0, 100, 1, 0.002);
	add_looks(epochs, 100, 200, 1, 0.02);
	assert_weight(epochs, 50, 250);
	assert_weight(epochs, 150, 25);
	epochs_free(epochs);
}

/* Two weeks of looks, in bounded memory and with the past's coarse shape. */
static void long_traces_keep_the_shape_of_their_past(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	for (int hour = 0; hour < 24 * 14; hour++)
		add_looks(epochs, hour * 3600.0, (hour + 1) * 3600.0, 1,
			  hour < 24 * 7 ? 0.005 : 0.025);
	for (int hour = 0; hour < 24 * 14; hour += 5) {
		double weight = epochs_weight(epochs, at(hour * 3600.0 + 1800), -1);
		double expected = hour < 24 * 7 ? 100 : 20;

		assert_true(fabs(weight - expected) < 0.05 * expected);
	}
	epochs_free(epochs);
}

/* The sum over seen blocks of what they stand for is how many there were. */
static void weights_add_up_to_all_births(void **state)
{
	GRand *random = g_rand_new_with_seed(1);
	double births = 0, sum = 0;

	(void)state;
	for (int run = 0; run < 200; run++) {
		struct epochs *epochs = epochs_new(BEGAN);
		g_autoptr(GArray) windows = g_array_new(false, false, sizeof(double));
		double next = g_rand_double(random) * 0.8;

		for (double look = 0.5; look <= 60; look += 0.5) {
			uint64_t opened = 0;

			for (; next < look; next += g_rand_double_range(random, 0.4, 0.8)) {
				g_array_append_val(windows, next);
				opened++;
			}
			epochs_add(epochs, at(look), 0.5 * SECOND, opened * 0.01 * SECOND, opened);
		}
		/* 1,000 births a second, 10 in a window. */
		for (guint i = 0; i < windows->len; i++)
			sum += 10 *
			       epochs_weight(epochs, at(g_array_index(windows, double, i)), -1);
		births += 60000;
		epochs_free(epochs);
	}
	g_rand_free(random);
	assert_true(fabs(sum / births - 1) < 0.02);
}

static void weights_are_finite_and_at_least_1_whatever_is_added(void **state)
{
	static const double values[] = { 0,	 -1,	1,	   1e-300,    1e9,
					 5e9,	 1e18,	-1e18,	   1e300,     INFINITY,
					 -1e300, 0.9e9, 1000001.5, -INFINITY, NAN };
	GRand *random = g_rand_new_with_seed(7);

	(void)state;
	for (int run = 0; run < 200; run++) {
		struct epochs *epochs = epochs_new(BEGAN);
		double time = 0;

		for (int look = 0; look < 400; look++) {
			int count = G_N_ELEMENTS(values);

			time += g_rand_double(random);
			epochs_add(epochs, at(time), values[g_rand_int_range(random, 0, count)],
				   values[g_rand_int_range(random, 0, count)],
				   g_rand_int_range(random, 0, 12));
			for (int i = 0; i < 4; i++) {
				double weight = epochs_weight(
					epochs, at(g_rand_double(random) * time * 1.2), -1);

				assert_true(isfinite(weight));
				assert_true(weight >= 1);
			}
		}
		epochs_free(epochs);
	}
	g_rand_free(random);
}

/* A heavy window sees little time for the same money, and stands for as much. */
static void short_windows_stand_for_as_much_time_as_long_ones(void **state)
{
	struct epochs *epochs = epochs_new(BEGAN);

	(void)state;
	for (double time = 0.5; time <= 60; time += 0.5)
		epochs_add(epochs, at(time), 0.5 * SECOND, 0.011 * SECOND, 2);
	assert_true(fabs(epochs_weight(epochs, at(20), 0.010 * SECOND) - 25) < 1e-6);
	assert_true(fabs(epochs_weight(epochs, at(20), 0.001 * SECOND) - 250) < 1e-6);
	assert_true(epochs_weight(epochs, at(20), 3 * SECOND) == 1);
	epochs_free(epochs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_windows_stand_for_as_much_time_as_long_ones),
		cmocka_unit_test(a_steadily_sampled_block_stands_for_the_time_between_windows),
		cmocka_unit_test(windows_without_a_fraction_stand_for_their_time),
		cmocka_unit_test(before_the_first_look_a_block_stands_for_itself),
		cmocka_unit_test(what_was_traced_whole_keeps_counting_once_when_sampling_begins),
		cmocka_unit_test(sampled_blocks_keep_their_weight_when_all_is_traced_again),
		cmocka_unit_test(time_without_windows_is_shared_by_the_windows_around_it),
		cmocka_unit_test(an_idle_hour_does_not_make_later_blocks_weigh_more),
		cmocka_unit_test(a_change_of_pace_is_followed),
		cmocka_unit_test(long_traces_keep_the_shape_of_their_past),
		cmocka_unit_test(weights_add_up_to_all_births),
		cmocka_unit_test(weights_are_finite_and_at_least_1_whatever_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
