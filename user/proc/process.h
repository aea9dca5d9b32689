/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One process on the host: who it is, whether it still is the same one, what it costs, and how to
 * open its files (always through /proc/PID/root, so that containers work).
 */
#ifndef PYLEAK_PROC_PROCESS_H
#define PYLEAK_PROC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

#include "proc/maps.h"
#include "proc/memory.h"

struct process {
	pid_t pid;
	int pidfd;	     /* readable when the process has exited */
	uint64_t start_time; /* clock ticks since boot, field 22 of /proc/PID/stat: tells pids apart
			      */
	char *exe;	/* target of /proc/PID/exe as the target sees it, " (deleted)" removed */
	char **cmdline; /* NULL-terminated */
	struct process_memory memory;
};

/* Opens a live process. NULL and @error: NO_TARGET (none, a zombie, a kernel thread, a 32-bit one:
 * UNSUPPORTED). */
struct process *process_open(pid_t pid, GError **error);
/* Closes the pidfd and frees @process. NULL is allowed. */
void process_free(struct process *process);

/* True until the process has exited (a zombie has exited). */
bool process_is_alive(const struct process *process);

/*
 * A value that changes when the process calls exec: (exe inode, start of the stack) folded into 64
 * bits. 0 when it cannot be read.
 */
uint64_t process_image_token(const struct process *process);

struct process_usage {
	uint64_t rss_bytes;
	uint64_t private_bytes; /* of these, those that no file stands behind: heaps, stacks */
	uint64_t cpu_ns;	/* user + system time of all threads since it began */
	uint32_t threads;
};
bool process_usage_read(const struct process *process, struct process_usage *usage);
/* The same of a process that is not kept open. False also when @pid is another process by now:
 * @start_time is that of struct process. */
bool process_usage_of(pid_t pid, uint64_t start_time, struct process_usage *usage);

/*
 * A path that this process (pyleak) can open for the file behind @mapping, also when that file was
 * deleted or replaced: /proc/PID/root + path when the inode there still matches, else
 * /proc/PID/map_files/START-END. g_free() the result.
 */
char *process_mapping_path(const struct process *process, const struct mapping *mapping);
/* A path to open @path as the target sees it (relative ones from its working directory). g_free()
 * the result. */
char *process_root_path(const struct process *process, const char *path);
/*
 * Opens @path, absolute as the target sees it, for reading; @flags are more of open(2)'s. Unlike a
 * path of process_root_path() it cannot be led out of the target's root, not even by links that
 * change meanwhile: for what is shown to people. The descriptor, or -1.
 */
int process_open_file(const struct process *process, const char *path, int flags);
/* The working directory as the target sees it; NULL when it cannot be told. g_free() the result. */
char *process_working_folder(const struct process *process);

#endif
