// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <glib.h>

enum { MAX_FILE_BYTES = 8 << 20, MAX_LINE_BYTES = 1000 };

struct sources {
	const struct process *process;
	GHashTable *files; /* name to char ** of lines; NULL: not to be had */
};

static void free_lines(void *lines)
{
	g_strfreev(lines);
}

struct sources *sources_new(const struct process *process)
{
	struct sources *sources = g_new0(struct sources, 1);

	sources->process = process;
	sources->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_lines);
	return sources;
}

void sources_free(struct sources *sources)
{
	if (!sources)
		return;
	g_hash_table_unref(sources->files);
	g_free(sources);
}

/*
 * The bytes of a regular file that says how large it is, up to MAX_FILE_BYTES; NULL for all else.
 * The name is the target's to choose: a pipe or device must neither block nor be read, and most
 * files of /proc, which may never end, say that they are empty.
 */
static char *read_file(const struct process *process, const char *path)
{
	int fd = process_open_file(process, path, O_NOCTTY | O_NONBLOCK);
	g_autofree char *text = NULL;
	size_t length = 0;
	struct stat status;
	ssize_t got = 0;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size > 0 &&
	    status.st_size <= MAX_FILE_BYTES) {
		text = g_malloc(status.st_size + 1);
		while (length < (size_t)status.st_size) {
			got = read(fd, text + length, status.st_size - length);
			if (got > 0)
				length += got;
			else if (!got || errno != EINTR)
				break;
		}
		text[length] = 0;
	}
	close(fd);
	return got < 0 ? NULL : g_steal_pointer(&text);
}

static char **read_lines(const struct process *process, const char *file)
{
	g_autofree char *text = *file == '/' ? read_file(process, file) : NULL;

	return text ? g_strsplit(text, "\n", -1) : NULL;
}

char *sources_line(struct sources *sources, const char *file, int32_t line)
{
	char **lines;
	void *known;

	if (!g_hash_table_lookup_extended(sources->files, file, NULL, &known)) {
		known = read_lines(sources->process, file);
		g_hash_table_insert(sources->files, g_strdup(file), known);
	}
	lines = known;
	if (!lines || line < 1 || (guint)line > g_strv_length(lines) ||
	    strlen(lines[line - 1]) > MAX_LINE_BYTES)
		return NULL;
	return g_strstrip(g_utf8_make_valid(lines[line - 1], -1));
}
