/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pyleak says beside its reports, on standard error. */
#ifndef PYLEAK_CLI_SAY_H
#define PYLEAK_CLI_SAY_H

#include "cli/options.h"

/* One line, unless --quiet. */
void say(const struct options *options, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* One line with --verbose. */
void say_more(const struct options *options, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
