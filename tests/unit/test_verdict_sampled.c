// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verdicts on programs that are sampled, over many runs: a leak is called one within a minute, and
 * what is none hardly ever, and not in the end. PYLEAK_TEST_VERBOSE=1 prints the figures.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "analyse/estimate.h"
#include "tests/unit/simulation.h"

enum { SEEDS = 200, SUBJECT = 1, BACKGROUND = 2, END = 60 };

/* What a program does in context SUBJECT. */
typedef void (*behaviour)(struct simulation *simulation, GRand *random, uint32_t size);

static const struct frame frames[] = {
	[SUBJECT] = { .kind = FRAME_PYTHON, .function = "subject", .file = "/srv/subject.py" },
	[BACKGROUND] = { .kind = FRAME_PYTHON, .function = "other", .file = "/srv/other.py" },
};

static const struct stack *stack_of(void *context, uint32_t id)
{
	static const struct stack stacks[] = {
		[SUBJECT] = { (struct frame *)&frames[SUBJECT], 1, false },
		[BACKGROUND] = { (struct frame *)&frames[BACKGROUND], 1, false },
	};

	(void)context;
	return &stacks[id];
}

static const struct site *subject_site(const struct report *report)
{
	for (guint i = 0; i < report->sites->len; i++) {
		const struct site *site = &g_array_index(report->sites, struct site, i);

		if (site->stack.count && site->stack.frames[0].function == frames[SUBJECT].function)
			return site;
	}
	return NULL;
}

struct outcome {
	bool ever_leak, last_leak;
	double last_confidence;
};

static struct outcome watch(struct simulation *simulation, double interval)
{
	const struct analysis_options options = { .top = 10 };
	const struct analysis_sources sources = { .stack = stack_of };
	struct analysis *analysis = analysis_new(&options);
	struct outcome outcome = { 0 };

	for (double time = interval; time <= END; time += interval) {
		struct snapshot *snapshot = simulation_take(simulation, time);
		struct report *report;
		const struct site *site;

		estimate_contexts(snapshot);
		report = analysis_add(analysis, snapshot, &sources);
		site = subject_site(report);
		outcome.last_leak = site && site->verdict == VERDICT_LEAK;
		outcome.last_confidence = site ? site->confidence : 0;
		outcome.ever_leak |= outcome.last_leak;
		report_free(report);
		snapshot_free(snapshot);
	}
	analysis_free(analysis);
	return outcome;
}

struct tally {
	uint32_t ever, last, sure;
};

/* In company of a cache of the same size class, and of temporaries. */
static struct tally run(behaviour behaviour, enum family family, double interval)
{
	static const struct simulation_windows windows[FAMILY_COUNT] = {
		[FAMILY_PYMALLOC] = { 0.008, 0.45, 0.4 },
		[FAMILY_MALLOC] = { 0.02, 0.5, 1 },
	};
	struct tally tally = { 0 };

	for (guint seed = 1; seed <= SEEDS; seed++) {
		GRand *random = g_rand_new_with_seed(seed);
		struct simulation *simulation = simulation_new(random, END, windows);
		struct outcome outcome;

		simulation_context(simulation, SUBJECT, family);
		simulation_context(simulation, BACKGROUND, family);
		behaviour(simulation, random, 64);
		simulation_random(simulation, BACKGROUND, 64, -30, END, 200, 4);
		if (family == FAMILY_PYMALLOC)
			simulation_churn(simulation, 64, 100);
		outcome = watch(simulation, interval);
		tally.ever += outcome.ever_leak;
		tally.last += outcome.last_leak;
		tally.sure += outcome.last_leak && outcome.last_confidence >= 0.95;
		simulation_free(simulation);
		g_rand_free(random);
	}
	if (g_getenv("PYLEAK_TEST_VERBOSE"))
		print_message("family %d, every %2.0f s: leak ever %u, at the end %u, sure %u of "
			      "%d\n",
			      family, interval, tally.ever, tally.last, tally.sure, SEEDS);
	return tally;
}

static void leak(struct simulation *simulation, GRand *random, uint32_t size)
{
	(void)random;
	simulation_random(simulation, SUBJECT, size, -10, END, 200, INFINITY);
}

/* Requests leak a handful each. */
static void clustered_leak(struct simulation *simulation, GRand *random, uint32_t size)
{
	for (double at = random_exponential(random, 0.01); at < END;
	     at += random_exponential(random, 0.01))
		for (int i = 0; i < 4; i++)
			simulation_block(simulation, SUBJECT, size, at + i * 1e-5, INFINITY);
}

/* At its limit when pyleak attaches; what is inserted pushes out a random one. */
static void full_cache(struct simulation *simulation, GRand *random, uint32_t size)
{
	(void)random;
	simulation_random(simulation, SUBJECT, size, -60, END, 300, 6);
}

/* The oldest goes first. */
static void full_queue(struct simulation *simulation, GRand *random, uint32_t size)
{
	for (double at = -20; at < END; at += random_exponential(random, 1 / 300.))
		simulation_block(simulation, SUBJECT, size, at, at + 8);
}

static void sawtooth(struct simulation *simulation, GRand *random, uint32_t size)
{
	double period = 12, phase = g_rand_double(random) * period;

	for (double at = 0; at < END; at += random_exponential(random, 1 / 300.))
		simulation_block(simulation, SUBJECT, size, at,
				 (floor((at + phase) / period) + 1) * period - phase);
}

static void warm_up(struct simulation *simulation, GRand *random, uint32_t size)
{
	simulation_random(simulation, SUBJECT, size, 0, g_rand_double_range(random, 5, 12), 500,
			  INFINITY);
}

/* Ever fewer keys are new. */
static void slowing_warm_up(struct simulation *simulation, GRand *random, uint32_t size)
{
	for (double at = 0; at < END; at += random_exponential(random, 1 / 600.))
		if (g_rand_double(random) < exp(-at / 6))
			simulation_block(simulation, SUBJECT, size, at, INFINITY);
}

static void one_load(struct simulation *simulation, GRand *random, uint32_t size)
{
	double from = g_rand_double(random) * 20;

	simulation_random(simulation, SUBJECT, size, from, from + 2, 3000, INFINITY);
}

static void assert_found(behaviour behaviour)
{
	for (enum family family = FAMILY_PYMALLOC; family <= FAMILY_MALLOC; family++)
		for (double interval = 5; interval <= 10; interval += 5) {
			struct tally tally = run(behaviour, family, interval);

			assert_true(tally.sure >= 0.93 * SEEDS);
		}
}

static void assert_never_a_leak(behaviour behaviour)
{
	for (enum family family = FAMILY_PYMALLOC; family <= FAMILY_MALLOC; family++)
		for (double interval = 5; interval <= 10; interval += 5) {
			struct tally tally = run(behaviour, family, interval);

			assert_true(tally.ever <= SEEDS / 200);
			assert_int_equal(tally.last, 0);
		}
}

static void a_leak_is_found_within_a_minute(void **state)
{
	(void)state;
	assert_found(leak);
}

static void a_leak_of_several_blocks_at_once_is_found(void **state)
{
	(void)state;
	assert_found(clustered_leak);
}

static void a_cache_at_its_limit_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(full_cache);
}

static void a_queue_at_its_limit_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(full_queue);
}

static void a_sawtooth_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(sawtooth);
}

static void warm_up_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(warm_up);
}

static void warm_up_that_slows_down_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(slowing_warm_up);
}

static void one_big_load_is_no_leak(void **state)
{
	(void)state;
	assert_never_a_leak(one_load);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leak_is_found_within_a_minute),
		cmocka_unit_test(a_leak_of_several_blocks_at_once_is_found),
		cmocka_unit_test(a_cache_at_its_limit_is_no_leak),
		cmocka_unit_test(a_queue_at_its_limit_is_no_leak),
		cmocka_unit_test(a_sawtooth_is_no_leak),
		cmocka_unit_test(warm_up_is_no_leak),
		cmocka_unit_test(warm_up_that_slows_down_is_no_leak),
		cmocka_unit_test(one_big_load_is_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
