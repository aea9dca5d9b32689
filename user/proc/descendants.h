/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that a process has made, and those that these have made. */
#ifndef PYLEAK_PROC_DESCENDANTS_H
#define PYLEAK_PROC_DESCENDANTS_H

#include <sys/types.h>
#include <glib.h>

struct descendant {
	pid_t pid, parent;
};

/*
 * All that live now, parents before their children; children of a process that has exited are not
 * told any more. A GArray of struct descendant, to g_array_unref(); empty where /proc cannot be
 * read.
 */
GArray *descendants_of(pid_t pid);

/* Who made @pid, or adopted it since; 0 when it has gone. */
pid_t parent_of(pid_t pid);

#endif
