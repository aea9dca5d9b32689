// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/error.h"
#include "cli/options.h"

/* Parses "pyleak" + the words of @line; a word "''" is empty. */
static struct options *parse(const char *line, GError **error)
{
	g_autofree char *all = g_strconcat("pyleak ", line, NULL);
	g_auto(GStrv) words = g_strsplit(g_strstrip(all), " ", -1);
	char **word;

	for (word = words; *word; word++) {
		if (!strcmp(*word, "''"))
			**word = '\0';
	}
	return options_parse((int)g_strv_length(words), words, error);
}

static struct options *accepted(const char *line)
{
	g_autoptr(GError) error = NULL;
	struct options *options = parse(line, &error);

	if (!options)
		fail_msg("%s: %s", line, error->message);
	return options;
}

/* One line, with @part in it. */
static void assert_refused(const char *line, int code, const char *part)
{
	g_autoptr(GError) error = NULL;
	struct options *options = parse(line, &error);

	if (options)
		fail_msg("%s was accepted", line);
	if (error->code != code || !strstr(error->message, part) || strchr(error->message, '\n'))
		fail_msg("%s: %d, %s", line, error->code, error->message);
}

static void defaults_are_those_of_the_contract(void **state)
{
	struct options *options = accepted("-p 12");

	(void)state;
	assert_int_equal(options->pids->len, 1);
	assert_int_equal(g_array_index(options->pids, pid_t, 0), 12);
	assert_true(options->interval_s == 10 && options->duration_s == 0);
	assert_true(options->count == 0 && options->min_age_s == 0);
	assert_int_equal(options->analysis.top, 10);
	assert_true(options->overhead_pct == 2 && options->burst_ms == 30);
	assert_int_equal(options->analysis.group_by, GROUP_BY_STACK);
	assert_int_equal(options->analysis.sort_by, SORT_BY_GROWTH);
	assert_ptr_equal(options->writer, &text_writer);
	assert_int_equal(options->native, NATIVE_LEAF);
	assert_true(options->max_memory == 256 << 20);
	assert_false(options->exact);
	assert_null(options->output);
	assert_null(options->command);
	assert_null(options->analysis.include);
	assert_false(options->fail_on_leak || options->verbose || options->quiet);
	options_free(options);
}

static void every_option_is_taken(void **state)
{
	struct options *options = accepted(
		"-p 12,34 -i 0.5 -d 60 -n 3 -t 7 --exact --overhead 5 --burst 20 --min-age 1.5 "
		"--group-by module --sort rate -j -o out.json --native off --include a* --include "
		"b "
		"--exclude c --max-memory 1.5G --fail-on-leak -v -q --pid 12,56");

	(void)state;
	assert_int_equal(options->pids->len, 3);
	assert_true(options->interval_s == 0.5 && options->duration_s == 60);
	assert_true(options->count == 3 && options->analysis.top == 7);
	assert_true(options->exact);
	assert_true(options->overhead_pct == 5 && options->burst_ms == 20);
	assert_true(options->min_age_s == 1.5);
	assert_int_equal(options->analysis.group_by, GROUP_BY_MODULE);
	assert_int_equal(options->analysis.sort_by, SORT_BY_RATE);
	assert_ptr_equal(options->writer, &json_writer);
	assert_string_equal(options->output, "out.json");
	assert_int_equal(options->native, NATIVE_OFF);
	assert_string_equal(options->analysis.include[1], "b");
	assert_null(options->analysis.include[2]);
	assert_string_equal(options->analysis.exclude[0], "c");
	assert_true(options->max_memory == 1536ULL << 20);
	assert_true(options->fail_on_leak && options->verbose && options->quiet);
	options_free(options);
}

static void the_options_of_a_command_are_its_own(void **state)
{
	struct options *options = accepted("-i 1 -- python3 -i 7 -- -p 3");

	(void)state;
	assert_true(options->interval_s == 1);
	assert_int_equal(g_strv_length(options->command), 6);
	assert_string_equal(options->command[0], "python3");
	assert_string_equal(options->command[3], "--");
	assert_string_equal(options->command[5], "3");
	assert_int_equal(options->pids->len, 0);
	options_free(options);
}

static void exactly_one_target_is_needed(void **state)
{
	(void)state;
	assert_refused("", PYLEAK_ERROR_USAGE, "-p PID or -- CMD");
	assert_refused("-i 3", PYLEAK_ERROR_USAGE, "nothing to trace");
	assert_refused("--", PYLEAK_ERROR_USAGE, "nothing to trace");
	assert_refused("-p 1 -- true", PYLEAK_ERROR_USAGE, "exclude each other");
	assert_refused("python3 app.py", PYLEAK_ERROR_USAGE, "'python3' is not an option");
	assert_refused("python3 -- app.py", PYLEAK_ERROR_USAGE, "'python3' is not an option");
}

static void numbers_are_read_strictly(void **state)
{
	static const char *const bad[] = {
		"-i x",
		"-i 0",
		"-i -1",
		"-i nan",
		"-i inf",
		"-i 1x",
		"-i ''",
		"-i 0x10",
		"-i 1..2",
		"-i 1e400",
		"-i .",
		"-i 1,5",
		"-d 0",
		"-d -3",
		"-n 0",
		"-n 1.5",
		"-n -1",
		"-n +1",
		"-t 0",
		"-t 5x",
		"-t 4294967296",
		"-t ''",
		"-n 99999999999999999999",
		"--min-age -1",
		"--min-age x",
		"-i 1e9",
		"--overhead 0 --exact",
		"--overhead 101 --exact",
		"--burst 0 --exact",
		"--max-memory 0",
		"--max-memory 512K",
		"--max-memory 1X",
		"--max-memory 1Mx",
		"--max-memory -1G",
		"--max-memory 99999999T",
		"--max-memory ''",
		"-i 9999999999",
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *line = g_strconcat("-p 1 ", bad[i], NULL);

		assert_refused(line, PYLEAK_ERROR_USAGE, "");
	}
	assert_refused("-p 1 -i x", PYLEAK_ERROR_USAGE,
		       "--interval needs a number of seconds greater than 0, not 'x'");
}

static void sizes_have_binary_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "1048576", 1 << 20 }, { "2048K", 2 << 20 },	{ "1M", 1 << 20 },
		{ "256m", 256 << 20 },	{ "1GiB", 1ULL << 30 }, { "2T", 2ULL << 40 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *line = g_strconcat("-p 1 --max-memory ", sizes[i].text, NULL);
		struct options *options = accepted(line);

		assert_true(options->max_memory == sizes[i].bytes);
		options_free(options);
	}
}

static void pids_are_read_strictly(void **state)
{
	static const char *const bad[] = { "0",	 "-1",	       "1,", ",1",  "1,,2", "x",
					   "1x", "2147483648", "''", "1;2", "+1" };
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *line = g_strconcat("-p ", bad[i], NULL);

		assert_refused(line, PYLEAK_ERROR_USAGE, "-p needs");
	}
}

static void mistakes_are_named(void **state)
{
	(void)state;
	assert_refused("-p 1 --bogus", PYLEAK_ERROR_USAGE, "no option '--bogus'");
	assert_refused("--bogus=3 -p 1", PYLEAK_ERROR_USAGE, "no option '--bogus'");
	assert_refused("-p 1 -vxq", PYLEAK_ERROR_USAGE, "no option '-x'");
	assert_refused("-p", PYLEAK_ERROR_USAGE, "-p needs a value");
	assert_refused("-p 1 --interval", PYLEAK_ERROR_USAGE, "--interval needs a value");
	assert_refused("-p 1 --json=3", PYLEAK_ERROR_USAGE, "--json takes no value");
	assert_refused("-p 1 --ex", PYLEAK_ERROR_USAGE, "--exact or --exclude");
	assert_refused("-p 1 --sort size", PYLEAK_ERROR_USAGE, "growth, bytes, blocks, rate");
	assert_refused("-p 1 --group-by thread", PYLEAK_ERROR_USAGE, "stack, line, function");
	assert_refused("-p 1 -f xml", PYLEAK_ERROR_USAGE, "text, json");
	assert_refused("-p 1 -o ''", PYLEAK_ERROR_USAGE, "--output");
	assert_refused("-p 1 -a", PYLEAK_ERROR_USAGE, "exclude each other");
	assert_refused("-a -- python3", PYLEAK_ERROR_USAGE, "exclude each other");
	assert_refused("-p 1 --match x", PYLEAK_ERROR_USAGE, "-a");
	assert_refused("-p 1 --cgroup /x", PYLEAK_ERROR_USAGE, "-a");
	assert_refused("-p 1 --user root", PYLEAK_ERROR_USAGE, "-a");
	assert_refused("-a --match (", PYLEAK_ERROR_USAGE, "regular expression");
	assert_refused("-a --user no-such-user", PYLEAK_ERROR_USAGE, "no-such-user");
	assert_refused("-a --cgroup ''", PYLEAK_ERROR_USAGE, "--cgroup");
	assert_refused("-p 1 --x\ny", PYLEAK_ERROR_USAGE, "no option");
	assert_refused("-p 1 -i a\nb", PYLEAK_ERROR_USAGE, "--interval needs");
}

static void what_is_not_built_yet_is_refused_not_ignored(void **state)
{
	static const char *const later[] = {
		"-p 1 -f html",
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(later); i++)
		assert_refused(later[i], PYLEAK_ERROR_UNSUPPORTED, "not in this version");
	/* A command line that makes no sense anyway is told so first. */
	assert_refused("-a -i x", PYLEAK_ERROR_USAGE, "--interval");
}

static void serve_takes_an_address_in_numbers(void **state)
{
	static const char *const bad[] = {
		":9464",	   "9464",	    "localhost:9464",
		"127.0.0.1",	   "127.0.0.1:",    "127.0.0.1:0",
		"127.0.0.1:65536", "127.1:80",	    "::1:9464",
		"[::1]",	   "[::1]9464",	    "[::1:9464",
		"[127.0.0.1]:80",  "127.0.0.1:80x", "''",
	};
	struct options *options = accepted("serve -p 12");
	size_t i;

	(void)state;
	assert_true(options->serve && !options->listen);
	/* Profiles are of all memory; reports stay short. */
	assert_int_equal(options->top, 10);
	assert_int_equal(options->analysis.judged, 10);
	assert_true(options->analysis.top > 1000);
	options_free(options);
	options = accepted("-p 12 serve --listen [::1]:80 -t 3");
	assert_true(options->serve && options->top == 3 && options->analysis.judged == 3);
	assert_string_equal(options->listen, "[::1]:80");
	options_free(options);
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *line = g_strconcat("serve -p 1 --listen ", bad[i], NULL);

		assert_refused(line, PYLEAK_ERROR_USAGE, "--listen needs an address and a port");
	}
	assert_refused("serve", PYLEAK_ERROR_USAGE, "nothing to trace");
	assert_refused("-p 1 --listen 127.0.0.1:80", PYLEAK_ERROR_USAGE, "goes with serve");
	assert_refused("serve -p 1 -j", PYLEAK_ERROR_USAGE, "-o FILE");
	assert_refused("serve -p 1 --lisp", PYLEAK_ERROR_USAGE, "no option");
	options_free(accepted("serve -p 1 -j -o reports.ndjson"));
}

static void profiles_hold_all_sites_unless_told(void **state)
{
	struct options *options = accepted("-p 1 -f folded");

	(void)state;
	assert_true(options->top > 1000 && options->analysis.top == options->top);
	options_free(options);
	options = accepted("-p 1 -f pprof -t 5");
	assert_true(options->top == 5 && options->analysis.top == 5);
	options_free(options);
	options = accepted("-p 1 -f prometheus");
	assert_true(options->top == 10 && options->analysis.top == 10);
	options_free(options);
	assert_refused("-p 1 -f pprof --group-by line", PYLEAK_ERROR_USAGE, "--group-by");
}

static void the_options_are_described_in_json(void **state)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
	struct options *options = accepted("-p 12,34 -i 2 -n 3 -o \xff");
	guint i;

	(void)state;
	options_describe(options, names, values);
	assert_int_equal(names->len, values->len);
	for (i = 0; i < names->len; i++) {
		json_t *value = json_loads(g_ptr_array_index(values, i), JSON_DECODE_ANY, NULL);

		assert_non_null(value);
		if (!strcmp(g_ptr_array_index(names, i), "pid"))
			assert_int_equal(json_array_size(value), 2);
		if (!strcmp(g_ptr_array_index(names, i), "count"))
			assert_int_equal(json_integer_value(value), 3);
		if (!strcmp(g_ptr_array_index(names, i), "duration"))
			assert_true(json_is_null(value));
		json_decref(value);
	}
	options_free(options);
}

/* What --help and --version print, and that they exit with 0. g_free(). */
static char *output_of(const char *line)
{
	GString *text = g_string_new(NULL);
	int ends[2], status;
	char buffer[256];
	ssize_t size;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		parse(line, NULL);
		_exit(99);
	}
	close(ends[1]);
	while ((size = read(ends[0], buffer, sizeof(buffer))) > 0)
		g_string_append_len(text, buffer, size);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return g_string_free(text, FALSE);
}

static void help_fits_80_columns_and_names_every_option(void **state)
{
	static const char *const options[] = {
		"--pid",	"--all",
		"--interval",	"--duration",
		"--count",	"--top",
		"--overhead",	"--exact",
		"--burst",	"--min-age",
		"--group-by",	"--sort",
		"--format",	"--json",
		"--output",	"--native",
		"--include",	"--exclude",
		"--match",	"--cgroup",
		"--user",	"--merge-children",
		"--max-memory", "--fail-on-leak",
		"--listen",	"--verbose",
		"--quiet",	"--help",
		"--version",
	};
	g_autofree char *text = output_of("--help");
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	char **line;
	size_t i;

	(void)state;
	for (line = lines; *line; line++)
		assert_true(strlen(*line) <= 80);
	for (i = 0; i < G_N_ELEMENTS(options); i++) {
		if (!strstr(text, options[i]))
			fail_msg("--help does not name %s", options[i]);
	}
}

static void version_is_one_line(void **state)
{
	g_autofree char *text = output_of("-V");

	(void)state;
	assert_string_equal(text, "pyleak " PYLEAK_VERSION "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_contract),
		cmocka_unit_test(every_option_is_taken),
		cmocka_unit_test(the_options_of_a_command_are_its_own),
		cmocka_unit_test(exactly_one_target_is_needed),
		cmocka_unit_test(numbers_are_read_strictly),
		cmocka_unit_test(sizes_have_binary_suffixes),
		cmocka_unit_test(pids_are_read_strictly),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_is_not_built_yet_is_refused_not_ignored),
		cmocka_unit_test(serve_takes_an_address_in_numbers),
		cmocka_unit_test(profiles_hold_all_sites_unless_told),
		cmocka_unit_test(the_options_are_described_in_json),
		cmocka_unit_test(help_fits_80_columns_and_names_every_option),
		cmocka_unit_test(version_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
