// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether processes grow, which of them are traced, and how much of its work pyleak may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>
#include <linux/types.h>

#include "analyse/attention.h"
#include "analyse/memory_trend.h"
#include "trace/throttle.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* Looked at every 2 s for @seconds: a size that is @base + @per_s x time + what @wave adds. */
static struct memory_trend watch(double seconds, double base, double per_s, double (*wave)(double))
{
	struct memory_trend trend = { 0 };

	for (double time = 0; time <= seconds; time += 2)
		memory_trend_add(&trend, time, base + per_s * time + (wave ? wave(time) : 0));
	return trend;
}

static double sawtooth(double time)
{
	return fmod(time, 14) * MIB;
}

static double warm_up(double time)
{
	return (1 - exp(-time / 5)) * 50 * MIB;
}

static void steady_growth_is_seen_at_its_rate(void **state)
{
	struct memory_trend trend = watch(60, 10 * MIB, 100 * KIB, NULL);

	(void)state;
	assert_true(memory_trend_grows(&trend));
	assert_true(fabs(memory_trend_rate(&trend) / (100 * KIB) - 1) < 0.02);
}

static void a_fast_leak_is_seen_after_ten_seconds(void **state)
{
	struct memory_trend early = watch(6, 10 * MIB, MIB, NULL);
	struct memory_trend trend = watch(10, 10 * MIB, MIB, NULL);

	(void)state;
	assert_false(memory_trend_grows(&early));
	assert_true(memory_trend_grows(&trend));
}

static void a_leak_of_two_mib_an_hour_is_seen_within_the_hour(void **state)
{
	struct memory_trend soon = watch(300, 10 * MIB, 2.0 * MIB / 3600, NULL);
	struct memory_trend trend = watch(3600, 10 * MIB, 2.0 * MIB / 3600, NULL);

	(void)state;
	assert_false(memory_trend_grows(&soon));
	assert_true(memory_trend_grows(&trend));
	assert_true(memory_trend_rate(&trend) > 1.0 * MIB / 3600);
}

static void what_comes_and_goes_is_no_growth(void **state)
{
	struct memory_trend flat = watch(7200, 10 * MIB, 0, NULL);
	struct memory_trend saw = watch(7200, 10 * MIB, 0, sawtooth);
	struct memory_trend warm = watch(120, 10 * MIB, 0, warm_up);
	struct memory_trend falling = watch(600, 1000.0 * MIB, -MIB, NULL);

	(void)state;
	assert_false(memory_trend_grows(&flat));
	assert_false(memory_trend_grows(&saw));
	assert_false(memory_trend_grows(&warm));
	assert_false(memory_trend_grows(&falling));
	assert_true(memory_trend_rate(&falling) == 0);
}

static void growth_on_a_sawtooth_is_seen(void **state)
{
	struct memory_trend trend = watch(120, 10 * MIB, 50 * KIB, sawtooth);

	(void)state;
	assert_true(memory_trend_grows(&trend));
}

static const struct candidate *of(const struct candidate *candidates, uint32_t count, int name)
{
	for (uint32_t i = 0; i < count; i++)
		if (candidates[i].context == (void *)(intptr_t)name)
			return &candidates[i];
	fail();
	return NULL;
}

static void those_that_grow_fastest_are_traced(void **state)
{
	struct candidate candidates[] = {
		{ .growth = 10, .context = (void *)1 },
		{ .growth = 0, .context = (void *)2 },
		{ .growth = 1000, .context = (void *)3 },
		{ .growth = 100, .context = (void *)4 },
		{ .growth = 1e6, .refused = true, .context = (void *)5 },
	};

	(void)state;
	attention_choose(candidates, 5, 2);
	assert_true(of(candidates, 5, 3)->wanted);
	assert_true(of(candidates, 5, 4)->wanted);
	assert_false(of(candidates, 5, 1)->wanted);
	assert_false(of(candidates, 5, 2)->wanted);
	assert_false(of(candidates, 5, 5)->wanted);
	attention_choose(candidates, 5, 16);
	assert_true(of(candidates, 5, 1)->wanted);
	assert_false(of(candidates, 5, 2)->wanted);
}

static void a_trace_that_has_just_begun_goes_on(void **state)
{
	struct candidate candidates[] = {
		{ .growth = 10, .traced = true, .traced_s = 20, .context = (void *)1 },
		{ .growth = 1e9, .context = (void *)2 },
	};

	(void)state;
	attention_choose(candidates, 2, 1);
	assert_true(of(candidates, 2, 1)->wanted);
	assert_false(of(candidates, 2, 2)->wanted);
}

static void an_old_trace_gives_way_to_much_faster_growth_only(void **state)
{
	struct candidate candidates[] = {
		{ .growth = 10, .traced = true, .traced_s = 900, .context = (void *)1 },
		{ .growth = 20, .context = (void *)2 },
	};

	(void)state;
	attention_choose(candidates, 2, 1);
	assert_true(of(candidates, 2, 1)->wanted);
	for (int i = 0; i < 2; i++)
		if (candidates[i].context == (void *)2)
			candidates[i].growth = 50;
	attention_choose(candidates, 2, 1);
	assert_false(of(candidates, 2, 1)->wanted);
	assert_true(of(candidates, 2, 2)->wanted);
}

static void what_does_not_grow_any_more_is_left_alone_after_a_while(void **state)
{
	struct candidate candidates[] = {
		{ .traced = true, .traced_s = 900, .idle_s = 100, .context = (void *)1 },
		{ .traced = true, .traced_s = 900, .idle_s = 200, .context = (void *)2 },
	};

	(void)state;
	attention_choose(candidates, 2, 16);
	assert_true(of(candidates, 2, 1)->wanted);
	assert_false(of(candidates, 2, 2)->wanted);
}

/* Runs against a cost of @per_factor x factor + @fixed, in CPU seconds a second. */
static double settled(double limit, double per_factor, double fixed, double *used)
{
	struct throttle throttle;
	uint64_t cpu = 0, wall = 1;

	throttle_init(&throttle, limit);
	throttle_update(&throttle, cpu, wall);
	for (int i = 0; i < 200; i++) {
		*used = per_factor * throttle.factor + fixed;
		cpu += *used * 2e9;
		wall += 2000000000;
		throttle_update(&throttle, cpu, wall);
	}
	return throttle.factor;
}

static void own_time_settles_below_the_limit(void **state)
{
	double used;

	(void)state;
	assert_true(settled(0.04, 0.01, 0.005, &used) == 1);
	settled(0.04, 0.3, 0.005, &used);
	assert_true(used < 0.04 && used > 0.02);
	/* Where even the least is too much, it is the least. */
	assert_true(settled(0.04, 0.1, 0.2, &used) < 0.05);
}

static void a_clock_that_stands_still_changes_nothing(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_init(&throttle, 0.04);
	throttle_update(&throttle, 5, 7);
	throttle_update(&throttle, 500000000, 7);
	throttle_update(&throttle, 5, 1000);
	assert_true(throttle.factor == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_growth_is_seen_at_its_rate),
		cmocka_unit_test(a_fast_leak_is_seen_after_ten_seconds),
		cmocka_unit_test(a_leak_of_two_mib_an_hour_is_seen_within_the_hour),
		cmocka_unit_test(what_comes_and_goes_is_no_growth),
		cmocka_unit_test(growth_on_a_sawtooth_is_seen),
		cmocka_unit_test(those_that_grow_fastest_are_traced),
		cmocka_unit_test(a_trace_that_has_just_begun_goes_on),
		cmocka_unit_test(an_old_trace_gives_way_to_much_faster_growth_only),
		cmocka_unit_test(what_does_not_grow_any_more_is_left_alone_after_a_while),
		cmocka_unit_test(own_time_settles_below_the_limit),
		cmocka_unit_test(a_clock_that_stands_still_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
