/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose report it is. */
#ifndef PYLEAK_REPORT_TARGET_H
#define PYLEAK_REPORT_TARGET_H

#include "analyse/model.h"

/* The target @pid among those of @header (NULL is allowed), borrowed, or NULL. */
const struct report_target *report_target_find(const struct report_header *header, int32_t pid);
/* Whose @report it is: what the report says itself, or else the header. Borrowed, or NULL. */
const struct report_target *report_target_of(const struct report_header *header,
					     const struct report *report);
/* What people call the program: the script, "-m module", "-c", else the executable. g_free(). */
char *report_target_program(const struct report_target *target);

#endif
