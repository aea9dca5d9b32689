// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/root_path.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; /* MAXSYMLINKS, include/linux/namei.h */

/* Names still to walk, the next one last. */
static void push_names(GPtrArray *names, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	for (guint i = g_strv_length(parts); i > 0; i--)
		g_ptr_array_add(names, g_strdup(parts[i - 1]));
}

/* Goes up one folder, as far as @base_length bytes. Above a working directory the kernel knows the
 * way: it keeps its "..". */
static void go_up(GString *path, size_t base_length, bool base_is_root)
{
	const char *slash = strrchr(path->str, '/');

	if (path->len > base_length && strcmp(slash, "/..") != 0)
		g_string_truncate(path, slash - path->str);
	else if (!base_is_root)
		g_string_append(path, "/..");
}

char *root_path_resolve(const char *root, const char *cwd, const char *path)
{
	bool base_is_root = *path == '/';
	GString *result = g_string_new(base_is_root ? root : cwd);
	size_t base_length = result->len;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	char target[PATH_MAX];
	unsigned int links = 0;

	push_names(names, path);
	while (names->len) {
		g_autofree char *name = g_ptr_array_steal_index(names, names->len - 1);
		if (*name == '\0' || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			go_up(result, base_length, base_is_root);
			continue;
		}
		size_t folder_length = result->len;
		g_string_append_printf(result, "/%s", name);
		ssize_t length =
			links < MAX_LINKS ? readlink(result->str, target, sizeof(target) - 1) : -1;
		if (length < 0)
			continue;
		links++;
		target[length] = '\0';
		g_string_truncate(result, folder_length);
		if (*target == '/') {
			g_string_assign(result, root);
			base_length = result->len;
			base_is_root = true;
		}
		push_names(names, target);
	}
	return g_string_free(result, false);
}

char *root_path_inside(const char *root, char *path)
{
	size_t length = strlen(root);

	if (strcmp(root, "/") == 0 || strncmp(path, root, length) != 0)
		return path;
	if (path[length] == '/')
		memmove(path, path + length, strlen(path + length) + 1);
	else if (!path[length])
		strcpy(path, "/"); /* the root itself: it is longer than that */
	return path;
}
