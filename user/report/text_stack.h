/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stack of a site in the text report. */
#ifndef PYLEAK_REPORT_TEXT_STACK_H
#define PYLEAK_REPORT_TEXT_STACK_H

#include <stdbool.h>

#include "analyse/model.h"
#include "report/line.h"

/*
 * The leading frame with its source, then the stack, leaf first, the leading frame marked with '>'
 * when it is not the leaf. 12 frames at most unless @verbose; what is left out or was cut is said.
 */
void text_stack_write(struct line *line, const struct site *site, bool verbose);

#endif
