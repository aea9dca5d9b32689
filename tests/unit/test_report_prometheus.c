// SPDX-License-Identifier: GPL-2.0-or-later
/* The text format of Prometheus: every line parses, no series twice, whatever names hold. */
#include <math.h>
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

	return written_document(&prometheus_writer, reports, &size);
}

/* The end of a quoted label value that begins at @c. */
static const char *skip_value(const char *c)
{
	assert_int_equal(*c, '"');
	for (c++; *c != '"'; c++) {
		assert_true(*c && *c != '\n');
		if (*c == '\\') {
			c++;
			assert_true(*c == '\\' || *c == '"' || *c == 'n');
		}
	}
	return c + 1;
}

static const char *skip_name(const char *c)
{
	assert_true(g_ascii_isalpha(*c));
	while (g_ascii_isalnum(*c) || *c == '_')
		c++;
	return c;
}

/* One sample by the grammar; where its value begins. */
static const char *value_of(const char *line)
{
	const char *c = skip_name(line);

	if (*c == '{') {
		do {
			c = skip_name(c + 1);
			assert_int_equal(*c, '=');
			c = skip_value(c + 1);
		} while (*c == ',');
		assert_int_equal(*c, '}');
		c++;
	}
	assert_int_equal(*c, ' ');
	return c + 1;
}

static void assert_sound(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const char *value;
	char *end;
	int i;

	assert_true(g_utf8_validate(text, -1, NULL));
	for (i = 0; lines[i] && *lines[i]; i++) {
		if (*lines[i] == '#') {
			assert_true(g_str_has_prefix(lines[i], "# HELP pyleak_") ||
				    g_str_has_prefix(lines[i], "# TYPE pyleak_"));
			continue;
		}
		assert_true(g_str_has_prefix(lines[i], "pyleak_"));
		value = value_of(lines[i]);
		assert_true(isfinite(g_ascii_strtod(value, &end)));
		assert_true(end > value && !*end);
		assert_true(g_hash_table_add(seen, g_strndup(lines[i], value - lines[i])));
	}
	assert_true(i > 0 && !lines[i + 1]);
}

static void figures_stand_under_their_names(void **state)
{
	g_autoptr(GPtrArray) reports = reports_of(sample_top_report(10));
	char *text = written(reports);

	(void)state;
	assert_sound(text);
	assert_non_null(strstr(text, "\npyleak_targets 1\n"));
	assert_non_null(strstr(text, "\npyleak_process_resident_memory_bytes{pid=\"4242\",program="
				     "\"shop/app.py\"} 108003328\n"));
	assert_non_null(strstr(text, "pyleak_lost_total{pid=\"4242\",program=\"shop/app.py\","
				     "reason=\"stack_truncated\"} 3\n"));
	assert_non_null(strstr(text, "family=\"pymalloc\",file=\"/srv/shop/app.py\",line=\"8\","
				     "function=\"handle\"} 360000\n"));
	assert_non_null(strstr(text, "\npyleak_overhead_ratio{pid=\"4242\",program=\"shop/app.py\"}"
				     " 0.01625\n"));
	free(text);
}

static unsigned int count_of(const char *text, const char *part)
{
	unsigned int count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

static void series_are_as_many_as_sites_and_processes(void **state)
{
	struct report *other = sample_top_report(2);
	g_autoptr(GPtrArray) reports = reports_of(other);
	char *text;

	(void)state;
	other->pid = 7;
	g_ptr_array_add(reports, sample_top_report(3));
	text = written(reports);
	assert_sound(text);
	assert_int_equal(count_of(text, "\npyleak_site_outstanding_bytes{"), 5);
	assert_int_equal(count_of(text, "\npyleak_site_leak_confidence{"), 5);
	assert_int_equal(count_of(text, "\npyleak_outstanding_bytes{"), 2);
	assert_int_equal(count_of(text, "# TYPE pyleak_outstanding_bytes gauge\n"), 1);
	free(text);
}

static void only_a_leak_has_confidence(void **state)
{
	struct report *report = sample_top_report(1);
	g_autoptr(GPtrArray) reports = reports_of(report);
	struct site *site = &g_array_index(report->sites, struct site, 0);
	char *text;

	(void)state;
	site->verdict = VERDICT_LEAK;
	site->confidence = 0.75;
	text = written(reports);
	assert_non_null(strstr(text, "function=\"handle\"} 0.75\n"));
	assert_non_null(
		strstr(text, "pyleak_leaking_sites{pid=\"4242\",program=\"shop/app.py\"} 1"));
	free(text);
	site->verdict = VERDICT_GROWING;
	text = written(reports);
	assert_null(strstr(text, "} 0.75\n"));
	free(text);
}

static void hostile_names_and_figures_stay_sound(void **state)
{
	g_autofree char *deep = g_strnfill(5000, 'x');
	g_autofree char *wide = g_strnfill(4999, '\xa4');
	const char *names[] = { NULL, "", "a\"b\\c\nd", "\xff\xfe", "{}=,\"", deep, wide, "\\" };
	struct report *report = sample_top_report(10);
	g_autoptr(GPtrArray) reports = reports_of(report);
	size_t i, j;

	(void)state;
	report->overhead_pct = NAN;
	report->growth_bytes_per_s = INFINITY;
	for (i = 0; i < G_N_ELEMENTS(names); i++) {
		char *text;

		for (j = 0; j < report->sites->len; j++) {
			struct site *site = &g_array_index(report->sites, struct site, j);

			site->confidence = NAN;
			site->verdict = VERDICT_LEAK;
			site->growth_bytes_per_s = -INFINITY;
			if (site->lead >= site->stack.count)
				continue;
			site->stack.frames[site->lead].function = names[i];
			site->stack.frames[site->lead].file = names[i];
			site->stack.frames[site->lead].line = INT32_MIN;
		}
		text = written(reports);
		assert_sound(text);
		assert_true(strlen(text) < 60000);
		free(text);
	}
}

static void without_processes_there_is_a_count_of_none(void **state)
{
	g_autoptr(GPtrArray) reports = g_ptr_array_new();
	char *text = written(reports);

	(void)state;
	assert_sound(text);
	assert_non_null(strstr(text, "\npyleak_targets 0\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_stand_under_their_names),
		cmocka_unit_test(series_are_as_many_as_sites_and_processes),
		cmocka_unit_test(only_a_leak_has_confidence),
		cmocka_unit_test(hostile_names_and_figures_stay_sound),
		cmocka_unit_test(without_processes_there_is_a_count_of_none),
	};

	return cmocka_run_group_tests_name("prometheus", tests, NULL, NULL);
}
