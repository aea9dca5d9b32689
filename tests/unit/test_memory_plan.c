// SPDX-License-Identifier: GPL-2.0-or-later
/* How --max-memory is divided: the parts never add up to more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/memory_plan.h"

static const uint64_t MIB = 1 << 20;

/* What a context and the fingerprint of a block take: memory_plan.c. */
enum { CONTEXT = 2048, FINGERPRINT = 144 };

static uint64_t bytes_of(const struct memory_plan *plan, bool sampled)
{
	return PLAN_FIXED_BYTES - (4 << 20) + plan->event_bytes +
	       (uint64_t)plan->contexts * CONTEXT +
	       memory_plan_live_bytes(plan->live_blocks, plan->live_blocks) +
	       (sampled ? (uint64_t)plan->live_blocks * FINGERPRINT : 0) + plan->heap_bytes +
	       plan->debug_bytes;
}

static void the_parts_add_up_to_the_limit(void **state)
{
	(void)state;
	for (uint64_t mib = 48; mib < 100000; mib = mib * 9 / 8) {
		for (int sampled = 0; sampled < 2; sampled++) {
			struct memory_plan plan;

			memory_plan_make(&plan, mib * MIB, sampled);
			assert_in_range(bytes_of(&plan, sampled), mib * MIB * 9 / 10, mib * MIB);
			assert_int_equal(plan.event_bytes & (plan.event_bytes - 1), 0);
			assert_true(plan.heap_bytes >= (mib - 34) * MIB / 16 - 12 * MIB / 16);
			assert_true(plan.debug_bytes <= 64 * MIB);
		}
	}
}

static void a_limit_below_the_least_is_taken_for_the_least(void **state)
{
	struct memory_plan least, plan;

	(void)state;
	memory_plan_make(&least, PLAN_FIXED_BYTES + PLAN_LEAST_BYTES, true);
	for (uint64_t mib = 1; mib <= 48; mib++) {
		memory_plan_make(&plan, mib * MIB, true);
		assert_int_equal(plan.contexts, least.contexts);
		assert_int_equal(plan.live_blocks, least.live_blocks);
		assert_int_equal(plan.heap_bytes, least.heap_bytes);
	}
	assert_true(least.contexts >= 2000 && least.live_blocks >= 16384);
	assert_true(least.heap_bytes >= MIB / 2);
}

static void more_memory_is_never_less_room(void **state)
{
	struct memory_plan before = { 0 }, plan;

	(void)state;
	/* The ring buffer grows at once, at 128 MiB. */
	for (uint64_t mib = 128; mib < 8192; mib += 16) {
		memory_plan_make(&plan, mib * MIB, false);
		assert_true(plan.contexts >= before.contexts);
		assert_true(plan.live_blocks >= before.live_blocks);
		before = plan;
	}
	assert_int_equal(plan.contexts, 65536);
	assert_true(plan.live_blocks > 20000000);
	/* Windows do not need that many. */
	memory_plan_make(&plan, 8192 * MIB, true);
	assert_int_equal(plan.live_blocks, 262144);
	assert_true(plan.heap_bytes > 7000 * MIB);
}

static void processes_share_what_is_for_heaps(void **state)
{
	struct memory_plan plan = { .heap_bytes = 60 * MIB };

	(void)state;
	assert_int_equal(memory_plan_heap_bytes(&plan, 0), 60 * MIB);
	assert_int_equal(memory_plan_heap_bytes(&plan, 1), 60 * MIB);
	assert_int_equal(memory_plan_heap_bytes(&plan, 11), 45 * MIB / 11);
	/* A quarter is left however many there are. */
	assert_int_equal(memory_plan_heap_bytes(&plan, 1000), 15 * MIB / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_add_up_to_the_limit),
		cmocka_unit_test(a_limit_below_the_least_is_taken_for_the_least),
		cmocka_unit_test(more_memory_is_never_less_room),
		cmocka_unit_test(processes_share_what_is_for_heaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
