// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/pids.h"

#include <stdbool.h>
#include <sys/types.h>

static gint by_number(gconstpointer a, gconstpointer b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

GArray *pids_of_host(void)
{
	GArray *pids = g_array_new(false, false, sizeof(pid_t));
	GDir *folder = g_dir_open("/proc", 0, NULL);
	const char *name;

	if (!folder)
		return pids;
	while ((name = g_dir_read_name(folder))) {
		char *end;
		guint64 number = g_ascii_strtoull(name, &end, 10);
		pid_t pid = number;

		if (end != name && !*end && number && number <= G_MAXINT32)
			g_array_append_val(pids, pid);
	}
	g_dir_close(folder);
	g_array_sort(pids, by_number);
	return pids;
}
