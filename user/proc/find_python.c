// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/find_python.h"

#include <string.h>
#include <glib.h>

#include "proc/procfs.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool is_python_name(const char *path)
{
	const char *version = base_name(path);

	if (!g_str_has_prefix(version, "python"))
		return false;
	version += strlen("python");
	/* python, python3, python3.11, python3.11-dbg, python3.11 (deleted); not python-config. */
	return !*version || *version == ' ' || g_ascii_isdigit(*version);
}

bool maps_name_libpython(const char *text)
{
	return strstr(text, "/libpython") != NULL;
}

enum likeness python_likeness(pid_t pid)
{
	g_autofree char *exe = procfs_read_link(pid, "exe", NULL), *maps = NULL;

	if (!exe)
		return LIKENESS_GONE;
	if (is_python_name(exe))
		return LIKENESS_PYTHON;
	maps = procfs_read(pid, "maps", NULL, NULL);
	if (!maps)
		return LIKENESS_GONE;
	return maps_name_libpython(maps) ? LIKENESS_PYTHON : LIKENESS_OTHER;
}
