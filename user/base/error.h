/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors travel up as GError values (glib.h) in one domain. The message is one line that says what
 * is wrong and what to do about it; only cli/ prints it. The code decides the exit status.
 */
#ifndef PYLEAK_BASE_ERROR_H
#define PYLEAK_BASE_ERROR_H

#include <glib.h>

/* The values are the exit statuses of CLI.md. */
enum pyleak_error {
	PYLEAK_ERROR_FAILED = 1,      /* anything else that went wrong */
	PYLEAK_ERROR_USAGE = 2,	      /* the command line makes no sense */
	PYLEAK_ERROR_UNSUPPORTED = 3, /* not permitted or not supported here */
	PYLEAK_ERROR_NO_TARGET = 4, /* no such process, not Python, or gone before tracing began */
};

#define PYLEAK_ERROR (pyleak_error_quark())
GQuark pyleak_error_quark(void);

#endif
