// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/debug_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static const char debug_folder[] = "/usr/lib/debug";

GPtrArray *debug_file_candidates(const char *file, const uint8_t *build_id, size_t build_id_size,
				 const char *link)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *folder = g_path_get_dirname(file);
	g_autoptr(GString) id = g_string_new(NULL);

	for (size_t i = 0; i < build_id_size; i++)
		g_string_append_printf(id, i == 1 ? "/%02x" : "%02x", build_id[i]);
	if (build_id_size > 1)
		g_ptr_array_add(paths,
				g_strdup_printf("%s/.build-id/%s.debug", debug_folder, id->str));
	if (!link || !*link || strchr(link, '/') || *folder != '/')
		return paths;
	g_ptr_array_add(paths, g_strdup_printf("%s/%s", folder, link));
	g_ptr_array_add(paths, g_strdup_printf("%s/.debug/%s", folder, link));
	g_ptr_array_add(paths, g_strdup_printf("%s%s/%s", debug_folder, folder, link));
	return paths;
}

static bool copy_all(int to, int from, uint64_t size)
{
	while (size) {
		ssize_t done = sendfile(to, from, NULL, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		size -= done;
	}
	return true;
}

int debug_file_copy(const char *path, uint64_t most, uint64_t *size)
{
	/* The path lies in a target's file system, where a name can be a pipe. */
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), to = -1;
	struct stat status;

	if (from < 0)
		return -1;
	if (!fstat(from, &status) && S_ISREG(status.st_mode) && status.st_size > 0) {
		if ((uint64_t)status.st_size <= most)
			to = memfd_create("pyleak-debug-file", MFD_CLOEXEC);
		else
			*size = status.st_size;
	}
	if (to >= 0 && !copy_all(to, from, status.st_size)) {
		close(to);
		to = -1;
	}
	close(from);
	if (to >= 0)
		*size = status.st_size;
	return to;
}
