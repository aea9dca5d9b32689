/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of processes. */
#ifndef PYLEAK_PROC_PIDS_H
#define PYLEAK_PROC_PIDS_H

#include <glib.h>

/* Ids of all processes of this pid namespace, ascending: a GArray of pid_t, to g_array_unref();
 * empty where /proc cannot be read. */
GArray *pids_of_host(void);

#endif
