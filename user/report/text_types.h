/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a site's blocks are, as a sentence. */
#ifndef PYLEAK_REPORT_TEXT_TYPES_H
#define PYLEAK_REPORT_TEXT_TYPES_H

#include <stdbool.h>

#include "analyse/model.h"

/*
 * "Order, dict, str. ": the types that most of the site's bytes are of, without their modules, the
 * largest first; @verbose: all with modules, blocks and bytes. "" where nothing is known. g_free().
 */
char *text_types(const struct site *site, bool verbose);

#endif
