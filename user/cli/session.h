/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of pyleak from attaching to the last report. */
#ifndef PYLEAK_CLI_SESSION_H
#define PYLEAK_CLI_SESSION_H

#include <glib.h>

#include "cli/options.h"

/* Exit status of CLI.md for a last report that holds a leak, with --fail-on-leak. */
enum { EXIT_LEAK = 10 };

/* Runs to the end. Returns the exit status, or -1 and @error. */
int session_run(const struct options *options, GError **error);

#endif
