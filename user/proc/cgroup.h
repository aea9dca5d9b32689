/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control groups of processes: cgroups(7), "/proc files". */
#ifndef PYLEAK_PROC_CGROUP_H
#define PYLEAK_PROC_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether a process is in the control group @path or one below it, in any hierarchy. @path is as in
 * /proc/PID/cgroup, or a folder of /sys/fs/cgroup.
 */
bool process_is_in_cgroup(pid_t pid, const char *path);
/* The pure part: @text is that of /proc/PID/cgroup. */
bool cgroup_text_has(const char *text, const char *path);

#endif
