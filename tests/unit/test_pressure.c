// SPDX-License-Identifier: GPL-2.0-or-later
/* /proc/pressure/cpu: what it says, and text that says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proc/pressure.h"

static void the_last_ten_seconds_of_some_tasks_count(void **state)
{
	(void)state;
	assert_true(pressure_parse("some avg10=98.59 avg60=92.12 avg300=59.63 total=3772378324\n"
				   "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n") == 98.59);
	assert_true(pressure_parse("some avg10=0.00 avg60=92.12 avg300=59.63 total=1\n") == 0);
}

static void nonsense_is_no_pressure(void **state)
{
	static const char *const texts[] = {
		"",   "some", "some avg10=", "some avg10=nan", "some avg10=-5", "full avg10=50.00",
		"\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_true(pressure_parse(texts[i]) == 0);
	assert_true(pressure_parse("some avg10=1e300") == 100);
}

static void this_host_can_be_asked(void **state)
{
	double pressure = pressure_cpu();

	(void)state;
	assert_true(pressure >= 0 && pressure <= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_ten_seconds_of_some_tasks_count),
		cmocka_unit_test(nonsense_is_no_pressure),
		cmocka_unit_test(this_host_can_be_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
