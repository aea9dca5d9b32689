/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of a JSON report: whatever a model holds becomes valid JSON. New references. */
#ifndef PYLEAK_REPORT_JSON_VALUES_H
#define PYLEAK_REPORT_JSON_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include <glib.h>

/* Any bytes: paths and names come from the target. JSON is UTF-8, so what is not becomes U+FFFD. */
json_t *text_value(const char *text);
json_t *nullable_text_value(const char *text);
/* JSON has no word for NaN and infinity: they become 0. */
json_t *real_value(double number);
/* For figures of which a negative one means "unknown". */
json_t *known_real_value(double number);
json_t *count_value(uint64_t number);
/* null unless @known */
json_t *known_count_value(bool known, uint64_t number);
/* RFC 3339 in UTC, to the millisecond. */
json_t *time_value(int64_t time_us);

#endif
