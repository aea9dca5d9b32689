// SPDX-License-Identifier: GPL-2.0-or-later
/* /proc/PID/stat: kernel threads, odd names, damaged text. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <glib.h>

#include "proc/stat.h"

static void kernel_threads_and_odd_names_are_told_by_stat(void **state)
{
	(void)state;
	struct process_stat stat;

	/* From Linux 6.18: kthreadd, and a program that calls itself ") R 1 (". */
	assert_true(process_stat_parse(
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 7 0 0 20 0 1 0 5 0 0 "
		"18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 1 0 0 0\n",
		&stat));
	assert_true(stat.kernel_thread);
	assert_int_equal(stat.start_time, 5);
	assert_true(process_stat_parse(
		"77 () R 1 () Z 1 77 77 0 -1 4194560 115 0 0 0 0 0 0 0 20 0 3 0 8917 "
		"2940928 384 18446744073709551615 94371 94390 140731 0 0 0 0 0 0 0 0 0 17 3 50 2 "
		"0\n",
		&stat));
	assert_false(stat.kernel_thread);
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.start_time, 8917);
	assert_int_equal(stat.start_code, 94371);
	assert_int_equal(stat.start_stack, 140731);
	assert_int_equal(stat.processor, 3);
	assert_int_equal(stat.policy, SCHED_RR);
}

static void text_that_is_no_stat_file_is_refused(void **state)
{
	(void)state;
	static const char whole[] =
		"77 (a) S 1 77 77 0 -1 4194560 115 0 0 0 0 0 0 0 20 0 3 0 8917 2940928 384 9 1 2 3 "
		"0 0 0 0 0 0 0 0 0 17 3 0 1";
	struct process_stat stat;

	assert_true(process_stat_parse(whole, &stat));
	/* Cut before the last field's digits, it never parses. */
	for (size_t length = 0; length < sizeof(whole) - 2; length++) {
		g_autofree char *text = g_strndup(whole, length);
		assert_false(process_stat_parse(text, &stat));
	}
	assert_false(process_stat_parse(
		"77 (a) S 1 77 x 0 -1 4194560 115 0 0 0 0 0 0 0 20 0 3 0 8917 2 3 9 1 2 3 0 0 0 0 "
		"0 0 0 0 0 17 3 0 1",
		&stat));
	assert_false(process_stat_parse("77 (a)", &stat));
	assert_false(process_stat_parse(")", &stat));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_threads_and_odd_names_are_told_by_stat),
		cmocka_unit_test(text_that_is_no_stat_file_is_refused),
	};

	return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
