// SPDX-License-Identifier: GPL-2.0-or-later
/* Folded stacks: root first, one line a stack, nothing in a name that would break a line apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "report/writer.h"
#include "tests/unit/sample.h"

static char *written(const GPtrArray *reports)
{
	size_t size;

	return written_document(&folded_writer, reports, &size);
}

static int64_t value_of(const char *line)
{
	return g_ascii_strtoll(strrchr(line, ' '), NULL, 10);
}

static int64_t sum_of(char **lines)
{
	int64_t sum = 0;

	for (; *lines && **lines; lines++)
		sum += value_of(*lines);
	return sum;
}

static void stacks_are_root_first_with_their_bytes(void **state)
{
	g_autoptr(GPtrArray) reports = reports_of(sample_top_report(10));
	char *text = written(reports);

	(void)state;
	assert_non_null(strstr(text, "run (/srv/shop/worker.py:77);serve (/srv/shop/app.py:31);"
				     "handle (/srv/shop/app.py:8);"
				     "loads (/usr/lib/python3.11/json/__init__.py:346);"));
	assert_non_null(strstr(text, "JSONDecoder.raw_decode "
				     "(/usr/lib/python3.11/json/decoder.py:353) 360000\n"));
	assert_non_null(strstr(text, "[deeper frames cut];run (/srv/shop/worker.py:77);"));
	assert_non_null(strstr(text, "\n[no Python frame] 65536\n"));
	assert_non_null(strstr(text, ";+0x1f40 (_multiarray_umath.so) 4096\n"));
	assert_null(strstr(text, "[other sites]"));
	free(text);
}

static void the_sum_of_all_lines_is_what_is_outstanding(void **state)
{
	uint32_t top;

	(void)state;
	for (top = 0; top < 7; top++) {
		struct report *report = sample_top_report(top);
		g_autoptr(GPtrArray) reports = reports_of(report);
		char *text = written(reports);
		g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

		assert_int_equal(sum_of(lines), report->outstanding_bytes);
		assert_true(!strstr(text, "[other sites]") == (top >= 5));
		free(text);
	}
}

static void several_processes_are_told_apart_at_the_root(void **state)
{
	struct report *other = sample_top_report(10);
	g_autoptr(GPtrArray) reports = reports_of(other);
	g_auto(GStrv) lines = NULL;
	char *text;
	int i, first = 0, second = 0;

	(void)state;
	other->pid = 7;
	g_ptr_array_add(reports, sample_top_report(10));
	text = written(reports);
	lines = g_strsplit(text, "\n", -1);
	for (i = 0; lines[i] && *lines[i]; i++) {
		first += g_str_has_prefix(lines[i], "? (pid 7);");
		second += g_str_has_prefix(lines[i], "shop/app.py (pid 4242);");
	}
	assert_true(first == 5 && second == 5 && i == 10);
	free(text);
}

static void hostile_names_stay_one_frame_of_one_line(void **state)
{
	static const char *const names[] = { "a;b", "two\nlines 99", "\xff\xfe", "",
					     "\r\t;;\x1b[31m" };
	struct report *report = sample_top_report(1);
	g_autoptr(GPtrArray) reports = reports_of(report);
	struct site *site = &g_array_index(report->sites, struct site, 0);
	size_t i;

	(void)state;
	report->outstanding_bytes = site->outstanding_bytes;
	site->stack.count = 1;
	for (i = 0; i < G_N_ELEMENTS(names); i++) {
		char *text, *c;

		site->stack.frames[0].function = g_intern_string(names[i]);
		site->stack.frames[0].file = g_intern_string(names[i]);
		text = written(reports);
		assert_true(g_utf8_validate(text, -1, NULL));
		assert_null(strchr(text, ';'));
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
		for (c = text; *c; c++)
			assert_true(*c == '\n' || !g_ascii_iscntrl(*c));
		assert_int_equal(value_of(text), site->outstanding_bytes);
		free(text);
	}
}

static void nothing_outstanding_is_an_empty_profile(void **state)
{
	struct report *report = sample_top_report(2);
	g_autoptr(GPtrArray) reports = reports_of(report);
	char *text;

	(void)state;
	g_array_index(report->sites, struct site, 0).outstanding_bytes = 0;
	g_array_index(report->sites, struct site, 1).outstanding_bytes = -5;
	report->outstanding_bytes = 0;
	text = written(reports);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_are_root_first_with_their_bytes),
		cmocka_unit_test(the_sum_of_all_lines_is_what_is_outstanding),
		cmocka_unit_test(several_processes_are_told_apart_at_the_root),
		cmocka_unit_test(hostile_names_stay_one_frame_of_one_line),
		cmocka_unit_test(nothing_outstanding_is_an_empty_profile),
	};

	return cmocka_run_group_tests_name("folded", tests, NULL, NULL);
}
