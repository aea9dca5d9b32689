// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/sources.h"

#include <string.h>
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

static char **read_lines(const struct process *process, const char *file)
{
	g_autofree char *path = *file == '/' ? process_root_path(process, file) : NULL,
			*text = NULL;
	struct stat status;

	/* A device or a pipe must not be opened: reading it may block or have effects. */
	if (!path || stat(path, &status) || !S_ISREG(status.st_mode) ||
	    status.st_size > MAX_FILE_BYTES || !g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strsplit(text, "\n", -1);
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
