// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_values.h"

#include <math.h>

json_t *text_value(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

	return json_string(valid);
}

json_t *nullable_text_value(const char *text)
{
	return text ? text_value(text) : json_null();
}

json_t *real_value(double number)
{
	return json_real(isfinite(number) ? number : 0);
}

json_t *known_real_value(double number)
{
	return isfinite(number) && number >= 0 ? json_real(number) : json_null();
}

json_t *count_value(uint64_t number)
{
	return json_integer((json_int_t)MIN(number, (uint64_t)INT64_MAX));
}

json_t *time_value(int64_t time_us)
{
	g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);
	g_autoptr(GDateTime) time = NULL;
	g_autofree char *text = NULL;

	if (seconds)
		time = g_date_time_add(seconds, time_us % G_USEC_PER_SEC);
	if (!time)
		return json_string("1970-01-01T00:00:00.000Z");
	text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
	return json_sprintf("%s.%03dZ", text, g_date_time_get_microsecond(time) / 1000);
}

json_t *known_count_value(bool known, uint64_t number)
{
	return known ? count_value(number) : json_null();
}
