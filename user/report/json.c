// SPDX-License-Identifier: GPL-2.0-or-later
/* NDJSON to the letter of CLI.md and docs/report.schema.json: one object a line, keys in that
 * order. */
#include <jansson.h>
#include <string.h>

#include "report/json_memory.h"
#include "report/json_values.h"
#include "report/target.h"
#include "report/writer.h"

#define SCHEMA "pyleak/1"

/* 12 digits: more than any figure here is good for, and 1.4 is not written as 1.3999999999999999.
 */
#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(12))

static json_t *object_new(const char *type)
{
	json_t *object = json_object();

	json_object_set_new(object, "schema", json_string(SCHEMA));
	json_object_set_new(object, "type", json_string(type));
	return object;
}

/* Writes @object as one line and drops it. */
static bool write_line(FILE *stream, json_t *object)
{
	bool written =
		object && !json_dumpf(object, stream, DUMP_FLAGS) && putc('\n', stream) != EOF;

	json_decref(object);
	return !fflush(stream) && written;
}

static void set_container(json_t *object, const struct report_target *target)
{
	bool known = target && target->namespace_pid;

	json_object_set_new(object, "cgroup", nullable_text_value(target ? target->cgroup : NULL));
	json_object_set_new(object, "container",
			    nullable_text_value(target ? target->container : NULL));
	json_object_set_new(object, "namespace_pid",
			    known ? json_integer(target->namespace_pid) : json_null());
}

static json_t *target_value(const struct report_target *target)
{
	json_t *object = json_object(), *cmdline = json_array(), *python = json_object();
	char **argument;

	for (argument = target->cmdline; argument && *argument; argument++)
		json_array_append_new(cmdline, text_value(*argument));
	json_object_set_new(python, "version", text_value(target->python_version));
	json_object_set_new(python, "build", json_string(target->shared ? "shared" : "static"));
	json_object_set_new(python, "stripped", json_boolean(target->stripped));
	json_object_set_new(object, "pid", json_integer(target->pid));
	json_object_set_new(object, "cmdline", cmdline);
	json_object_set_new(object, "exe", text_value(target->exe));
	json_object_set_new(object, "python", python);
	json_object_set_new(object, "allocator", nullable_text_value(target->allocator));
	set_container(object, target);
	return object;
}

/* The options come as pairs of name and JSON text. */
static json_t *options_value(const struct report_header *header)
{
	json_t *object = json_object();
	guint i;

	for (i = 0; header->option_names && i < header->option_names->len; i++) {
		const char *name = g_ptr_array_index(header->option_names, i);
		const char *text = g_ptr_array_index(header->option_values, i);
		json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

		json_object_set_new(object, name, value ? value : text_value(text));
	}
	return object;
}

static bool json_header(FILE *stream, const struct report_style *style,
			const struct report_header *header)
{
	json_t *object = object_new("header"), *targets = json_array();
	guint i;

	(void)style;
	for (i = 0; header->targets && i < header->targets->len; i++)
		json_array_append_new(targets, target_value(g_ptr_array_index(header->targets, i)));
	json_object_set_new(object, "version", text_value(header->version));
	json_object_set_new(object, "host", text_value(header->host));
	json_object_set_new(object, "kernel", text_value(header->kernel));
	json_object_set_new(object, "started", time_value(header->started_us));
	json_object_set_new(object, "targets", targets);
	json_object_set_new(object, "options", options_value(header));
	return write_line(stream, object);
}

static json_t *tracing_value(const struct report *report)
{
	json_t *object = json_object(), *families = json_array(), *lost = json_object();
	enum lost_reason reason;
	enum family family;

	for (family = 0; family < FAMILY_COUNT; family++) {
		const struct family_report *figures = &report->families[family];
		json_t *item = json_object();

		json_object_set_new(item, "name", json_string(family_name(family)));
		json_object_set_new(item, "mode", json_string(family_mode_name(figures->mode)));
		json_object_set_new(item, "observed_fraction",
				    real_value(figures->observed_fraction));
		json_object_set_new(item, "windows", count_value(figures->windows));
		json_object_set_new(item, "allocs", count_value(figures->allocs));
		json_object_set_new(item, "frees", count_value(figures->frees));
		json_array_append_new(families, item);
	}
	for (reason = 0; reason < LOST_COUNT; reason++)
		json_object_set_new(lost, lost_reason_name(reason),
				    count_value(report->lost[reason]));
	json_object_set_new(object, "overhead_pct", real_value(report->overhead_pct));
	json_object_set_new(object, "families", families);
	json_object_set_new(object, "lost", lost);
	json_object_set_new(object, "coverage", known_real_value(report->coverage));
	json_object_set_new(object, "coverage_blocks", count_value(report->coverage_blocks));
	json_object_set_new(object, "budget_scale", real_value(report->budget_scale));
	json_object_set_new(object, "heap_fraction", real_value(report->heap_fraction));
	json_object_set_new(object, "missed_events", count_value(report->missed_events));
	return object;
}

static json_t *frame_value(const struct frame *frame)
{
	json_t *object = json_object();
	bool python = frame->kind == FRAME_PYTHON;

	json_object_set_new(object, "kind", json_string(python ? "python" : "native"));
	json_object_set_new(object, "function", text_value(frame->function));
	if (python) {
		json_object_set_new(object, "file", text_value(frame->file));
		json_object_set_new(object, "line", json_integer(frame->line));
		return object;
	}
	json_object_set_new(object, "module", text_value(frame->module));
	json_object_set_new(object, "offset", count_value(frame->offset));
	if (frame->file) {
		json_object_set_new(object, "file", text_value(frame->file));
		json_object_set_new(object, "line", json_integer(frame->line));
	}
	return object;
}

/* What `pyleak/1` has gained beyond CLI.md, at the end of a site. */
static void add_evidence(json_t *object, const struct site *site)
{
	json_object_set_new(object, "lead", json_integer(site->lead));
	json_object_set_new(object, "source", nullable_text_value(site->source));
	json_object_set_new(object, "truncated", json_boolean(site->stack.truncated));
	json_object_set_new(object, "sure_growth_bytes", json_integer(site->sure_growth_bytes));
	json_object_set_new(object, "growth_share", known_real_value(site->growth_share));
	json_object_set_new(object, "outstanding_share", known_real_value(site->outstanding_share));
	json_object_set_new(object, "stacks", json_integer(site->stacks));
	json_object_set_new(object, "interval_growth_bytes",
			    json_integer(site->interval_growth_bytes));
	json_object_set_new(object, "intervals", json_integer(site->intervals));
	json_object_set_new(object, "intervals_grown", json_integer(site->intervals_grown));
	json_object_set_new(object, "survival", known_real_value(site->survival));
	json_object_set_new(object, "survival_age_s", real_value(site->survival_age_s));
	json_object_set_new(object, "retention", known_real_value(site->retention));
	json_object_set_new(object, "alloc_bytes", json_integer(site->alloc_bytes));
	json_object_set_new(object, "alloc_blocks", json_integer(site->alloc_blocks));
}

static json_t *types_value(const struct site *site)
{
	json_t *types = json_array();

	for (guint i = 0; site->types && i < site->types->len; i++) {
		const struct site_type *type = &g_array_index(site->types, struct site_type, i);
		json_t *item = json_object();

		json_object_set_new(item, "name", text_value(type->name));
		json_object_set_new(item, "blocks", json_integer(type->blocks));
		json_object_set_new(item, "bytes", json_integer(type->bytes));
		json_array_append_new(types, item);
	}
	return types;
}

static json_t *site_value(const struct site *site, guint rank)
{
	json_t *object = json_object(), *stack = json_array();
	uint32_t i;

	for (i = 0; i < site->stack.count; i++)
		json_array_append_new(stack, frame_value(&site->stack.frames[i]));
	json_object_set_new(object, "rank", json_integer(rank));
	json_object_set_new(object, "id", json_sprintf("%016" G_GINT64_MODIFIER "x", site->id));
	json_object_set_new(object, "verdict", json_string(verdict_name(site->verdict)));
	json_object_set_new(object, "confidence", real_value(site->confidence));
	json_object_set_new(object, "outstanding_bytes", json_integer(site->outstanding_bytes));
	json_object_set_new(object, "outstanding_blocks", json_integer(site->outstanding_blocks));
	json_object_set_new(object, "growth_bytes", json_integer(site->growth_bytes));
	json_object_set_new(object, "growth_bytes_per_s", real_value(site->growth_bytes_per_s));
	json_object_set_new(object, "growth_bytes_per_s_low",
			    real_value(site->growth_bytes_per_s_low));
	json_object_set_new(object, "growth_bytes_per_s_high",
			    real_value(site->growth_bytes_per_s_high));
	json_object_set_new(object, "oldest_age_s", real_value(site->oldest_age_s));
	json_object_set_new(object, "family", json_string(family_name(site->family)));
	json_object_set_new(object, "estimated", json_boolean(site->estimated));
	json_object_set_new(object, "stack", stack);
	add_evidence(object, site);
	json_object_set_new(object, "types", types_value(site));
	return object;
}

static json_t *process_value(const struct report_header *header, const struct report *report)
{
	json_t *object = json_object();

	json_object_set_new(object, "rss_bytes", count_value(report->rss_bytes));
	json_object_set_new(object, "rss_growth_bytes", json_integer(report->rss_growth_bytes));
	json_object_set_new(object, "threads", json_integer(report->threads));
	set_container(object, report_target_of(header, report));
	if (report->host)
		json_object_set_new(object, "trend_bytes_per_s",
				    real_value(report->trend_bytes_per_s));
	return object;
}

static json_t *totals_value(const struct report *report)
{
	json_t *object = json_object();

	json_object_set_new(object, "outstanding_bytes", json_integer(report->outstanding_bytes));
	json_object_set_new(object, "outstanding_blocks", json_integer(report->outstanding_blocks));
	json_object_set_new(object, "growth_bytes", json_integer(report->growth_bytes));
	json_object_set_new(object, "growth_bytes_per_s", real_value(report->growth_bytes_per_s));
	return object;
}

static void set_workers(json_t *object, const struct report *report)
{
	json_t *pids = json_array();

	for (guint i = 0; i < report->pids->len; i++)
		json_array_append_new(pids, json_integer(g_array_index(report->pids, int32_t, i)));
	json_object_set_new(object, "pids", pids);
	json_object_set_new(object, "workers_exited", count_value(report->workers_exited));
}

static bool json_report(FILE *stream, const struct report_style *style,
			const struct report_header *header, const struct report *report)
{
	json_t *object = object_new("report"), *sites = json_array(), *notes = json_array();
	guint i;

	(void)style;
	for (i = 0; report->sites && i < report->sites->len; i++)
		json_array_append_new(
			sites, site_value(&g_array_index(report->sites, struct site, i), i + 1));
	for (i = 0; report->notes && i < report->notes->len; i++)
		json_array_append_new(notes, text_value(g_ptr_array_index(report->notes, i)));
	json_object_set_new(object, "seq", count_value(report->seq));
	json_object_set_new(object, "time", time_value(report->time_us));
	json_object_set_new(object, "pid", json_integer(report->pid));
	json_object_set_new(object, "elapsed_s", real_value(report->elapsed_s));
	json_object_set_new(object, "interval_s", real_value(report->interval_s));
	json_object_set_new(object, "process", process_value(header, report));
	json_object_set_new(object, "tracing", tracing_value(report));
	json_object_set_new(object, "totals", totals_value(report));
	json_object_set_new(object, "sites", sites);
	if (report->memory.known)
		json_object_set_new(object, "memory", json_memory(report));
	json_object_set_new(object, "group_by", json_string(group_by_name(report->group_by)));
	json_object_set_new(object, "sites_total", json_integer(report->sites_total));
	json_object_set_new(object, "last", json_boolean(report->last));
	json_object_set_new(object, "notes", notes);
	json_object_set_new(object, "parent_pid",
			    report->parent_pid ? json_integer(report->parent_pid) : json_null());
	if (report->target)
		json_object_set_new(object, "target", target_value(report->target));
	json_object_set_new(object, "state",
			    json_string(report->watched_only ? "watched" : "traced"));
	if (report->pids)
		set_workers(object, report);
	return write_line(stream, object);
}

static bool json_end(FILE *stream, const struct report_style *style, const struct report_end *end)
{
	json_t *object = object_new("end");

	(void)style;
	json_object_set_new(object, "time", time_value(end->time_us));
	json_object_set_new(object, "reason", text_value(end->reason));
	return write_line(stream, object);
}

const struct report_writer json_writer = {
	.name = "json",
	.header = json_header,
	.report = json_report,
	.end = json_end,
};
