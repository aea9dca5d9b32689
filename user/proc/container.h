/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which container a process is in, as far as its control group and its pid namespace tell. */
#ifndef PYLEAK_PROC_CONTAINER_H
#define PYLEAK_PROC_CONTAINER_H

#include <sys/types.h>
#include <glib.h>

struct container {
	char *cgroup; /* path of its control group, "/" for the root; NULL: not known */
	char *id; /* the engine's id (64 or more characters) or name of it; NULL: none is told */
	pid_t namespace_pid; /* its pid in its own pid namespace; the one we know it by if that is
				ours; 0: not known */
};

/* What is known of process @pid. Release with container_clear(); a member that cannot be had is
 * NULL or 0. */
void container_read(pid_t pid, struct container *container);
void container_clear(struct container *container);

/*
 * The path of the control group from the text of /proc/PID/cgroup (cgroups(7)): that of the unified
 * hierarchy, else of systemd's, else the longest. NULL where no line is one. g_free() the result.
 */
char *container_cgroup_parse(const char *text);
/*
 * The id or name of the container in the path of a control group, the innermost one, or NULL.
 * Known: the 64 hexadecimal digits of Docker, Podman, containerd and CRI-O, as a folder or in the
 * name of a systemd scope, also below Kubernetes' pods; Amazon ECS's; LXC's payload;
 * systemd-nspawn's machine. g_free() the result.
 */
char *container_id_parse(const char *cgroup);
/* The last of the numbers after "NSpid:" in the text of /proc/PID/status, 0 where there is none. */
pid_t container_namespace_pid_parse(const char *status);

#endif
