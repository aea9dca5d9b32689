// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_types.h"

#include <string.h>
#include <glib.h>

#include "report/units.h"

enum { MOST_NAMES = 4 };

/* When so much of a site's bytes has been named, the rest is not worth the room. */
static const double ENOUGH = 0.97;

static const struct site_type *type_at(const struct site *site, guint i)
{
	return &g_array_index(site->types, struct site_type, i);
}

/* Without the module: the last part of a dotted name. */
static const char *short_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot[1] ? dot + 1 : name;
}

/* Two types of one short name among the first @count are told apart by their modules. */
static const char *shown_name(const struct site *site, guint index, guint count)
{
	const char *name = type_at(site, index)->name;

	for (guint i = 0; i < count; i++)
		if (i != index && !strcmp(short_name(type_at(site, i)->name), short_name(name)))
			return name;
	return short_name(name);
}

/* How many types are to be named. */
static guint names_needed(const struct site *site)
{
	double all = 0, named = 0;
	guint i;

	for (i = 0; i < site->types->len; i++)
		all += (double)type_at(site, i)->bytes;
	for (i = 0; i < MIN(site->types->len, MOST_NAMES) && (!i || named < ENOUGH * all); i++)
		named += (double)type_at(site, i)->bytes;
	return i;
}

static void add_figures(GString *text, const struct site *site, const struct site_type *type)
{
	const char *mark = site->estimated ? "~" : "";
	g_autofree char *blocks = units_count(type->blocks);
	g_autofree char *bytes = units_bytes((double)type->bytes, false);

	g_string_append_printf(text, " (%s%s in %s%s)", mark, bytes, mark, blocks);
}

char *text_types(const struct site *site, bool verbose)
{
	GString *text = g_string_new(NULL);
	guint count;

	if (!site->types || !site->types->len)
		return g_string_free(text, FALSE);
	count = verbose ? site->types->len : names_needed(site);
	for (guint i = 0; i < count; i++) {
		g_string_append_printf(text, "%s%s", i ? ", " : "",
				       verbose ? type_at(site, i)->name
					       : shown_name(site, i, count));
		if (verbose)
			add_figures(text, site, type_at(site, i));
	}
	g_string_append(text, ". ");
	return g_string_free(text, FALSE);
}
