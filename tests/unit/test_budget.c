// SPDX-License-Identifier: GPL-2.0-or-later
/* Buckets of tracing time: never more than is allowed, nothing lost on the way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "trace/budget.h"

enum { ALL = (1 << FAMILY_COUNT) - 1 };
static const uint64_t BEGAN = 5000000000;
static const double CAP = 45e6;

static int64_t sum(const int64_t added[FAMILY_COUNT])
{
	int64_t total = 0;

	for (int family = 0; family < FAMILY_COUNT; family++)
		total += added[family];
	return total;
}

static struct budget two_percent(void)
{
	struct budget budget;

	budget_init(&budget, 2, CAP, BEGAN);
	return budget;
}

static void less_is_given_out_than_the_user_allows(void **state)
{
	struct budget budget = two_percent();

	(void)state;
	assert_true(budget.share > 0.01 && budget.share < 0.02);
	/* With what may be spent at once, still no more in 10 seconds. */
	assert_true(budget.share * 10e9 + budget_spare_ns(&budget) <= 0.02 * 10e9 + 1);
	assert_true(budget_spare_ns(&budget) > 0);
}

static void empty_buckets_share_all_there_is(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	assert_true(fabs(sum(added) - 1e9 * budget.share) <= FAMILY_COUNT);
	assert_true(added[FAMILY_PYMALLOC] > added[FAMILY_MALLOC]);
	assert_true(added[FAMILY_MALLOC] > added[FAMILY_MMAP]);
	assert_true(added[FAMILY_MMAP] > 0);
}

static void what_is_owed_is_paid_back_soon(void **state)
{
	struct budget budget = two_percent();
	int64_t left[FAMILY_COUNT], added[FAMILY_COUNT];

	(void)state;
	for (int family = 0; family < FAMILY_COUNT; family++)
		left[family] = (int64_t)budget_least_ns(&budget);
	/* Alone or not, a family that grows is out of debt in 5 seconds. */
	budget_set_growth(&budget, 0, 5e6);
	budget_fill(&budget, BEGAN + 5000000000, left, ALL, added);
	assert_true(left[FAMILY_MALLOC] + added[FAMILY_MALLOC] > 0);
	assert_true(left[FAMILY_MALLOC] < 0);
}

static void more_goes_where_memory_grows(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t plain[FAMILY_COUNT], added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, plain);
	budget_set_growth(&budget, 100, 4e5);
	budget_fill(&budget, BEGAN + 2000000000, left, ALL, added);
	assert_memory_equal(added, plain, sizeof(added));
	budget_set_growth(&budget, -5e6, 5e6);
	budget_fill(&budget, BEGAN + 3000000000, left, ALL, added);
	assert_true(added[FAMILY_MALLOC] > 1.8 * plain[FAMILY_MALLOC]);
	assert_true(added[FAMILY_PYMALLOC] > 0.49 * plain[FAMILY_PYMALLOC]);
	assert_true(llabs(sum(added) - sum(plain)) <= FAMILY_COUNT);
	budget_set_growth(&budget, 5e6, 0);
	budget_fill(&budget, BEGAN + 4000000000, left, ALL, added);
	assert_true(added[FAMILY_PYMALLOC] > 1.2 * plain[FAMILY_PYMALLOC]);
	assert_true(added[FAMILY_MALLOC] > 0.49 * plain[FAMILY_MALLOC]);
	assert_true(llabs(sum(added) - sum(plain)) <= FAMILY_COUNT);
}

static void a_saturated_host_gets_half_of_it(void **state)
{
	static const double pressures[] = { 0, 60, 80, 100, 1000, -5 };
	static const double scales[] = { 1, 1, 0.75, 0.5, 0.5, 1 };
	const int64_t left[FAMILY_COUNT] = { 0 };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(pressures); i++) {
		struct budget budget = two_percent();
		int64_t added[FAMILY_COUNT];

		budget_set_pressure(&budget, pressures[i]);
		budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
		assert_true(fabs(sum(added) - 1e9 * budget.share * scales[i]) <= FAMILY_COUNT);
		/* With what is to be spent at first, 10 seconds come to what the user allows. */
		assert_true(fabs(budget_spare_ns(&budget) + 10 * sum(added) -
				 10e9 * 0.02 * scales[i]) <= 10 * FAMILY_COUNT);
	}
}

static void the_same_time_is_given_out_once(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	assert_int_equal(sum(added), 0);
}

static void what_a_full_bucket_cannot_hold_goes_to_the_others(void **state)
{
	const int64_t left[FAMILY_COUNT] = { CAP, 0, CAP - 1000 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	assert_int_equal(added[FAMILY_PYMALLOC], 0);
	assert_int_equal(added[FAMILY_MMAP], 1000);
	assert_true(fabs(added[FAMILY_MALLOC] - (1e9 * budget.share - 1000)) <= FAMILY_COUNT);
}

/* As 184 sites, pymalloc's in a Debian 3.11, and 30 of malloc's take of the keeper's time. */
static void what_is_dear_to_arm_is_armed_rarely(void **state)
{
	(void)state;
	assert_in_range(budget_rest_ns(FAMILY_PYMALLOC, 4.5e6, 2, 0), 240e6, 260e6);
	assert_in_range(budget_rest_ns(FAMILY_PYMALLOC, 4.5e6, 2, 1), 740e6, 760e6);
	assert_in_range(budget_rest_ns(FAMILY_MALLOC, 0.8e6, 2, 0.5), 190e6, 210e6);
	/* Whoever wants more windows gets them; one that wants hardly any waits for minutes. */
	assert_in_range(budget_rest_ns(FAMILY_PYMALLOC, 3e6, 90, 1), 0, 17e6);
	assert_in_range(budget_rest_ns(FAMILY_PYMALLOC, 3e6, 0, 1), 10e9, 600e9);
}

static void families_that_are_not_traced_get_nothing(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, 1 << FAMILY_MALLOC, added);
	assert_int_equal(added[FAMILY_PYMALLOC], 0);
	assert_int_equal(added[FAMILY_MMAP], 0);
	assert_true(fabs(added[FAMILY_MALLOC] - 1e9 * budget.share) <= 1);
	budget_fill(&budget, BEGAN + 2000000000, left, 0, added);
	assert_int_equal(sum(added), 0);
}

static void an_overdrawn_bucket_is_paid_back_first(void **state)
{
	const int64_t left[FAMILY_COUNT] = { -300000000, 0, 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 600000000000, left, ALL, added);
	assert_int_equal(left[0] + added[0], CAP);
	assert_int_equal(added[1], CAP);
	assert_int_equal(added[2], CAP);
}

/* A bucket left above its cap, after a smaller --burst say, loses nothing and gains nothing. */
static void more_than_the_cap_stays(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 3 * CAP, 0, INT64_MAX };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	assert_int_equal(added[FAMILY_PYMALLOC], 0);
	assert_int_equal(added[FAMILY_MMAP], 0);
	assert_true(added[FAMILY_MALLOC] > 0);
}

/* The governor's threads ask the clock each for itself. */
static void a_clock_that_steps_back_gives_nothing(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT];

	(void)state;
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	budget_fill(&budget, BEGAN + 999999999, left, ALL, added);
	assert_int_equal(sum(added), 0);
	budget_fill(&budget, BEGAN + 1000000000, left, ALL, added);
	assert_int_equal(sum(added), 0);
}

/* Small amounts must add up too: looks come every few milliseconds. */
static void frequent_fills_lose_next_to_nothing(void **state)
{
	const int64_t left[FAMILY_COUNT] = { 0 };
	struct budget budget = two_percent();
	int64_t added[FAMILY_COUNT], total = 0;

	(void)state;
	for (int i = 1; i <= 100000; i++) {
		budget_fill(&budget, BEGAN + i * 20000ULL, left, ALL, added);
		total += sum(added);
	}
	assert_true(total <= 2e9 * budget.share);
	assert_true(total >= 0.98 * 2e9 * budget.share);
}

static void never_more_than_the_share_of_time_is_given_out(void **state)
{
	GRand *random = g_rand_new_with_seed(3);

	(void)state;
	for (int run = 0; run < 300; run++) {
		double percent = g_rand_double_range(random, 0.01, 100);
		double cap = g_rand_double_range(random, 1, 1e9);
		int64_t left[FAMILY_COUNT] = { 0 }, added[FAMILY_COUNT], total = 0;
		uint64_t now = BEGAN;
		struct budget budget;

		budget_init(&budget, percent, cap, BEGAN);
		for (int step = 0; step < 300; step++) {
			uint32_t wanted = g_rand_int_range(random, 0, ALL + 1);

			now += (uint64_t)exp(g_rand_double(random) * 23);
			budget_fill(&budget, now, left, wanted, added);
			for (int family = 0; family < FAMILY_COUNT; family++) {
				assert_true(added[family] >= 0);
				if (added[family])
					assert_true(wanted & 1u << family);
				left[family] += added[family];
				assert_true(left[family] <= cap);
				total += added[family];
				if (g_rand_boolean(random))
					left[family] -= g_rand_double(random) * 2 * cap;
			}
			assert_true(total <= (now - BEGAN) * budget.share * (1 + 1e-9));
		}
	}
	g_rand_free(random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_saturated_host_gets_half_of_it),
		cmocka_unit_test(less_is_given_out_than_the_user_allows),
		cmocka_unit_test(what_is_owed_is_paid_back_soon),
		cmocka_unit_test(more_goes_where_memory_grows),
		cmocka_unit_test(empty_buckets_share_all_there_is),
		cmocka_unit_test(the_same_time_is_given_out_once),
		cmocka_unit_test(what_a_full_bucket_cannot_hold_goes_to_the_others),
		cmocka_unit_test(what_is_dear_to_arm_is_armed_rarely),
		cmocka_unit_test(families_that_are_not_traced_get_nothing),
		cmocka_unit_test(an_overdrawn_bucket_is_paid_back_first),
		cmocka_unit_test(more_than_the_cap_stays),
		cmocka_unit_test(a_clock_that_steps_back_gives_nothing),
		cmocka_unit_test(frequent_fills_lose_next_to_nothing),
		cmocka_unit_test(never_more_than_the_share_of_time_is_given_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
