// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/pressure.h"

#include <string.h>
#include <glib.h>

double pressure_parse(const char *text)
{
	static const char key[] = "some avg10=";
	double percent;

	if (!g_str_has_prefix(text, key))
		return 0;
	percent = g_ascii_strtod(text + strlen(key), NULL);
	/* Not a number compares as false, too. */
	return percent > 0 ? MIN(percent, 100) : 0;
}

double pressure_cpu(void)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/pressure/cpu", &text, NULL, NULL))
		return 0;
	return pressure_parse(text);
}
