/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the process uses its memory, in the text report. */
#ifndef PYLEAK_REPORT_TEXT_MEMORY_H
#define PYLEAK_REPORT_TEXT_MEMORY_H

#include <stdbool.h>

#include "analyse/model.h"
#include "report/line.h"

/* One line: what is in use and whether it grows, what is held but unused. Nothing if unknown. */
void text_memory_write(struct line *line, const struct report *report);
/* The curve and what it means: for a last report. */
void text_memory_curve_write(struct line *line, const struct report *report, bool unicode);

#endif
