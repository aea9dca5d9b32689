// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/running.h"

#include <sched.h>
#include <stdbool.h>
#include <glib.h>

#include "proc/procfs.h"
#include "proc/stat.h"

enum { MOST_THREADS = 64 };

static bool read_stat(pid_t pid, const char *name, struct process_stat *stat)
{
	g_autofree char *text = procfs_read(pid, name, NULL, NULL);

	return text && process_stat_parse(text, stat);
}

static int processor_of(const struct process_stat *stat)
{
	bool shares = stat->policy == SCHED_OTHER || stat->policy == SCHED_BATCH ||
		      stat->policy == SCHED_IDLE;

	return shares ? (int)stat->processor : -1;
}

static int running_thread_on(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
	GDir *tasks = g_dir_open(path, 0, NULL);
	const char *name;
	int processor = -1;

	for (int i = 0; tasks && i < MOST_THREADS && processor < 0; i++) {
		g_autofree char *file = NULL;
		struct process_stat stat;

		name = g_dir_read_name(tasks);
		if (!name)
			break;
		file = g_strdup_printf("task/%s/stat", name);
		if (read_stat(pid, file, &stat) && stat.state == 'R')
			processor = processor_of(&stat);
	}
	if (tasks)
		g_dir_close(tasks);
	return processor;
}

int running_on(pid_t pid)
{
	struct process_stat stat;

	if (!read_stat(pid, "stat", &stat))
		return -1;
	return stat.threads > 1 ? running_thread_on(pid) : processor_of(&stat);
}
