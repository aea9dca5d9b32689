// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/cgroup.h"

#include <string.h>
#include <glib.h>

#include "proc/procfs.h"

#define MOUNT_POINT "/sys/fs/cgroup"

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return !strncmp(path, folder, length) && (!path[length] || path[length] == '/');
}

/* A path inside the hierarchy, without slashes at the end, "" for its root. */
static char *normal_path(const char *path)
{
	char *normal;

	if (is_below(path, MOUNT_POINT))
		path += strlen(MOUNT_POINT);
	normal = g_strconcat(*path && *path != '/' ? "/" : "", path, NULL);
	for (size_t length = strlen(normal); length && normal[length - 1] == '/';)
		normal[--length] = '\0';
	return normal;
}

bool cgroup_text_has(const char *text, const char *path)
{
	g_autofree char *folder = normal_path(path);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		/* "ID:CONTROLLERS:PATH" */
		const char *where = strchr(*line, ':');

		where = where ? strchr(where + 1, ':') : NULL;
		if (where && is_below(where + 1, folder))
			return true;
	}
	return false;
}

bool process_is_in_cgroup(pid_t pid, const char *path)
{
	g_autofree char *text = procfs_read(pid, "cgroup", NULL, NULL);

	return text && cgroup_text_has(text, path);
}
