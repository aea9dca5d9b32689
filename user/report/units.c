// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/units.h"

#include <math.h>
#include <string.h>
#include <glib.h>

char *units_bytes(double bytes, bool sign)
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	const char *plus = sign && !(bytes < 0) ? "+" : "";
	double value = isfinite(bytes) ? bytes : 0;
	size_t unit = 0;

	/* From 1023.95 on, one decimal would read 1024.0. */
	while (fabs(value) >= 1023.95 && unit + 1 < G_N_ELEMENTS(names)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || fabs(value) >= 99.95)
		return g_strdup_printf("%s%.0f %s", plus, value, names[unit]);
	return g_strdup_printf("%s%.1f %s", plus, value, names[unit]);
}

char *units_rate(double bytes_per_s)
{
	g_autofree char *bytes = units_bytes(bytes_per_s * 60, true);

	return g_strconcat(bytes, "/min", NULL);
}

char *units_count(int64_t count)
{
	g_autofree char *digits = g_strdup_printf("%" G_GINT64_FORMAT, count);
	const char *digit = digits;
	GString *out = g_string_new(NULL);
	size_t left;

	if (*digit == '-')
		g_string_append_c(out, *digit++);
	for (left = strlen(digit); left; left--) {
		g_string_append_c(out, *digit++);
		if (left > 1 && left % 3 == 1)
			g_string_append_c(out, ',');
	}
	return g_string_free(out, FALSE);
}

char *units_duration(double seconds)
{
	uint64_t whole;

	if (!(seconds > 0))
		seconds = 0;
	if (seconds < 9.95)
		return g_strdup_printf("%.1fs", seconds);
	whole = (uint64_t)MIN(seconds + 0.5, 1e15);
	if (whole < 60)
		return g_strdup_printf("%us", (unsigned int)whole);
	if (whole < 3600)
		return g_strdup_printf("%um%02us", (unsigned int)(whole / 60),
				       (unsigned int)(whole % 60));
	if (whole < 86400)
		return g_strdup_printf("%uh%02um", (unsigned int)(whole / 3600),
				       (unsigned int)(whole / 60 % 60));
	return g_strdup_printf("%" G_GUINT64_FORMAT "d%02uh", whole / 86400,
			       (unsigned int)(whole / 3600 % 24));
}
