/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the memory curve means, in words: for the text and the JSON report. */
#ifndef PYLEAK_REPORT_MEMORY_WORDS_H
#define PYLEAK_REPORT_MEMORY_WORDS_H

#include "analyse/model.h"

/*
 * A sentence or two on whether memory grows, and whether it is the program or fragmentation; never
 * denies a site whose verdict is leak. NULL where nothing is known. g_free().
 */
char *memory_sentence(const struct report *report);

#endif
