// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory curve in reports: the plot, the words, the keys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "report/memory_words.h"
#include "report/plot.h"
#include "report/writer.h"

static const double MIB = 1 << 20;

/* A report of a minute in which @in_use and @unused go from the first to the second figure. */
static struct report *report_new(const double in_use[2], const double unused[2], double traced)
{
	struct report *report = g_new0(struct report, 1);
	struct curve *curve = curve_new();

	report->sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	report->pid = 17;
	report->elapsed_s = 60;
	report->coverage = -1;
	report->last = true;
	for (int i = 0; i <= 60; i++) {
		struct curve_point point = {
			.elapsed_s = i,
			.in_use_bytes = in_use[0] + (in_use[1] - in_use[0]) * i / 60,
			.unused_bytes = unused[0] + (unused[1] - unused[0]) * i / 60,
			.traced_bytes = traced * i / 60,
		};

		point.rss_bytes = point.in_use_bytes + point.unused_bytes + 10 * MIB;
		curve_add(curve, &point);
	}
	report->curve = curve_summarise(curve);
	report->curve_points = curve_points(curve);
	report->memory = (struct memory_use){
		.known = true,
		.rss_bytes = report->curve.last.rss_bytes,
		.private_bytes = in_use[1] + unused[1],
		.pymalloc_known = true,
		.pymalloc_held_bytes = 2 * unused[1],
		.pymalloc_used_bytes = unused[1],
		.pymalloc_free_bytes = unused[1],
	};
	curve_free(curve);
	return report;
}

static char *render(const struct report *report, unsigned int width, bool unicode)
{
	const struct report_style style = { .width = width, .unicode = unicode };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_true(text_writer.report(stream, &style, NULL, report));
	fclose(stream);
	return text;
}

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static const double steady[2] = { 100 * (1 << 20), 100 * (1 << 20) };
static const double rising[2] = { 100 * (1 << 20), 160 * (1 << 20) };
static const double little[2] = { 1 << 20, 1 << 20 };
static const double holes[2] = { 10 * (1 << 20), 120 * (1 << 20) };

static void the_sentence_tells_a_leak_from_fragmentation(void **state)
{
	static const double falling[2] = { 150 * (1 << 20), 60 * (1 << 20) };
	static const double barely[2] = { 100 * (1 << 20), 100 * (1 << 20) + 1000 };
	static const struct {
		const double *in_use, *unused;
		double traced;
		bool leak;
		const char *sentence;
	} cases[] = {
		{ rising, little, 6e7, false,
		  "Memory in use grows, +60.0 MiB/min: that is not fragmentation." },
		{ rising, holes, 6e7, true, "Another 120 MiB is held but unused." },
		{ rising, little, 10 * (1 << 20), false,
		  "Of 60.0 MiB, only 10.0 MiB was seen being allocated." },
		{ steady, holes, 0, false,
		  "Memory in use is flat; 120 MiB is held but unused: fragmentation, not a leak." },
		{ falling, holes, 0, false,
		  "Memory in use fell by 90.0 MiB from its peak; 120 MiB is held but unused: "
		  "fragmentation, not a leak." },
		{ steady, holes, 0, true,
		  "Memory in use hardly grows beside 120 MiB that is held but unused "
		  "(fragmentation): the leak is small against it." },
		{ steady, little, 0, false, "Memory in use is flat." },
		{ barely, little, 0, true,
		  "Memory in use hardly grows yet: the leak is small against it." },
		{ falling, little, 0, false, "Memory in use falls, -90.0 MiB/min." },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct report *report =
			report_new(cases[i].in_use, cases[i].unused, cases[i].traced);
		struct site site = { .verdict = cases[i].leak ? VERDICT_LEAK : VERDICT_STEADY };
		g_autofree char *sentence = NULL;

		g_array_append_val(report->sites, site);
		sentence = memory_sentence(report);
		assert_says(sentence, cases[i].sentence);
		report_free(report);
	}
}

static void nothing_is_said_of_what_was_not_measured(void **state)
{
	struct report *report = report_new(rising, little, 0);
	char *text;

	(void)state;
	report->memory.pymalloc_known = false;
	g_autofree char *sentence = memory_sentence(report);
	assert_says(sentence, "how much of it is fragmentation is not known");
	report->memory.known = false;
	assert_null(memory_sentence(report));
	text = render(report, 80, true);
	assert_null(strstr(text, "in use"));
	free(text);
	report_free(report);
}

static void the_plot_shows_the_curve(void **state)
{
	struct report *report = report_new(rising, little, 6e7);
	char *text = render(report, 80, false);
	g_auto(GStrv) lines = g_strsplit(strstr(text, "nothing lost\n\n") + 14, "\n", -1);
	size_t i, before = 0;

	(void)state;
	/* Ten columns of label; what is in use climbs from the left to the right. */
	for (i = 0; i < 8; i++) {
		size_t filled = 0;

		assert_int_equal(lines[i][10], '|');
		for (const char *c = lines[i]; *c; c++)
			filled += *c == '#';
		assert_true(filled >= before);
		before = filled;
	}
	assert_true(before > 60);
	assert_true(g_str_has_prefix(lines[0], "  171 MiB |"));
	assert_true(g_str_has_prefix(lines[8], "           0.0s"));
	assert_true(g_str_has_suffix(lines[8], "1m00s"));
	assert_true(g_str_has_prefix(lines[9], "+57.2 MiB"));
	assert_string_equal(
		lines[10],
		"  # in use 160 MiB, . unused 1.0 MiB, - RSS 171 MiB; bottom row: traced");
	assert_says(text, "in use 160 MiB, +60.0 MiB/min (growing)   held but unused 1.0 MiB\n");
	free(text);
	report->last = false;
	text = render(report, 80, false);
	assert_null(strstr(text, "|"));
	free(text);
	report_free(report);
}

static void what_is_unused_stands_on_what_is_in_use(void **state)
{
	struct report *report = report_new(steady, holes, 0);
	char *text = render(report, 80, true);

	(void)state;
	assert_says(text, "\u2591\u2591\u2591");
	assert_says(text, "\u2588\u2588\u2588");
	assert_says(text, "in use 100 MiB (not growing)   held but unused 120 MiB\n");
	free(text);
	report->memory.malloc_known = true;
	text = render(report, 80, true);
	assert_says(text, "held but unused at least 120 MiB\n");
	assert_says(text, "Memory in use is flat; 120 MiB is held but unused");
	free(text);
	report_free(report);
}

/* Nothing but ASCII where the locale has no more, and never wider than asked for. */
static void any_curve_fits_any_width(void **state)
{
	static const double figures[] = { 0, 1, 1 << 20, 5e9, 1e13, 1.8e19 };
	static const unsigned int widths[] = { 60, 80, 120 };

	(void)state;
	for (int seed = 0; seed < 300; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		double values[4];
		struct report *report;
		g_auto(GStrv) lines = NULL;
		bool unicode = seed % 2;
		char *text;

		for (int i = 0; i < 4; i++)
			values[i] = figures[g_rand_int_range(random, 0, G_N_ELEMENTS(figures))];
		report = report_new(values, values + 2, values[0] - values[3]);
		text = render(report, widths[seed % 3], unicode);
		lines = g_strsplit(strstr(text, "nothing lost\n"), "\n", -1);
		for (char **line = lines; *line; line++) {
			assert_true(g_utf8_validate(*line, -1, NULL));
			assert_true(g_utf8_strlen(*line, -1) <= widths[seed % 3]);
			assert_true(unicode || g_str_is_ascii(*line));
		}
		free(text);
		report_free(report);
	}
}

static void a_plot_needs_two_moments(void **state)
{
	g_autoptr(GArray) points = g_array_new(FALSE, TRUE, sizeof(struct curve_point));
	struct curve_point point = { 3, 2e6, 1e6, 0, 0 };
	struct line line;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	line_init(&line, stream, 80, false);
	plot_write(&line, NULL, true);
	plot_write(&line, points, true);
	g_array_append_val(points, point);
	plot_write(&line, points, true);
	fflush(stream);
	assert_int_equal(size, 0);
	g_array_append_val(points, point); /* at the same time */
	plot_write(&line, points, true);
	fflush(stream);
	assert_true(size > 0);
	line_deinit(&line);
	fclose(stream);
	free(text);
}

static json_t *json_of(const struct report *report)
{
	const struct report_style style = { .width = 80 };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	json_t *object;

	assert_true(json_writer.report(stream, &style, NULL, report));
	fclose(stream);
	object = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(object);
	return object;
}

static void assert_keys_are_in_the_schema(json_t *object, json_t *definition)
{
	json_t *properties = json_object_get(definition, "properties"), *value;
	const char *key;

	json_object_foreach(object, key, value)
	{
		if (!json_object_get(properties, key))
			fail_msg("%s is not in the schema", key);
	}
	assert_int_equal(json_object_size(object), json_object_size(properties));
}

static void json_has_the_figures_and_the_curve(void **state)
{
	struct report *report = report_new(steady, holes, 0);
	json_t *schema = json_load_file("docs/report.schema.json", 0, NULL);
	json_t *definitions = json_object_get(schema, "definitions");
	json_t *object = json_of(report), *memory = json_object_get(object, "memory");

	(void)state;
	assert_non_null(memory);
	assert_keys_are_in_the_schema(memory, json_object_get(definitions, "memory"));
	assert_string_equal(json_string_value(json_object_get(memory, "trend")), "fragmented");
	assert_int_equal(json_integer_value(json_object_get(memory, "in_use_bytes")), 100 << 20);
	assert_int_equal(json_integer_value(json_object_get(memory, "fragmentation_bytes")),
			 120 << 20);
	assert_true(json_is_null(json_object_get(memory, "malloc_held_bytes")));
	assert_int_equal(json_array_size(json_object_get(memory, "curve")), 61);
	assert_keys_are_in_the_schema(json_array_get(json_object_get(memory, "curve"), 0),
				      json_object_get(definitions, "moment"));
	json_decref(object);
	report->last = false;
	report->memory.pymalloc_known = false;
	object = json_of(report);
	memory = json_object_get(object, "memory");
	assert_null(json_object_get(memory, "curve"));
	assert_true(json_is_null(json_object_get(memory, "fragmentation_bytes")));
	json_decref(object);
	json_decref(schema);
	report_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sentence_tells_a_leak_from_fragmentation),
		cmocka_unit_test(nothing_is_said_of_what_was_not_measured),
		cmocka_unit_test(the_plot_shows_the_curve),
		cmocka_unit_test(what_is_unused_stands_on_what_is_in_use),
		cmocka_unit_test(any_curve_fits_any_width),
		cmocka_unit_test(a_plot_needs_two_moments),
		cmocka_unit_test(json_has_the_figures_and_the_curve),
	};

	return cmocka_run_group_tests_name("report_memory", tests, NULL, NULL);
}
