// SPDX-License-Identifier: GPL-2.0-or-later
/* What is missing to trace, as it is told to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>
#include <linux/capability.h>

#include "base/capabilities.h"

#define SET(number) (1ULL << (number))

static void assert_missing(uint64_t set, const char *expected)
{
	g_autofree char *missing = capabilities_missing(set);

	if (expected)
		assert_string_equal(missing, expected);
	else
		assert_null(missing);
}

static void what_is_missing_is_named_as_in_a_sentence(void **state)
{
	(void)state;
	uint64_t all = SET(CAP_BPF) | SET(CAP_PERFMON) | SET(CAP_SYS_PTRACE);

	assert_missing(0, "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
	assert_missing(all, NULL);
	assert_missing(all & ~SET(CAP_BPF), "CAP_BPF");
	assert_missing(SET(CAP_PERFMON), "CAP_BPF and CAP_SYS_PTRACE");
	/* CAP_CHOWN is number 0: it stands in for nothing. */
	assert_missing(SET(CAP_CHOWN), "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
}

static void cap_sys_admin_includes_what_was_split_off_it(void **state)
{
	(void)state;
	assert_missing(SET(CAP_SYS_ADMIN), "CAP_SYS_PTRACE");
	assert_missing(SET(CAP_SYS_ADMIN) | SET(CAP_SYS_PTRACE), NULL);
}

static void files_that_cannot_be_read_name_what_helps(void **state)
{
	(void)state;
	g_autofree char *none = capabilities_explain_unreadable(0);
	g_autofree char *search = capabilities_explain_unreadable(SET(CAP_DAC_OVERRIDE));
	g_autofree char *all = capabilities_explain_unreadable(UINT64_MAX);

	assert_non_null(strstr(none, "CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE"));
	assert_null(strstr(search, "CAP_DAC_READ_SEARCH"));
	assert_non_null(strstr(search, "CAP_CHECKPOINT_RESTORE"));
	assert_non_null(strstr(all, "security module"));
}

static void the_effective_set_is_read_from_a_status_file(void **state)
{
	(void)state;
	assert_int_equal(capabilities_parse("Name:\ta\nCapPrm:\t000001ffffffffff\n"
					    "CapEff:\t000000c000080000\nCapBnd:\t0\n"),
			 SET(CAP_BPF) | SET(CAP_PERFMON) | SET(CAP_SYS_PTRACE));
	/* A name may look like a line, but never holds a newline. */
	assert_int_equal(capabilities_parse("Name:\tCapEff:\nCapEff:\t0000000000000000\n"), 0);
	/* Where /proc does not tell, the kernel decides. */
	assert_int_equal(capabilities_parse(""), UINT64_MAX);
	assert_int_equal(capabilities_parse("Name:\ta\nCapEff:\n"), UINT64_MAX);
	assert_int_equal(capabilities_parse("Name:\ta\nCapEff:"), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_is_named_as_in_a_sentence),
		cmocka_unit_test(cap_sys_admin_includes_what_was_split_off_it),
		cmocka_unit_test(files_that_cannot_be_read_name_what_helps),
		cmocka_unit_test(the_effective_set_is_read_from_a_status_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
