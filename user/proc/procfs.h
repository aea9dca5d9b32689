/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the files of /proc/PID whole, with the errors users need. Used inside proc/. */
#ifndef PYLEAK_PROC_PROCFS_H
#define PYLEAK_PROC_PROCFS_H

#include <stddef.h>
#include <sys/types.h>
#include <glib.h>

/*
 * The content of /proc/@pid/@name, NUL-terminated, to g_free(); @length may be NULL. NULL and
 * @error: NO_TARGET when the process is gone, UNSUPPORTED when this user may not look, FAILED for
 * anything else (more than 256 MiB, say).
 */
char *procfs_read(pid_t pid, const char *name, size_t *length, GError **error);
/* The target of the link /proc/@pid/@name, to g_free(). Errors as above. */
char *procfs_read_link(pid_t pid, const char *name, GError **error);
/* Sets the error for @code (an errno) met when looking at @pid: see procfs_read(). */
void procfs_set_error(pid_t pid, int code, GError **error);

#endif
