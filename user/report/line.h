/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of text that never get wider than the terminal, whatever the names in them: control
 * characters, direction marks and bytes that are not UTF-8 are shown escaped (\n, \x1b, \u202e), so
 * a target cannot write to the reader's terminal through its file names.
 */
#ifndef PYLEAK_REPORT_LINE_H
#define PYLEAK_REPORT_LINE_H

#include <stdbool.h>
#include <stdio.h>
#include <glib.h>

enum line_colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_YELLOW, COLOUR_DIM };

struct line {
	FILE *stream;
	GString *text;
	unsigned int width, used; /* columns */
	bool colour;
};

/* Lines of at most @width columns (20 at least) go to @stream. Pair with line_deinit(). */
void line_init(struct line *line, FILE *stream, unsigned int width, bool colour);
void line_deinit(struct line *line);

/* Appends @text, cut with an ellipsis where the line is full. */
void line_add(struct line *line, enum line_colour colour, const char *text);
void line_addf(struct line *line, enum line_colour colour, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
/* Appends spaces up to column @column, or one space if the line is there already. */
void line_tab(struct line *line, unsigned int column);
/* Writes the line without trailing spaces and starts the next. */
void line_end(struct line *line);
/* Ends a line that has begun, then writes @text as a paragraph broken at spaces, indented. */
void line_paragraph(struct line *line, unsigned int indent, const char *text);

/* @text made safe to show; g_free(). */
char *text_escape(const char *text);
/* Columns that escaped text takes: wide characters two, all others, combining ones too, one. */
unsigned int text_columns(const char *text);
/* Escaped text in at most @columns, cut on the right or the left, with an ellipsis. g_free(). */
char *text_cut_right(const char *text, unsigned int columns);
char *text_cut_left(const char *text, unsigned int columns);

#endif
