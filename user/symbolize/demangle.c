// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/demangle.h"

#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include <libiberty/demangle.h>

enum { MAX_SYMBOL = 4096, MAX_NAME = 1000 };

const char *demangle(const char *symbol)
{
	g_autofree char *name = g_strndup(symbol, MIN(strcspn(symbol, "@"), MAX_SYMBOL));
	char *found = cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO);
	g_autofree char *shown = g_strndup(found ? found : name, MAX_NAME);

	free(found);
	return g_intern_string(shown);
}
