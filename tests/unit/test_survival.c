// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "collect/survival.h"

static void no_checkpoint_before_the_first(void **state)
{
	struct survival *survival = survival_new();

	(void)state;
	assert_null(survival_checkpoint(survival, 0, 100));
	survival_free(survival);
}

static void the_checkpoint_is_the_one_nearest_to_half_of_the_time(void **state)
{
	struct survival *survival = survival_new();
	struct traced_context contexts[4] = { { 0 } };
	const struct checkpoint *half;

	(void)state;
	for (uint64_t time = 0; time <= 10; time++) {
		contexts[1] = (struct traced_context){ .target = 4, .alloc_blocks = 9 };
		contexts[2] = (struct traced_context){ .target = 5, .alloc_blocks = time * 7 };
		contexts[3] = (struct traced_context){ .target = 5 };
		survival_remember(survival, time, contexts, 4, 5);
	}
	half = survival_checkpoint(survival, 0, 10);
	assert_int_equal(half->time_ns, 5);
	/* Those of other targets, and without anything allocated, take no room. */
	assert_int_equal(half->count, 1);
	assert_int_equal(half->allocs[0].context, 2);
	assert_int_equal(half->allocs[0].blocks, 35);
	survival_free(survival);
}

static void memory_is_bounded_and_old_moments_stay(void **state)
{
	struct survival *survival = survival_new();
	struct traced_context contexts[1] = { { 0 } };
	const struct checkpoint *middle;

	(void)state;
	for (uint64_t time = 0; time <= 100000; time++)
		survival_remember(survival, time, contexts, 1, 1);
	/* Thinned out, there still is one at between a quarter and three quarters of the time. */
	middle = survival_checkpoint(survival, 0, 100000);
	assert_in_range(middle->time_ns, 25000, 75000);
	survival_free(survival);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_checkpoint_before_the_first),
		cmocka_unit_test(the_checkpoint_is_the_one_nearest_to_half_of_the_time),
		cmocka_unit_test(memory_is_bounded_and_old_moments_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
