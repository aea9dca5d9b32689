// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/error.h"

/* strtod without its "inf", "nan", hexadecimals, leading space and locale. */
static bool read_decimal(const char *text, double *value, const char **end)
{
	size_t length = strspn(text, "0123456789.");

	if (!length || !strcspn(text, "."))
		*end = text;
	if (!length)
		return false;
	*value = g_ascii_strtod(text, (char **)end);
	return *end == text + length && isfinite(*value);
}

bool value_number(const char *text, const char *option, const char *unit, bool positive, double max,
		  double *value, GError **error)
{
	const char *end = text;
	double number;

	if (!read_decimal(text, &number, &end) || *end || (positive && !(number > 0))) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
			    "%s needs a number of %s %s, not '%s'", option, unit,
			    positive ? "greater than 0" : "that is not negative", text);
		return false;
	}
	if (number > max) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
			    "%s takes at most %.0f %s, not '%s'", option, max, unit, text);
		return false;
	}
	*value = number;
	return true;
}

bool value_count(const char *text, const char *option, uint64_t max, uint64_t *value,
		 GError **error)
{
	if (g_ascii_string_to_unsigned(text, 10, 1, max, value, NULL))
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
		    "%s needs a whole number of at least 1, not '%s'", option, text);
	return false;
}

bool value_size(const char *text, const char *option, uint64_t *value, GError **error)
{
	static const char units[] = "KMGT";
	const char *end = text, *unit;
	bool valid = false;
	double number = 0;

	if (read_decimal(text, &number, &end)) {
		unit = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
		if (unit) {
			number = ldexp(number, 10 * (int)(unit - units + 1));
			end++;
			if (!g_ascii_strncasecmp(end, "ib", 2))
				end += 2;
		}
		valid = !*end && number >= 1 << 20 && number <= 1e15;
	}
	if (!valid) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
			    "%s needs a size of at least 1M, such as 256M or 1G, not '%s'", option,
			    text);
		return false;
	}
	*value = (uint64_t)number;
	return true;
}

bool value_choice(const char *text, const char *option, const char *const *choices, int *value,
		  GError **error)
{
	g_autofree char *list = NULL;
	int i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(choices[i], text)) {
			*value = i;
			return true;
		}
	}
	list = g_strjoinv(", ", (char **)choices);
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE, "%s needs one of %s, not '%s'", option,
		    list, text);
	return false;
}

bool value_pids(const char *text, GArray *pids, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	char **word;
	guint i;

	if (!*words) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE, "-p needs a process id");
		return false;
	}
	for (word = words; *word; word++) {
		guint64 number;
		pid_t pid;

		if (!g_ascii_string_to_unsigned(*word, 10, 1, INT32_MAX, &number, NULL)) {
			g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
				    "-p needs process ids separated by commas, not '%s'", text);
			return false;
		}
		pid = (pid_t)number;
		for (i = 0; i < pids->len && g_array_index(pids, pid_t, i) != pid; i++)
			;
		if (i == pids->len)
			g_array_append_val(pids, pid);
	}
	return true;
}

static GError *bad_option(const char *format, ...) G_GNUC_PRINTF(1, 2);

static GError *bad_option(const char *format, ...)
{
	g_autofree char *message = NULL;
	va_list arguments;

	va_start(arguments, format);
	message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	return g_error_new_literal(PYLEAK_ERROR, PYLEAK_ERROR_USAGE, message);
}

/* One "--name[=value]". @takes_next: its value is the next argument. */
static GError *check_long(const struct argp_option *table, const char *text, bool is_last,
			  bool *takes_next)
{
	size_t length = strcspn(text + 2, "=");
	const struct argp_option *row, *found = NULL;
	bool has_value = text[2 + length] == '=';

	for (row = table; row->name; row++) {
		if (strncmp(row->name, text + 2, length))
			continue;
		if (strlen(row->name) == length) {
			found = row;
			break;
		}
		/* getopt takes a beginning that only one option has. */
		if (found)
			return bad_option("option '%s' could be --%s or --%s: write it out", text,
					  found->name, row->name);
		found = row;
	}
	if (!found)
		return bad_option("there is no option '%.*s' (--help shows all)", (int)length + 2,
				  text);
	if (has_value && !found->arg)
		return bad_option("--%s takes no value", found->name);
	*takes_next = found->arg && !has_value;
	if (*takes_next && is_last)
		return bad_option("--%s needs a value: %s", found->name, found->arg);
	return NULL;
}

/* A cluster of short options, "-vp12". */
static GError *check_short(const struct argp_option *table, const char *text, bool is_last,
			   bool *takes_next)
{
	const struct argp_option *row;
	const char *letter;

	for (letter = text + 1; *letter; letter++) {
		for (row = table; row->name && row->key != *letter; row++)
			;
		if (!row->name)
			return bad_option("there is no option '-%.*s' (--help shows all)",
					  g_utf8_skip[(unsigned char)*letter], letter);
		if (!row->arg)
			continue;
		*takes_next = !letter[1];
		if (*takes_next && is_last)
			return bad_option("-%c needs a value: %s", row->key, row->arg);
		break;
	}
	return NULL;
}

GError *value_bad_option(const struct argp_option *table, int argc, char **argv)
{
	GError *error = NULL;
	int i;

	for (i = 1; i < argc && !error && strcmp(argv[i], "--"); i++) {
		bool takes_next = false, is_last = i + 1 == argc;

		if (g_str_has_prefix(argv[i], "--"))
			error = check_long(table, argv[i], is_last, &takes_next);
		else if (argv[i][0] == '-' && argv[i][1])
			error = check_short(table, argv[i], is_last, &takes_next);
		i += takes_next;
	}
	return error ? error
		     : bad_option("the command line makes no sense (--help shows its form)");
}
