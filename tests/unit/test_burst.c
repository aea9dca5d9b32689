// SPDX-License-Identifier: GPL-2.0-or-later
/* Which births of a burst count: by time, so that no moment of a program counts more than others.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "trace/burst.h"

/* Of born's clock. */
static const uint64_t STEP = 1 << 20;
static const uint64_t BEGAN = 7000ULL << 20;

static void log_birth(struct birth *log, uint32_t at, uint64_t ns)
{
	log[at] = (struct birth){ .tag = PYLEAK_TAG(1, PYLEAK_BORN(ns)) };
}

static void the_first_part_of_the_time_counts(void **state)
{
	struct birth log[40];
	struct burst_part part;

	(void)state;
	/* Two a step, the last ten all in the last step. */
	for (uint32_t i = 0; i < 30; i++)
		log_birth(log, i, BEGAN + i * STEP / 2);
	for (uint32_t i = 30; i < 40; i++)
		log_birth(log, i, BEGAN + 19 * STEP);
	part = burst_part_that_counts(log, 40, BEGAN, BEGAN + 20 * STEP);
	assert_int_equal(part.births, 28);
	assert_true(fabs(part.time - 14.0 / 20) < 1e-9);
}

static void the_cut_is_where_the_clock_of_births_has_one(void **state)
{
	struct birth log[1];
	struct burst_part part;

	(void)state;
	log_birth(log, 0, BEGAN + 6 * STEP);
	part = burst_part_that_counts(log, 1, BEGAN + STEP / 4, BEGAN + STEP / 4 + 10 * STEP);
	assert_int_equal(part.births, 1);
	assert_true(fabs(part.time - 6.75 / 10) < 1e-9);
	log_birth(log, 0, BEGAN + 7 * STEP);
	part = burst_part_that_counts(log, 1, BEGAN + STEP / 4, BEGAN + STEP / 4 + 10 * STEP);
	assert_int_equal(part.births, 0);
}

static void of_a_full_log_what_it_holds_counts(void **state)
{
	g_autofree struct birth *log = g_new0(struct birth, PYLEAK_BIRTHS);
	struct burst_part part;

	(void)state;
	/* The log is full after 4 of 20 steps: its last step is not known whole. */
	for (uint32_t i = 0; i < PYLEAK_BIRTHS; i++)
		log_birth(log, i, BEGAN + i * 4 * STEP / PYLEAK_BIRTHS);
	part = burst_part_that_counts(log, 5 * PYLEAK_BIRTHS, BEGAN, BEGAN + 20 * STEP);
	assert_int_equal(part.births, 3 * PYLEAK_BIRTHS / 4);
	assert_true(fabs(part.time - 3.0 / 20) < 1e-9);
}

static void nothing_counts_of_no_time(void **state)
{
	struct birth log[2];
	struct burst_part part;

	(void)state;
	log_birth(log, 0, BEGAN);
	log_birth(log, 1, BEGAN);
	part = burst_part_that_counts(log, 2, BEGAN, BEGAN);
	assert_int_equal(part.births, 0);
	assert_true(part.time == 0);
	part = burst_part_that_counts(log, 2, BEGAN + STEP / 4, BEGAN + STEP / 2);
	assert_int_equal(part.births, 0);
	part = burst_part_that_counts(log, 0, BEGAN, BEGAN + 10 * STEP);
	assert_int_equal(part.births, 0);
	assert_true(part.time > 0.69);
	/* A clock that wraps: PYLEAK_BORN keeps 32 bits. */
	log_birth(log, 0, (1ULL << 52) - STEP);
	log_birth(log, 1, (1ULL << 52) + STEP);
	part = burst_part_that_counts(log, 2, (1ULL << 52) - STEP, (1ULL << 52) + 9 * STEP);
	assert_int_equal(part.births, 2);
}

static void what_tracing_took_is_not_the_targets_own(void **state)
{
	(void)state;
	assert_true(fabs(burst_own_ns(1e7, 0, 0.7, 0.2) - 7e6) < 1);
	assert_true(fabs(burst_own_ns(1e7, 0.5, 0.7, 0.7) - 3.5e6) < 1);
	/* What was dense came first: more of the time went into tracing. */
	assert_true(fabs(burst_own_ns(1e7, 0.5, 0.7, 1) - 2e6) < 1);
	assert_true(burst_own_ns(1e7, 1, 0.7, 1) > 0);
	assert_true(fabs(burst_own_ns(1e7, 0.99, 1, 1) - 1e6) < 1);
	assert_true(burst_own_ns(1e7, 7, 1, 1) <= 1e6 + 1);
}

/* A program of rounds of 40 ms: seldom busy at first, then one leak, then very busy for 4 ms. */
static uint32_t run_burst(struct birth *log, uint8_t *leaks, uint64_t from, uint64_t until)
{
	static const uint64_t ROUND = 40000000, LEAK = 36000000;
	uint32_t count = 0;

	for (uint64_t round = from / ROUND * ROUND; round < until; round += ROUND) {
		for (uint64_t at = 0; at < ROUND; at += at < LEAK ? 4000000 : 40000) {
			uint64_t time = round + at;

			if (time < from || time >= until)
				continue;
			leaks[count] = at == LEAK;
			log_birth(log, count++, time);
		}
	}
	return count;
}

static void what_comes_before_the_busy_time_counts_once(void **state)
{
	enum { BURSTS = 20000 };
	g_autofree struct birth *log = g_new0(struct birth, PYLEAK_BIRTHS);
	g_autofree uint8_t *leaks = g_new0(uint8_t, PYLEAK_BIRTHS);
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	double rate = 0, rate_by_number = 0;

	(void)state;
	for (int i = 0; i < BURSTS; i++) {
		uint64_t from = BEGAN + g_rand_int_range(random, 0, 1000000000);
		uint64_t until = from + 24000000;
		uint32_t births = run_burst(log, leaks, from, until), kept = 0, by_number = 0;
		struct burst_part part = burst_part_that_counts(log, births, from, until);

		for (uint32_t j = 0; j < part.births; j++)
			kept += leaks[j];
		for (uint32_t j = 0; j < births * 7 / 10; j++)
			by_number += leaks[j];
		rate += kept / (part.time * (until - from) / 1e9) / BURSTS;
		rate_by_number += by_number / (0.7 * (until - from) / 1e9) / BURSTS;
	}
	assert_true(fabs(rate / 25 - 1) < 0.03);
	/* As it was once: this program's leak came out too large. */
	assert_true(rate_by_number / 25 > 1.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_part_of_the_time_counts),
		cmocka_unit_test(the_cut_is_where_the_clock_of_births_has_one),
		cmocka_unit_test(of_a_full_log_what_it_holds_counts),
		cmocka_unit_test(nothing_counts_of_no_time),
		cmocka_unit_test(what_tracing_took_is_not_the_targets_own),
		cmocka_unit_test(what_comes_before_the_busy_time_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
