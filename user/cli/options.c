// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "base/error.h"
#include "cli/values.h"
#include "serve/address.h"

/* Keys of options without a short name lie above the characters. */
enum {
	KEY_OVERHEAD = 256,
	KEY_EXACT,
	KEY_BURST,
	KEY_MIN_AGE,
	KEY_GROUP_BY,
	KEY_SORT,
	KEY_NATIVE,
	KEY_INCLUDE,
	KEY_EXCLUDE,
	KEY_MATCH,
	KEY_CGROUP,
	KEY_USER,
	KEY_MERGE_CHILDREN,
	KEY_MAX_MEMORY,
	KEY_FAIL_ON_LEAK,
	KEY_LISTEN,
};

/* Of one process, in a profile. The rest is one entry. */
enum { PROFILE_SITES = 2000 };
/* Sites of each of a whole host's processes in a text report, unless told otherwise. */
enum { HOST_TOP = 3 };

static const struct argp_option table[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "Trace these running processes", 1 },
	{ "all", 'a', NULL, 0, "Every Python process on the host", 1 },
	{ "interval", 'i', "SEC", 0, "Time between reports (10)", 2 },
	{ "duration", 'd', "SEC", 0, "Stop after SEC, with a last report", 2 },
	{ "count", 'n', "N", 0, "Stop after N reports", 2 },
	{ "top", 't', "N", 0, "Sites shown (10)", 2 },
	{ "overhead", KEY_OVERHEAD, "PCT", 0, "Most the target may be slowed, in percent (2)", 3 },
	{ "exact", KEY_EXACT, NULL, 0, "Trace every allocation whatever it costs", 3 },
	{ "burst", KEY_BURST, "MS", 0,
	  "Longest time that probes stay installed in one go when sampling (30)", 3 },
	{ "min-age", KEY_MIN_AGE, "SEC", 0, "Leave out memory younger than this (0)", 4 },
	{ "group-by", KEY_GROUP_BY, "KEY", 0, "stack, line, function, file, module (stack)", 4 },
	{ "sort", KEY_SORT, "KEY", 0, "growth, bytes, blocks, rate (growth)", 4 },
	{ "native", KEY_NATIVE, "MODE", 0,
	  "Native frames: off, leaf (below the Python line), full (leaf)", 4 },
	{ "include", KEY_INCLUDE, "PAT", 0, "Files that may lead a site (glob; may be repeated)",
	  4 },
	{ "exclude", KEY_EXCLUDE, "PAT", 0, "Files that may not lead a site", 4 },
	{ "match", KEY_MATCH, "RE", 0, "With -a: by command line (regular expression)", 5 },
	{ "cgroup", KEY_CGROUP, "PATH", 0, "With -a: by control group", 5 },
	{ "user", KEY_USER, "NAME", 0, "With -a: by user", 5 },
	{ "merge-children", KEY_MERGE_CHILDREN, NULL, 0, "Sum the sites of identical workers", 5 },
	{ "format", 'f', "FMT", 0, "text, json, folded, pprof, prometheus (text)", 6 },
	{ "json", 'j', NULL, 0, "Same as --format json", 6 },
	{ "output", 'o', "FILE", 0, "Write reports to FILE", 6 },
	{ "listen", KEY_LISTEN, "ADDR:PORT", 0,
	  "With serve: where to answer (" SERVE_DEFAULT_ADDRESS ")", 6 },
	{ "max-memory", KEY_MAX_MEMORY, "SIZE", 0,
	  "Most that pyleak itself may use, kernel maps included (256M)", 7 },
	{ "fail-on-leak", KEY_FAIL_ON_LEAK, NULL, 0,
	  "Exit 10 if the last report holds a verdict leak", 7 },
	{ "verbose", 'v', NULL, 0, "Say more", 8 },
	{ "quiet", 'q', NULL, 0, "Say only what went wrong", 8 },
	{ "help", 'h', NULL, 0, "Show this help", 8 },
	{ "version", 'V', NULL, 0, "Show the version", 8 },
	{ 0 },
};

struct parser {
	struct options *options;
	GPtrArray *include, *exclude; /* of char *; become NULL-terminated */
	bool top_told;
	char *unsupported; /* the first that this version refuses; usage errors go first */
	GError *error;
};

static error_t usage_error(struct parser *parser, const char *format, ...) G_GNUC_PRINTF(2, 3);

static error_t usage_error(struct parser *parser, const char *format, ...)
{
	g_autofree char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (!parser->error)
		parser->error = g_error_new_literal(PYLEAK_ERROR, PYLEAK_ERROR_USAGE, message);
	return EINVAL;
}

/* Notes that this version has no @what, and what to use @instead. */
static error_t refuse(struct parser *parser, const char *what, const char *instead)
{
	if (!parser->unsupported)
		parser->unsupported =
			g_strdup_printf("%s is not in this version: %s", what, instead);
	return 0;
}

static error_t parse_format(struct parser *parser, const char *name)
{
	static const char *const later[] = { "html", NULL };
	g_autofree char *what = NULL;

	const struct report_writer *writer = report_writer_find(name);

	if (writer) {
		parser->options->writer = writer;
		return 0;
	}
	if (!g_strv_contains(later, name))
		return usage_error(
			parser, "--format needs text, json, folded, pprof or prometheus, not '%s'",
			name);
	what = g_strdup_printf("--format %s", name);
	return refuse(parser, what, "use text, json, folded, pprof or prometheus");
}

static error_t parse_native(struct parser *parser, const char *name)
{
	static const char *const modes[] = { "off", "leaf", "full", NULL };
	int mode;

	if (!value_choice(name, "--native", modes, &mode, &parser->error))
		return EINVAL;
	parser->options->native = mode;
	return 0;
}

static error_t parse_choice(struct parser *parser, int key, const char *text)
{
	static const char *const groups[] = { "stack", "line", "function", "file", "module", NULL };
	static const char *const orders[] = { "growth", "bytes", "blocks", "rate", NULL };
	struct analysis_options *analysis = &parser->options->analysis;
	bool group = key == KEY_GROUP_BY;
	int index;

	if (!value_choice(text, group ? "--group-by" : "--sort", group ? groups : orders, &index,
			  &parser->error))
		return EINVAL;
	if (group)
		analysis->group_by = index;
	else
		analysis->sort_by = index;
	return 0;
}

/* Options whose value is a number; EINVAL with an error, ARGP_ERR_UNKNOWN if @key is not one. */
static error_t parse_number(struct parser *parser, int key, const char *text)
{
	struct options *options = parser->options;
	GError **error = &parser->error;
	uint64_t top;
	bool valid;

	switch (key) {
	case 'i':
		valid = value_number(text, "--interval", "seconds", true, 1e9, &options->interval_s,
				     error);
		break;
	case 'd':
		valid = value_number(text, "--duration", "seconds", true, 1e9, &options->duration_s,
				     error);
		break;
	case KEY_MIN_AGE:
		valid = value_number(text, "--min-age", "seconds", false, 1e9, &options->min_age_s,
				     error);
		break;
	case KEY_OVERHEAD:
		valid = value_number(text, "--overhead", "percent", true, 100,
				     &options->overhead_pct, error);
		break;
	case KEY_BURST:
		valid = value_number(text, "--burst", "milliseconds", true, 60000,
				     &options->burst_ms, error);
		break;
	case 'n':
		valid = value_count(text, "--count", INT64_MAX, &options->count, error);
		break;
	case 't':
		valid = value_count(text, "--top", UINT32_MAX, &top, error);
		if (valid)
			options->analysis.top = top;
		parser->top_told = true;
		break;
	case KEY_MAX_MEMORY:
		valid = value_size(text, "--max-memory", &options->max_memory, error);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return valid ? 0 : EINVAL;
}

/* Everything that is no option: the command after --, or the word "serve". */
static error_t parse_argument(struct parser *parser, struct argp_state *state)
{
	char *argument = state->argv[state->next - 1];

	if (state->quoted && state->next > state->quoted) {
		parser->options->command = g_strdupv(state->argv + state->next - 1);
		state->next = state->argc;
		return 0;
	}
	if (!strcmp(argument, "serve")) {
		parser->options->serve = true;
		return 0;
	}
	return usage_error(parser,
			   "'%s' is not an option: use -p PID for a process, or -- %s for a "
			   "command",
			   argument, argument);
}

static void print_and_exit(bool help)
{
	static const char doc[] =
		"Finds memory leaks in running CPython processes, from outside.\v"
		"Needs root, or the capabilities that pyleak(1) names. It also says what a report "
		"means.";
	static const char usage[] =
		"-p PID[,PID...]\n-a\n-- CMD [ARG...]\nserve -a|-p PID [--listen ADDR:PORT]";
	const struct argp argp = { table, NULL, usage, doc, NULL, NULL, NULL };
	char name[] = "pyleak";

	if (help)
		argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, name);
	else
		printf("pyleak %s\n", PYLEAK_VERSION);
	exit(fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct parser *parser = state->input;
	struct options *options = parser->options;

	switch (key) {
	case 'p':
		return value_pids(text, options->pids, &parser->error) ? 0 : EINVAL;
	case 'a':
		options->whole_host = true;
		return 0;
	case KEY_MATCH:
		return filter_set_match(&options->filter, text, &parser->error) ? 0 : EINVAL;
	case KEY_CGROUP:
		return filter_set_cgroup(&options->filter, text, &parser->error) ? 0 : EINVAL;
	case KEY_USER:
		return filter_set_user(&options->filter, text, &parser->error) ? 0 : EINVAL;
	case KEY_MERGE_CHILDREN:
		options->merge_children = true;
		return 0;
	case KEY_GROUP_BY:
	case KEY_SORT:
		return parse_choice(parser, key, text);
	case KEY_NATIVE:
		return parse_native(parser, text);
	case KEY_INCLUDE:
		g_ptr_array_add(parser->include, g_strdup(text));
		return 0;
	case KEY_EXCLUDE:
		g_ptr_array_add(parser->exclude, g_strdup(text));
		return 0;
	case KEY_EXACT:
		options->exact = true;
		return 0;
	case KEY_FAIL_ON_LEAK:
		options->fail_on_leak = true;
		return 0;
	case 'f':
		return parse_format(parser, text);
	case 'j':
		return parse_format(parser, "json");
	case 'o':
		g_free(options->output);
		options->output = g_strdup(text);
		return *text ? 0 : usage_error(parser, "--output needs the name of a file");
	case KEY_LISTEN:
		g_free(options->listen);
		options->listen = g_strdup(text);
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'h':
	case 'V':
		print_and_exit(key == 'h');
		return 0;
	case ARGP_KEY_ARG:
		return parse_argument(parser, state);
	default:
		return parse_number(parser, key, text);
	}
}

static struct options *options_new(void)
{
	struct options *options = g_new0(struct options, 1);

	options->pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	options->interval_s = 10;
	options->overhead_pct = 2;
	options->burst_ms = 30;
	options->analysis.top = 10;
	options->writer = &text_writer;
	options->native = NATIVE_LEAF;
	options->max_memory = 256 << 20;
	return options;
}

void options_free(struct options *options)
{
	if (!options)
		return;
	g_array_unref(options->pids);
	g_strfreev(options->command);
	g_strfreev(options->analysis.include);
	g_strfreev(options->analysis.exclude);
	g_free(options->output);
	g_free(options->listen);
	filter_clear(&options->filter);
	g_free(options);
}

/* Profiles are of all memory, and sums must be right: more sites than a report shows are kept. */
static void set_sites(const struct parser *parser)
{
	struct options *options = parser->options;
	bool whole = options->writer->whole_stacks && !parser->top_told;

	/* Of many processes, one glance each. */
	if (options->whole_host && options->writer == &text_writer && !parser->top_told)
		options->analysis.top = HOST_TOP;
	options->top = options->analysis.top;
	if (!options->serve && !options->merge_children && !whole)
		return;
	/* What is summed up over workers may rank higher than in each. */
	options->analysis.judged = (options->merge_children ? 2 : 1) * options->top;
	options->analysis.top = MAX(options->top, PROFILE_SITES);
	if (!options->serve && whole)
		options->top = options->analysis.top;
}

static void check_serve(struct parser *parser)
{
	struct options *options = parser->options;
	struct serve_address address;

	if (!options->serve && options->listen)
		usage_error(parser, "--listen goes with serve: pyleak serve -p PID --listen %s",
			    options->listen);
	else if (options->serve && options->writer != &text_writer && !options->output)
		usage_error(parser, "serve writes nothing to standard output: add -o FILE to "
				    "--format, or leave it out");
	else if (options->listen && !parser->error)
		serve_address_parse(options->listen, &address, &parser->error);
}

/* What only the whole command line tells. */
static void check(struct parser *parser)
{
	struct options *options = parser->options;

	guint ways = (options->pids->len > 0) + (options->command != NULL) + options->whole_host;

	if (ways > 1)
		usage_error(parser, "-p, -a and a command after -- exclude each other");
	else if (!ways)
		usage_error(
			parser,
			"nothing to trace: give -p PID or -- CMD, or -a for all Python processes");
	if (filter_is_set(&options->filter) && !options->whole_host)
		usage_error(parser, "--match, --cgroup and --user choose among all processes: "
				    "give -a as well");
	if (options->writer->whole_stacks && options->analysis.group_by != GROUP_BY_STACK)
		usage_error(parser, "--format %s shows whole stacks: leave out --group-by",
			    options->writer->name);
	check_serve(parser);
	set_sites(parser);
	if (!parser->error && parser->unsupported)
		parser->error = g_error_new_literal(PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
						    parser->unsupported);
}

static char **take_strings(GPtrArray *array)
{
	if (!array->len)
		return (char **)g_ptr_array_free(array, TRUE);
	g_ptr_array_add(array, NULL);
	return (char **)g_ptr_array_free(array, FALSE);
}

struct options *options_parse(int argc, char **argv, GError **error)
{
	const struct argp argp = { table, parse_option, NULL, NULL, NULL, NULL, NULL };
	struct parser parser = {
		.options = options_new(),
		.include = g_ptr_array_new(),
		.exclude = g_ptr_array_new(),
	};
	/* In order, so that a word before -- is not taken for the command; errors are ours to tell.
	 */
	error_t status = argp_parse(&argp, argc, argv,
				    ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT,
				    NULL, &parser);

	if (status && !parser.error)
		parser.error = value_bad_option(table, argc, argv);
	if (!parser.error)
		check(&parser);
	parser.options->analysis.include = take_strings(parser.include);
	parser.options->analysis.exclude = take_strings(parser.exclude);
	g_free(parser.unsupported);
	if (!parser.error)
		return parser.options;
	options_free(parser.options);
	/* Whatever was typed, the message stays one line. */
	for (char *c = parser.error->message; *c; c++)
		*c = g_ascii_iscntrl(*c) ? '?' : *c;
	g_propagate_error(error, parser.error);
	return NULL;
}
