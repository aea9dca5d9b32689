// SPDX-License-Identifier: GPL-2.0-or-later
/* What tracing is said to cost, interval by interval. The process is this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/cost.h"

static const uint64_t SECOND = 1000000000;

/* In percent, at @now_ns, when so much has been spent. */
static double said(const struct cost *cost, const struct process *process, uint64_t now_ns,
		   double spent_ns)
{
	struct snapshot snapshot = { 0 };

	cost_fill(cost, process, now_ns, spent_ns, &snapshot);
	assert_true(snapshot.rss_bytes > 0 && snapshot.threads > 0);
	return snapshot.overhead_pct;
}

static void the_cost_is_that_of_the_interval(void **state)
{
	struct process *process = process_open(getpid(), NULL);
	struct cost cost;

	(void)state;
	cost_init(&cost, process, 1000, 5 * SECOND);
	/* 0.1 s of 10; then 1 s of 5, in which the target would have had 4 for itself. */
	assert_float_equal(said(&cost, process, 15 * SECOND, 1e8), 100 * 0.1 / 9.9, 1e-4);
	cost_begin_interval(&cost, 15 * SECOND, 1e8);
	assert_float_equal(said(&cost, process, 20 * SECOND, 1.1e9), 25, 1e-4);
	cost_begin_interval(&cost, 20 * SECOND, 1.1e9);
	assert_float_equal(said(&cost, process, 25 * SECOND, 1.1e9), 0, 1e-4);
	process_free(process);
}

/* A window that closed in the last 0.1 ms made "61420 %" of it once. */
static void a_moment_says_nothing(void **state)
{
	struct process *process = process_open(getpid(), NULL);
	struct cost cost;

	(void)state;
	cost_init(&cost, process, 1000, 5 * SECOND);
	cost_begin_interval(&cost, 15 * SECOND, 1e8);
	cost_begin_interval(&cost, 25 * SECOND, 2e8);
	assert_float_equal(said(&cost, process, 25 * SECOND + 100000, 2e8 + 3e6),
			   100 * 0.103 / (10.0001 - 0.103), 1e-4);
	assert_float_equal(said(&cost, process, 25 * SECOND, 2e8), 100 * 0.1 / 9.9, 1e-4);
	/* Of a trace that has only begun there is no more. */
	cost_init(&cost, process, 1000, 5 * SECOND);
	assert_float_equal(said(&cost, process, 5 * SECOND, 0), 0, 1e-4);
	assert_float_equal(said(&cost, process, 5 * SECOND + SECOND / 2, 1e7), 100 * 0.01 / 0.49,
			   1e-9);
	process_free(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cost_is_that_of_the_interval),
		cmocka_unit_test(a_moment_says_nothing),
	};

	return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
