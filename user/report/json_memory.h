/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the process uses its memory, as JSON. */
#ifndef PYLEAK_REPORT_JSON_MEMORY_H
#define PYLEAK_REPORT_JSON_MEMORY_H

#include <jansson.h>

#include "analyse/model.h"

/* "memory" of docs/report.schema.json; with the curve in a last report. A new reference. */
json_t *json_memory(const struct report *report);

#endif
