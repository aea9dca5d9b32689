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

enum { SEEDS = 200, SUBJECT = 1, BACKGROUND = 2, TEMPORARIES = 7, END = 60, INTERVALS = 2 };

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

/* Of the runs, how many were called a leak: at any time, at the end, and surely so then. */
struct tally {
	uint32_t ever, last, sure;
};

/* The reports of one run at one interval. */
struct watch {
	double interval;
	struct analysis *analysis;
	bool ever_leak, last_leak;
	double last_confidence;
};

static void watch_add(struct watch *watch, const struct snapshot *snapshot)
{
	const struct analysis_sources sources = { .stack = stack_of };
	struct report *report = analysis_add(watch->analysis, snapshot, &sources);
	const struct site *site = subject_site(report);

	watch->last_leak = site && site->verdict == VERDICT_LEAK;
	watch->last_confidence = site ? site->confidence : 0;
	watch->ever_leak |= watch->last_leak;
	report_free(report);
}

static void run_once(struct simulation *simulation, struct tally tallies[INTERVALS])
{
	const struct analysis_options options = { .top = 10 };
	struct watch watches[INTERVALS] = { { .interval = 5 }, { .interval = 10 } };

	for (int i = 0; i < INTERVALS; i++)
		watches[i].analysis = analysis_new(&options);
	for (double time = 5; time <= END; time += 5) {
		struct snapshot *snapshot = simulation_take(simulation, time);

		estimate_contexts(snapshot);
		for (int i = 0; i < INTERVALS; i++)
			if (fmod(time, watches[i].interval) < 1)
				watch_add(&watches[i], snapshot);
		snapshot_free(snapshot);
	}
	for (int i = 0; i < INTERVALS; i++) {
		tallies[i].ever += watches[i].ever_leak;
		tallies[i].last += watches[i].last_leak;
		tallies[i].sure += watches[i].last_leak && watches[i].last_confidence >= 0.95;
		analysis_free(watches[i].analysis);
	}
}

/* In company of a cache of the same size class, and of temporaries. */
static void run(behaviour behaviour, enum family family, struct tally tallies[INTERVALS])
{
	static const struct simulation_windows windows[FAMILY_COUNT] = {
		[FAMILY_PYMALLOC] = { 0.008, 0.45, 0.4 },
		[FAMILY_MALLOC] = { 0.02, 0.5, 1 },
	};

	for (guint seed = 1; seed <= SEEDS; seed++) {
		GRand *random = g_rand_new_with_seed(seed);
		struct simulation *simulation = simulation_new(random, END, windows);

		simulation_context(simulation, SUBJECT, family);
		simulation_context(simulation, BACKGROUND, family);
		simulation_context(simulation, TEMPORARIES, FAMILY_PYMALLOC);
		behaviour(simulation, random, 64);
		simulation_random(simulation, BACKGROUND, 64, -30, END, 200, 4);
		if (family == FAMILY_PYMALLOC)
			simulation_churn(simulation, TEMPORARIES, 64, 100);
		run_once(simulation, tallies);
		simulation_free(simulation);
		g_rand_free(random);
	}
	for (int i = 0; i < INTERVALS && g_getenv("PYLEAK_TEST_VERBOSE"); i++)
		print_message("%s, every %2d s: leak ever %u, at the end %u, sure %u of %d\n",
			      family_name(family), 5 + 5 * i, tallies[i].ever, tallies[i].last,
			      tallies[i].sure, SEEDS);
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
	for (enum family family = FAMILY_PYMALLOC; family <= FAMILY_MALLOC; family++) {
		struct tally tallies[INTERVALS] = { { 0 } };

		run(behaviour, family, tallies);
		for (int i = 0; i < INTERVALS; i++)
			assert_true(tallies[i].sure >= 0.93 * SEEDS);
	}
}

static void assert_never_a_leak(behaviour behaviour)
{
	for (enum family family = FAMILY_PYMALLOC; family <= FAMILY_MALLOC; family++) {
		struct tally tallies[INTERVALS] = { { 0 } };

		run(behaviour, family, tallies);
		for (int i = 0; i < INTERVALS; i++) {
			assert_true(tallies[i].ever <= SEEDS / 200);
			assert_int_equal(tallies[i].last, 0);
		}
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
