// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/say.h"

#include <stdio.h>

static void say_line(const char *format, va_list arguments)
{
	g_autofree char *text = g_strdup_vprintf(format, arguments);

	fprintf(stderr, "pyleak: %s\n", text);
}

void say(const struct options *options, const char *format, ...)
{
	va_list arguments;

	if (options->quiet)
		return;
	va_start(arguments, format);
	say_line(format, arguments);
	va_end(arguments);
}

void say_more(const struct options *options, const char *format, ...)
{
	va_list arguments;

	if (options->quiet || !options->verbose)
		return;
	va_start(arguments, format);
	say_line(format, arguments);
	va_end(arguments);
}
