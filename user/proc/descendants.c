// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/descendants.h"

#include "proc/pids.h"
#include "proc/procfs.h"
#include "proc/stat.h"

pid_t parent_of(pid_t pid)
{
	g_autofree char *text = procfs_read(pid, "stat", NULL, NULL);
	struct process_stat stat;

	return text && process_stat_parse(text, &stat) ? (pid_t)stat.parent : 0;
}

static void add_children(GArray *found, const GArray *pids, const pid_t *parents, pid_t parent)
{
	for (guint i = 0; i < pids->len; i++) {
		struct descendant child = { g_array_index(pids, pid_t, i), parent };

		if (parents[i] == parent)
			g_array_append_val(found, child);
	}
}

GArray *descendants_of(pid_t pid)
{
	GArray *found = g_array_new(false, false, sizeof(struct descendant));
	g_autoptr(GArray) pids = pids_of_host();
	g_autofree pid_t *parents = g_new0(pid_t, pids->len + 1);

	for (guint i = 0; i < pids->len; i++)
		parents[i] = parent_of(g_array_index(pids, pid_t, i));
	add_children(found, pids, parents, pid);
	/* No process is its own ancestor, but pids may have changed hands while they were read. */
	for (guint i = 0; i < found->len && found->len <= pids->len; i++)
		add_children(found, pids, parents, g_array_index(found, struct descendant, i).pid);
	return found;
}
