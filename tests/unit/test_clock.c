// SPDX-License-Identifier: GPL-2.0-or-later
/* Clocks, and what is left until a moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

/* Windows of a family stayed away for good once the clock had passed the end of a burst between two
 * looks at it. */
static void what_is_over_has_nothing_left(void **state)
{
	(void)state;
	assert_true(clock_left_ns(1000, 3500) == 2500);
	assert_true(clock_left_ns(3500, 3500) == 0);
	assert_true(clock_left_ns(3501, 3500) == 0);
	assert_true(clock_left_ns(UINT64_MAX, 0) == 0);
}

static void clocks_go_on(void **state)
{
	uint64_t began = clock_now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	(void)state;
	assert_true(began > 0);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) == cpu)
		;
	assert_true(clock_now_ns() > began);
	assert_true(clock_ns(INT32_MAX) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_over_has_nothing_left),
		cmocka_unit_test(clocks_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
