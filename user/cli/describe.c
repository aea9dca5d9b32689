// SPDX-License-Identifier: GPL-2.0-or-later
/* A run, its options among it, as the JSON header shows them. */
#include <jansson.h>
#include <sys/utsname.h>

#include "cli/options.h"

static json_t *text_value(const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	return valid ? json_string(valid) : json_null();
}

static json_t *strings_value(char *const *strings)
{
	json_t *array = json_array();

	for (; strings && *strings; strings++)
		json_array_append_new(array, text_value(*strings));
	return array;
}

static json_t *pids_value(const GArray *pids)
{
	json_t *array = json_array();
	guint i;

	for (i = 0; i < pids->len; i++)
		json_array_append_new(array, json_integer(g_array_index(pids, pid_t, i)));
	return array;
}

/* 0 stands for "no limit" in struct options. */
static json_t *limit_value(double limit)
{
	return limit > 0 ? json_real(limit) : json_null();
}

void options_describe(const struct options *options, GPtrArray *names, GPtrArray *values)
{
	static const char *const groups[] = { "stack", "line", "function", "file", "module" };
	static const char *const orders[] = { "growth", "bytes", "blocks", "rate" };
	static const char *const natives[] = { "off", "leaf", "full" };
	const struct analysis_options *analysis = &options->analysis;
	struct {
		const char *name;
		json_t *value;
	} pairs[] = {
		{ "pid", pids_value(options->pids) },
		{ "all", json_boolean(options->whole_host) },
		{ "match", text_value(options->filter.pattern) },
		{ "cgroup", text_value(options->filter.cgroup) },
		{ "user", text_value(options->filter.user) },
		{ "command", strings_value(options->command) },
		{ "interval", json_real(options->interval_s) },
		{ "duration", limit_value(options->duration_s) },
		{ "count", options->count ? json_integer(options->count) : json_null() },
		{ "top", json_integer(options->top) },
		{ "exact", json_boolean(options->exact) },
		{ "overhead", json_real(options->overhead_pct) },
		{ "burst", json_real(options->burst_ms) },
		{ "min-age", json_real(options->min_age_s) },
		{ "group-by", json_string(groups[analysis->group_by]) },
		{ "sort", json_string(orders[analysis->sort_by]) },
		{ "native", json_string(natives[options->native]) },
		{ "include", strings_value(analysis->include) },
		{ "exclude", strings_value(analysis->exclude) },
		{ "format", json_string(options->writer->name) },
		{ "output", text_value(options->output) },
		{ "merge-children", json_boolean(options->merge_children) },
		{ "max-memory", json_integer((json_int_t)options->max_memory) },
		{ "fail-on-leak", json_boolean(options->fail_on_leak) },
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
		char *text = json_dumps(pairs[i].value,
					JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12));

		g_ptr_array_add(names, g_strdup(pairs[i].name));
		g_ptr_array_add(values, g_strdup(text));
		free(text);
		json_decref(pairs[i].value);
	}
}

struct report_header *describe_run(const struct options *options, GPtrArray *targets)
{
	struct report_header *header = g_new0(struct report_header, 1);
	struct utsname host;

	uname(&host);
	header->version = g_strdup(PYLEAK_VERSION);
	header->host = g_strdup(host.nodename);
	header->kernel = g_strdup(host.release);
	header->started_us = g_get_real_time();
	header->targets = targets;
	header->option_names = g_ptr_array_new_with_free_func(g_free);
	header->option_values = g_ptr_array_new_with_free_func(g_free);
	options_describe(options, header->option_names, header->option_values);
	return header;
}
