// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/line.h"

#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6" /* U+2026, one column */

enum { MIN_WIDTH = 20 };

static void escape_byte(GString *out, unsigned char byte)
{
	g_string_append_printf(out, "\\x%02x", byte);
}

static void escape_character(GString *out, gunichar character)
{
	switch (character) {
	case '\n':
		g_string_append(out, "\\n");
		break;
	case '\t':
		g_string_append(out, "\\t");
		break;
	case '\r':
		g_string_append(out, "\\r");
		break;
	default:
		if (character < 0x80)
			escape_byte(out, character);
		else
			g_string_append_printf(out, "\\u%04x", character);
	}
}

char *text_escape(const char *text)
{
	GString *out = g_string_new(NULL);

	while (*text) {
		gunichar character = g_utf8_get_char_validated(text, -1);

		if (character == (gunichar)-1 || character == (gunichar)-2) {
			escape_byte(out, *text++);
			continue;
		}
		/* g_unichar_isprint() is false for controls, format characters and the unassigned.
		 */
		if (g_unichar_isprint(character))
			g_string_append_unichar(out, character);
		else
			escape_character(out, character);
		text = g_utf8_next_char(text);
	}
	return g_string_free(out, FALSE);
}

static unsigned int character_columns(gunichar character)
{
	/*
	 * Terminals differ on combining characters: counted as one column they can only leave a
	 * line shorter.
	 */
	return g_unichar_iswide(character) ? 2 : 1;
}

unsigned int text_columns(const char *text)
{
	unsigned int columns = 0;

	for (; *text; text = g_utf8_next_char(text))
		columns += character_columns(g_utf8_get_char(text));
	return columns;
}

char *text_cut_right(const char *text, unsigned int columns)
{
	g_autofree char *safe = text_escape(text);
	const char *end = safe;
	unsigned int used = 0;

	if (text_columns(safe) <= columns)
		return g_steal_pointer(&safe);
	if (!columns)
		return g_strdup("");
	while (used + character_columns(g_utf8_get_char(end)) <= columns - 1) {
		used += character_columns(g_utf8_get_char(end));
		end = g_utf8_next_char(end);
	}
	return g_strdup_printf("%.*s" ELLIPSIS, (int)(end - safe), safe);
}

char *text_cut_left(const char *text, unsigned int columns)
{
	g_autofree char *safe = text_escape(text);
	unsigned int used = text_columns(safe);
	const char *start = safe;

	if (used <= columns)
		return g_steal_pointer(&safe);
	if (!columns)
		return g_strdup("");
	while (used > columns - 1) {
		used -= character_columns(g_utf8_get_char(start));
		start = g_utf8_next_char(start);
	}
	return g_strconcat(ELLIPSIS, start, NULL);
}

void line_init(struct line *line, FILE *stream, unsigned int width, bool colour)
{
	line->stream = stream;
	line->text = g_string_new(NULL);
	line->width = MAX(width, MIN_WIDTH);
	line->used = 0;
	line->colour = colour;
}

void line_deinit(struct line *line)
{
	g_string_free(line->text, TRUE);
}

void line_add(struct line *line, enum line_colour colour, const char *text)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "",	     [COLOUR_BOLD] = "\033[1m",
		[COLOUR_RED] = "\033[1;31m", [COLOUR_YELLOW] = "\033[33m",
		[COLOUR_DIM] = "\033[2m",
	};
	g_autofree char *fitting = text_cut_right(text, line->width - line->used);
	bool coloured = line->colour && colour != COLOUR_NONE;

	line->used += text_columns(fitting);
	g_string_append_printf(line->text, "%s%s%s", coloured ? codes[colour] : "", fitting,
			       coloured ? "\033[0m" : "");
}

void line_addf(struct line *line, enum line_colour colour, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	line_add(line, colour, text);
}

void line_tab(struct line *line, unsigned int column)
{
	if (line->used && line->used >= column)
		column = line->used + 1;
	for (column = MIN(column, line->width); line->used < column; line->used++)
		g_string_append_c(line->text, ' ');
}

void line_end(struct line *line)
{
	while (g_str_has_suffix(line->text->str, " "))
		g_string_truncate(line->text, line->text->len - 1);
	fputs(line->text->str, line->stream);
	putc('\n', line->stream);
	g_string_truncate(line->text, 0);
	line->used = 0;
}

void line_paragraph(struct line *line, unsigned int indent, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	size_t i;

	if (line->used)
		line_end(line);
	for (i = 0; words[i]; i++) {
		g_autofree char *word = text_escape(words[i]);

		if (!*word)
			continue;
		if (line->used > indent && line->used + 1 + text_columns(word) > line->width)
			line_end(line);
		line_tab(line, line->used ? 0 : indent);
		/* Escaping once more changes nothing: what it yields is printable. */
		line_add(line, COLOUR_NONE, word);
	}
	if (line->used)
		line_end(line);
}
