// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Folded stacks: one line a stack, root first, frames apart by semicolons, then the outstanding
 * bytes (what stackcollapse-*.pl and flamegraph.pl of github.com/brendangregg/FlameGraph write and
 * read, and speedscope and inferno). The sum of all lines is the sum of what is outstanding.
 */
#include <string.h>

#include "report/frame_name.h"
#include "report/target.h"
#include "report/writer.h"

/* A frame's name must hold no separator and no line break, and its last word must not be a number.
 */
static void add_frame(GString *line, const char *name)
{
	g_autofree char *valid = g_utf8_make_valid(name, -1);

	if (line->len)
		g_string_append_c(line, ';');
	for (const char *c = valid; *c; c++)
		g_string_append_c(line, *c == ';' ? ',' : g_ascii_iscntrl(*c) ? '?' : *c);
}

static char *frame_name(const struct frame *frame)
{
	const char *place = frame->file ? frame->file : frame->module;
	g_autofree char *function = frame_function_name(frame);

	if (frame->file && frame->line > 0)
		return g_strdup_printf("%s (%s:%d)", function, frame->file, frame->line);
	return g_strdup_printf("%s (%s)", function, place ? place : "?");
}

static void add_stack(GString *line, const struct stack *stack)
{
	const char *placeholder = stack_placeholder(stack);

	if (placeholder)
		add_frame(line, placeholder);
	for (uint32_t i = stack->count; i-- > 0;) {
		g_autofree char *name = frame_name(&stack->frames[i]);

		add_frame(line, name);
	}
}

static void write_line(FILE *stream, const GString *line, int64_t bytes)
{
	/* What is gone or was estimated at nothing takes no room in a flame graph. */
	if (bytes > 0)
		fprintf(stream, "%s %" G_GINT64_FORMAT "\n", line->str, bytes);
}

static void write_report(FILE *stream, const struct report *report, const char *process)
{
	int64_t rest = report->outstanding_bytes;
	g_autoptr(GString) line = g_string_new(NULL);

	for (guint i = 0; i < report->sites->len; i++) {
		const struct site *site = &g_array_index(report->sites, struct site, i);

		g_string_truncate(line, 0);
		if (process)
			add_frame(line, process);
		add_stack(line, &site->stack);
		write_line(stream, line, site->outstanding_bytes);
		rest -= MAX(site->outstanding_bytes, 0);
	}
	g_string_truncate(line, 0);
	if (process)
		add_frame(line, process);
	add_frame(line, OTHER_SITES);
	write_line(stream, line, rest);
}

static bool folded_document(FILE *stream, const struct report_header *header,
			    const GPtrArray *reports)
{
	for (guint i = 0; i < reports->len; i++) {
		const struct report *report = reports->pdata[i];
		const struct report_target *target = report_target_find(header, report->pid);
		g_autofree char *program = target ? report_target_program(target) : g_strdup("?");
		g_autofree char *process = g_strdup_printf("%s (pid %d)", program, report->pid);

		write_report(stream, report, reports->len > 1 ? process : NULL);
	}
	return !fflush(stream) && !ferror(stream);
}

const struct report_writer folded_writer = {
	.name = "folded",
	.document = folded_document,
	.whole_stacks = true,
};
