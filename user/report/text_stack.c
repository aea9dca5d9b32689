// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_stack.h"

#include <string.h>

#include "analyse/frame_rank.h"

enum {
	INDENT = 4,
	FRAME_INDENT = 6,
	SOURCE_INDENT = 8,
	MAX_FRAMES = 12,
	MAX_LOCATION = 44,	/* columns of a location in the stack */
	MIN_LEAD_FUNCTION = 14, /* columns kept for the function beside a long path */
};

/* "_umath.cpython-311-x86_64-linux-gnu.so" as "_umath.so": the rest is the same for all of them. */
static char *short_module(const char *module)
{
	const char *tag = strstr(module, ".cpython-"), *end = tag ? strrchr(tag, '.') : NULL;

	if (!tag || end == tag)
		return g_strdup(module);
	return g_strdup_printf("%.*s%s", (int)(tag - module), module, end);
}

/* "…/shop/app.py:8": library files from the library's folder on, the user's own whole. */
static char *frame_location(const struct frame *frame)
{
	const char *below = frame->file ? library_path(frame->file) : NULL;
	const char *file = below && *below ? below : frame->file;

	if (frame->kind == FRAME_NATIVE && frame->module)
		return short_module(frame->module);
	if (!file || !*file)
		file = "?";
	if (frame->kind == FRAME_PYTHON && frame->line > 0)
		return g_strdup_printf("%s:%d", file, frame->line);
	return g_strdup(file);
}

static char *frame_function(const struct frame *frame)
{
	/* A function without a symbol is called by its module, which stands beside it. */
	if (frame->function && frame->kind == FRAME_NATIVE && frame->module &&
	    g_str_has_prefix(frame->function, frame->module) &&
	    frame->function[strlen(frame->module)] == '+')
		return g_strdup(frame->function + strlen(frame->module));
	if (frame->function)
		return g_strdup(frame->function);
	if (frame->kind == FRAME_NATIVE && frame->offset)
		return g_strdup_printf("+0x%" G_GINT64_MODIFIER "x", frame->offset);
	return g_strdup("");
}

static void write_lead(struct line *line, const struct site *site)
{
	const struct frame *frame = &site->stack.frames[site->lead];
	g_autofree char *location = frame_location(frame);
	g_autofree char *function = frame_function(frame);
	g_autofree char *safe_function = text_escape(function);
	g_autofree char *safe_source = text_escape(site->source ? site->source : "");
	g_autofree char *cut = NULL;
	unsigned int function_columns = MIN(text_columns(safe_function), MIN_LEAD_FUNCTION);

	cut = text_cut_left(location, line->width - INDENT - 2 - function_columns);
	line_tab(line, INDENT);
	line_add(line, COLOUR_BOLD, cut);
	line_tab(line, line->used + 2);
	line_add(line, COLOUR_BOLD, function);
	if (*safe_source) {
		if (line->used + 3 + text_columns(safe_source) > line->width) {
			line_end(line);
			line_tab(line, SOURCE_INDENT);
		} else {
			line_tab(line, line->used + 3);
		}
		line_add(line, COLOUR_NONE, safe_source);
	}
	line_end(line);
}

static void write_frame(struct line *line, const struct frame *frame, bool lead,
			unsigned int location_columns)
{
	g_autofree char *location = frame_location(frame);
	g_autofree char *function = frame_function(frame);
	g_autofree char *cut = text_cut_left(location, location_columns);

	line_tab(line, INDENT);
	line_add(line, COLOUR_NONE, lead ? "> " : "  ");
	line_add(line, lead ? COLOUR_NONE : COLOUR_DIM, cut);
	line_tab(line, FRAME_INDENT + location_columns + 2);
	line_add(line, lead ? COLOUR_NONE : COLOUR_DIM, function);
	line_end(line);
}

static unsigned int widest_location(const struct stack *stack, uint32_t from, uint32_t to)
{
	unsigned int widest = 0;
	uint32_t i;

	for (i = from; i < to; i++) {
		g_autofree char *location = frame_location(&stack->frames[i]);
		g_autofree char *safe = text_escape(location);

		widest = MAX(widest, text_columns(safe));
	}
	return MIN(widest, MAX_LOCATION);
}

void text_stack_write(struct line *line, const struct site *site, bool verbose)
{
	const struct stack *stack = &site->stack;
	/* A leading leaf has been shown; its callers follow it. */
	uint32_t from = site->lead ? 0 : 1, to, i;
	unsigned int columns;

	if (site->lead >= stack->count) {
		line_tab(line, INDENT);
		line_add(line, COLOUR_BOLD,
			 stack->truncated ? "[stack not known]" : "[no Python frame]");
		line_end(line);
		return;
	}
	write_lead(line, site);
	to = verbose ? stack->count : MIN(stack->count, MAX_FRAMES);
	columns = widest_location(stack, from, to);
	for (i = from; i < to; i++)
		write_frame(line, &stack->frames[i], site->lead && i == site->lead, columns);
	if (to < stack->count) {
		line_tab(line, FRAME_INDENT);
		line_addf(line, COLOUR_DIM, "%u more frames (-v shows them)", stack->count - to);
		line_end(line);
	}
	if (stack->truncated) {
		line_tab(line, FRAME_INDENT);
		line_add(line, COLOUR_DIM, "deeper frames cut");
		line_end(line);
	}
}
