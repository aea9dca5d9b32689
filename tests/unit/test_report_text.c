// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "report/line.h"
#include "report/units.h"
#include "report/writer.h"
#include "tests/unit/sample.h"

static struct report *sample_report(void)
{
	const struct analysis_options options = { .top = 10 };

	return report_on_sample(&options, SAMPLE_SNAPSHOTS);
}

static const struct report_style plain = { .width = 80 };

/* free() the text. */
static char *render(const struct report_style *style, const struct report_header *header,
		    const struct report *report)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_true(text_writer.report(stream, style, header, report));
	fclose(stream);
	return text;
}

static char *render_sample(const struct report_style *style)
{
	struct report_header *header = sample_header();
	struct report *report = sample_report();
	char *text = render(style, header, report);

	report_free(report);
	report_header_free(header);
	return text;
}

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_not_says(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

/* No line is wider than @width by either measure of wide and combining characters. */
static void assert_fits(const char *text, unsigned int width)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	char **line;

	for (line = lines; *line; line++) {
		const char *c;
		unsigned int columns = 0;

		if (!g_utf8_validate(*line, -1, NULL))
			fail_msg("not UTF-8: %s", *line);
		for (c = *line; *c; c = g_utf8_next_char(c)) {
			gunichar character = g_utf8_get_char(c);

			if (g_unichar_iscntrl(character) ||
			    g_unichar_type(character) == G_UNICODE_FORMAT)
				fail_msg("control character U+%04X in: %s", character, *line);
			columns += g_unichar_iswide(character) ? 2 : 1;
		}
		if (columns > width)
			fail_msg("%u columns: %s", columns, *line);
	}
}

static void the_answer_comes_first(void **state)
{
	char *text = render_sample(&plain);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	(void)state;
	assert_string_equal(lines[0], "pyleak " PYLEAK_VERSION
				      "   pid 4242   python 3.11.2   shop/app.py   1m00s");
	assert_says(lines[1], "RSS 118 MiB, +18.0 MiB/min   cost ~1.6 %   every allocation traced");
	assert_says(lines[3], " 1  LEAK 9");
	assert_says(lines[3], "+2.1 MiB/min    2.1 MiB in 9,000 blocks     oldest 59s");
	assert_says(lines[4], "    /srv/shop/app.py:8  handle   KEPT.append(json.loads(order))");
	assert_says(text, "      json/decoder.py:353     JSONDecoder.raw_decode\n");
	assert_says(text, "    > /srv/shop/app.py:8      handle\n");
	assert_says(text, "6 of 6 intervals grew; 100 % of what was allocated 30s ago");
	assert_says(text, " 4  steady        +0 B/min");
	assert_says(text, "    [no Python frame]\n");
	assert_says(text, "      deeper frames cut\n");
	assert_says(text, "+0x1f40");
	assert_says(text, "missed: 3 allocations counted with their stack cut at 128 frames");
	assert_not_says(text, "nothing lost");
	assert_fits(text, 80);
	free(text);
}

static void a_grouped_report_says_what_a_site_is_and_its_share(void **state)
{
	struct report *report = sample_report();
	struct site *site = &g_array_index(report->sites, struct site, 0);
	char *text;

	(void)state;
	report->group_by = GROUP_BY_LINE;
	site->growth_share = 0.424;
	site->outstanding_share = 0.126;
	text = render(&plain, NULL, report);
	assert_says(text, "\nby line: the program's own that led to the memory\n");
	assert_says(text, "still there. 42 % of all growth, 13 % of all that is outstanding.");
	free(text);
	site->growth_share = -1;
	site->outstanding_share = 0.001;
	report->group_by = GROUP_BY_STACK;
	text = render(&plain, NULL, report);
	assert_not_says(text, "by line");
	assert_says(text, "is\n    still there.\n");
	free(text);
	report_free(report);
}

static void exact_figures_carry_no_mark_estimates_do(void **state)
{
	struct report *report = sample_report();
	char *text = render(&plain, NULL, report);
	g_auto(GStrv) exact = g_strsplit(text, "\n", -1), estimated = NULL;

	(void)state;
	assert_null(strchr(exact[3], '~'));
	free(text);
	report->families[FAMILY_PYMALLOC].mode = FAMILY_MODE_SAMPLED;
	report->families[FAMILY_PYMALLOC].observed_fraction = 0.012;
	g_array_index(report->sites, struct site, 0).estimated = true;
	g_array_index(report->sites, struct site, 0).with_memory = true;
	text = render(&plain, NULL, report);
	estimated = g_strsplit(text, "\n", -1);
	assert_says(text, "6 of 6 intervals grew, and so did the memory in use;");
	assert_says(estimated[1], "objects sampled 1.2 %, malloc exact");
	assert_says(estimated[3], "~+2.1 MiB/min");
	assert_says(estimated[3], "~2.1 MiB in ~9,000 blocks");
	free(text);
	report_free(report);
}

static void nothing_missed_is_said_and_so_is_everything_missed(void **state)
{
	struct report *report = sample_report();
	char *text;
	int i;

	(void)state;
	memset(report->lost, 0, sizeof(report->lost));
	text = render(&plain, NULL, report);
	assert_says(text, "\nnothing lost\n");
	free(text);
	for (i = 0; i < LOST_COUNT; i++) {
		g_autofree char *start = NULL;

		memset(report->lost, 0, sizeof(report->lost));
		report->lost[i] = 1234567;
		text = render(&plain, NULL, report);
		start = g_strndup(lost_reason_sentence(i), 20);
		assert_says(text, "missed: 1,234,567 ");
		assert_says(text, start);
		assert_fits(text, 80);
		free(text);
	}
	memset(report->lost, 0, sizeof(report->lost));
	report->coverage = 0.98765;
	text = render(&plain, NULL, report);
	assert_says(text, "coverage 98.7 %: of 36,000 small blocks");
	assert_not_says(text, "nothing lost");
	free(text);
	report_free(report);
}

static void an_empty_report_says_so(void **state)
{
	struct report *report = sample_report();
	char *text;

	(void)state;
	g_array_set_clear_func(report->sites, NULL);
	while (report->sites->len) {
		struct site *site = &g_array_index(report->sites, struct site, 0);

		g_free(site->stack.frames);
		g_free(site->source);
		g_array_remove_index(report->sites, 0);
	}
	report->sites_total = 0;
	g_ptr_array_add(report->notes, g_strdup("The target exited."));
	text = render(&plain, NULL, report);
	assert_says(text, "Nothing that was allocated since pyleak attached is still there");
	assert_says(text, "The target exited.");
	free(text);
	report_free(report);
}

static void long_stacks_are_cut_and_the_rest_is_counted(void **state)
{
	const struct report_style verbose = { .width = 80, .verbose = true };
	struct report *report = sample_report();
	struct site *site = &g_array_index(report->sites, struct site, 0);
	char *text;
	int i;

	(void)state;
	g_free(site->stack.frames);
	site->stack.frames = g_new0(struct frame, 40);
	site->stack.count = 40;
	for (i = 0; i < 40; i++)
		site->stack.frames[i] = sample_frame("/srv/deep.py", i + 1, "recurse");
	site->lead = 0;
	report->sites_total = 1000;
	text = render(&plain, NULL, report);
	assert_says(text, "/srv/deep.py:12");
	assert_not_says(text, "/srv/deep.py:13");
	assert_says(text, "28 more frames (-v shows them)");
	assert_says(text, "995 more sites with less (--top shows more)");
	free(text);
	text = render(&verbose, NULL, report);
	assert_says(text, "/srv/deep.py:40");
	assert_not_says(text, "more frames");
	free(text);
	report_free(report);
}

static void colour_is_used_only_when_asked_for(void **state)
{
	const struct report_style coloured = { .width = 80, .colour = true };
	char *text = render_sample(&plain);

	(void)state;
	assert_null(strchr(text, '\033'));
	free(text);
	text = render_sample(&coloured);
	assert_says(text, "\033[1;31mLEAK 98 %\033[0m");
	free(text);
}

static void a_long_path_keeps_its_end(void **state)
{
	struct report *report = sample_report();
	struct site *site = &g_array_index(report->sites, struct site, 0);
	g_autofree char *folder = g_strnfill(300, 'd');
	g_autofree char *path = g_strconcat("/", folder, "/shop/app.py", NULL);
	char *text;

	(void)state;
	site->stack.frames[site->lead].file = g_intern_string(path);
	text = render(&plain, NULL, report);
	assert_says(text, "dd/shop/app.py:8  handle");
	assert_says(text, "    \xe2\x80\xa6"
			  "ddd");
	assert_fits(text, 80);
	free(text);
	report_free(report);
}

/* Random bytes, controls, wide, combining and right-to-left characters. */
static char *hostile_string(GRand *random)
{
	static const char *const pieces[] = {
		"\n",
		"\r",
		"\t",
		"\033[2J",
		"\x07",
		"\x7f",
		"\xc2\x9b",
		"\xff\xfe",
		"\xe2\x80",
		"\xe2\x80\xae",
		"\xe2\x80\x8b",
		"\xcc\x81",
		"\xe6\xbc\xa2",
		"\xf0\x9f\x98\x80",
		"\xef\xbf\xbd",
		"\xd7\xa9",
		"%s%n",
		"\\",
		"/",
		" ",
		"site-packages/",
		"abcdefghij",
		"\xe3\x80\x80",
		"\xf4\x8f\xbf\xbf",
		"\xed\xa0\x80",
		"/lib/python3.11/",
	};
	GString *text = g_string_new(NULL);
	int i, count = g_rand_int_range(random, 0, g_rand_boolean(random) ? 5 : 60);

	for (i = 0; i < count; i++)
		g_string_append(text, pieces[g_rand_int_range(random, 0, G_N_ELEMENTS(pieces))]);
	return g_string_free(text, FALSE);
}

/* Owned by @names: GLib never frees interned strings, and these are many. */
static const char *hostile_name(GRand *random, GPtrArray *names)
{
	if (!g_rand_int_range(random, 0, 10))
		return NULL;
	g_ptr_array_add(names, hostile_string(random));
	return g_ptr_array_index(names, names->len - 1);
}

static double hostile_number(GRand *random)
{
	static const double numbers[] = { 0,	    -1,	       1e300, -1e300, NAN,
					  INFINITY, -INFINITY, 0.5,   1023.96 };

	return numbers[g_rand_int_range(random, 0, G_N_ELEMENTS(numbers))];
}

static void spoil(struct report *report, struct report_header *header, GRand *random,
		  GPtrArray *names)
{
	struct report_target *target = g_ptr_array_index(header->targets, 0);
	guint i, j;

	for (i = 0; i < report->sites->len; i++) {
		struct site *site = &g_array_index(report->sites, struct site, i);

		site->growth_bytes_per_s = hostile_number(random);
		site->growth_bytes_per_s_low = hostile_number(random);
		site->confidence = hostile_number(random);
		site->oldest_age_s = hostile_number(random);
		site->survival = hostile_number(random);
		site->retention = hostile_number(random);
		site->survival_age_s = hostile_number(random);
		site->outstanding_blocks = g_rand_boolean(random) ? INT64_MAX : INT64_MIN;
		site->outstanding_bytes = g_rand_boolean(random) ? INT64_MAX : INT64_MIN;
		site->estimated = g_rand_boolean(random);
		g_free(site->source);
		site->source = hostile_string(random);
		for (j = 0; j < site->stack.count; j++) {
			site->stack.frames[j].function = hostile_name(random, names);
			site->stack.frames[j].file = hostile_name(random, names);
			site->stack.frames[j].module = hostile_name(random, names);
			site->stack.frames[j].line = (int32_t)g_rand_int(random);
		}
	}
	g_free(target->cmdline[2]);
	target->cmdline[2] = hostile_string(random);
	g_free(target->allocator);
	target->allocator = hostile_string(random);
	target->container = g_rand_boolean(random) ? hostile_string(random) : NULL;
	target->cgroup = hostile_string(random);
	target->namespace_pid = (int32_t)g_rand_int(random);
	report->elapsed_s = hostile_number(random);
	report->overhead_pct = hostile_number(random);
	report->coverage = hostile_number(random);
	g_ptr_array_add(report->notes, hostile_string(random));
}

static void a_container_is_named_and_the_pid_inside(void **state)
{
	struct report_header *header = sample_header();
	struct report_target *target = g_ptr_array_index(header->targets, 0);
	struct report *report = sample_report();
	const struct report_style style = { .width = 80 };
	char *text;

	(void)state;
	target->cgroup = g_strdup("/user.slice");
	target->namespace_pid = target->pid;
	text = render(&style, header, report);
	assert_null(strstr(text, "container"));
	assert_null(strstr(text, "control group"));
	free(text);
	target->namespace_pid = 7;
	text = render(&style, header, report);
	assert_non_null(strstr(text, "\ncontrol group /user.slice   pid 7 inside\n"));
	free(text);
	target->container =
		g_strdup("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	text = render(&style, header, report);
	assert_non_null(strstr(text, "\ncontainer 0123456789ab   pid 7 inside\n"));
	free(text);
	g_free(target->container);
	target->container = g_strdup("größe");
	target->namespace_pid = 0;
	text = render(&style, header, report);
	assert_non_null(strstr(text, "\ncontainer größe\n"));
	free(text);
	report_free(report);
	report_header_free(header);
}

static void no_line_is_too_wide_whatever_the_names_are(void **state)
{
	static const unsigned int widths[] = { 60, 80, 120 };
	int seed;

	(void)state;
	for (seed = 0; seed < 400; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
		const struct report_style style = {
			.width = widths[seed % 3],
			.verbose = seed % 2,
		};
		struct report_header *header = sample_header();
		struct report *report = sample_report();
		char *text;

		spoil(report, header, random, names);
		text = render(&style, header, report);
		assert_fits(text, style.width);
		free(text);
		report_free(report);
		report_header_free(header);
	}
}

static void units_read_well(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} bytes[] = {
		{ 0, "0 B" },		{ 1023, "1023 B" },	{ 1024, "1.0 KiB" },
		{ 1047, "1.0 KiB" },	{ 102348, "99.9 KiB" }, { 102400, "100 KiB" },
		{ 1048570, "1.0 MiB" }, { -2048, "-2.0 KiB" },	{ 12.3 * 1048576, "12.3 MiB" },
	};
	static const struct {
		double seconds;
		const char *text;
	} durations[] = {
		{ -1, "0.0s" },	    { 0.44, "0.4s" },	 { 9.96, "10s" },   { 59.4, "59s" },
		{ 59.6, "1m00s" },  { 118, "1m58s" },	 { 3600, "1h00m" }, { 7530, "2h05m" },
		{ 86400, "1d00h" }, { 273600, "3d04h" }, { NAN, "0.0s" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(bytes); i++) {
		g_autofree char *text = units_bytes(bytes[i].bytes, false);

		assert_string_equal(text, bytes[i].text);
	}
	for (i = 0; i < G_N_ELEMENTS(durations); i++) {
		g_autofree char *text = units_duration(durations[i].seconds);

		assert_string_equal(text, durations[i].text);
	}
}

static void counts_have_thousands_separators(void **state)
{
	static const struct {
		int64_t count;
		const char *text;
	} counts[] = {
		{ 0, "0" },
		{ 999, "999" },
		{ 1000, "1,000" },
		{ 84000, "84,000" },
		{ -1234567, "-1,234,567" },
		{ INT64_MIN, "-9,223,372,036,854,775,808" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(counts); i++) {
		g_autofree char *text = units_count(counts[i].count);

		assert_string_equal(text, counts[i].text);
	}
}

static void names_cannot_write_to_the_terminal(void **state)
{
	g_autofree char *text = text_escape("a\033[2J\n\xe2\x80\xae\xff\xe6\xbc\xa2");

	(void)state;
	assert_string_equal(text, "a\\x1b[2J\\n\\u202e\\xff\xe6\xbc\xa2");
}

static void a_broken_stream_is_told(void **state)
{
	struct report *report = sample_report();
	FILE *stream = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(stream);
	assert_false(text_writer.report(stream, &plain, NULL, report));
	fclose(stream);
	report_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_comes_first),
		cmocka_unit_test(a_grouped_report_says_what_a_site_is_and_its_share),
		cmocka_unit_test(exact_figures_carry_no_mark_estimates_do),
		cmocka_unit_test(nothing_missed_is_said_and_so_is_everything_missed),
		cmocka_unit_test(an_empty_report_says_so),
		cmocka_unit_test(long_stacks_are_cut_and_the_rest_is_counted),
		cmocka_unit_test(colour_is_used_only_when_asked_for),
		cmocka_unit_test(a_long_path_keeps_its_end),
		cmocka_unit_test(a_container_is_named_and_the_pid_inside),
		cmocka_unit_test(no_line_is_too_wide_whatever_the_names_are),
		cmocka_unit_test(units_read_well),
		cmocka_unit_test(counts_have_thousands_separators),
		cmocka_unit_test(names_cannot_write_to_the_terminal),
		cmocka_unit_test(a_broken_stream_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
