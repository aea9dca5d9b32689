// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/frame_rank.h"

#include <fnmatch.h>
#include <string.h>

/* After "/lib/python": "3.11/", "2.7/", "3.13t/" (free-threaded), "3/" (Debian's dist-packages). */
static const char *skip_version_folder(const char *text)
{
	const char *end = text;

	while (g_ascii_isdigit(*end) || *end == '.' || *end == 't')
		end++;
	return end > text && *end == '/' ? end + 1 : NULL;
}

/* The last @part in @text. The C library looks at many characters at once; GLib's g_strrstr() at
 * one. */
static const char *find_last(const char *text, const char *part)
{
	const char *found = NULL;

	while ((text = strstr(text, part)))
		found = text++;
	return found;
}

const char *library_path(const char *file)
{
	static const char *const folders[] = { "/site-packages/", "/dist-packages/", ".egg/" };
	static const char *const libraries[] = { "/lib/python", "/lib64/python" };
	const char *found, *below = NULL;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(folders); i++) {
		found = find_last(file, folders[i]);
		if (found)
			return found + strlen(folders[i]);
	}
	/* PEP 582: __pypackages__/3.11/lib/numpy/... */
	found = find_last(file, "/__pypackages__/");
	below = found ? strstr(found, "/lib/") : NULL;
	if (below)
		return below + strlen("/lib/");
	for (i = 0; i < G_N_ELEMENTS(libraries); i++) {
		found = find_last(file, libraries[i]);
		below = found ? skip_version_folder(found + strlen(libraries[i])) : NULL;
		if (below)
			return below;
	}
	/* The standard library as a zip: /usr/lib/python311.zip/json/decoder.py. */
	found = find_last(file, "/python");
	below = found ? strstr(found, ".zip/") : NULL;
	return below ? below + strlen(".zip/") : NULL;
}

static bool matches_any(char *const *globs, const char *file)
{
	const char *base = strrchr(file, '/');
	size_t i;

	base = base ? base + 1 : file;
	for (i = 0; globs && globs[i]; i++) {
		if (!fnmatch(globs[i], file, 0) || !fnmatch(globs[i], base, 0))
			return true;
	}
	return false;
}

enum frame_rank frame_rank(const struct frame *frame, char *const *include, char *const *exclude)
{
	/* Code that a library or the interpreter itself made, though no file says so. */
	static const char *const generated[] = { "<frozen ",	     "<__array_function__",
						 "<attrs generated", "<decorator-gen",
						 "<shim>",	     "<interpreter trampoline>" };
	const char *file = frame->file;
	size_t i;

	if (file && matches_any(exclude, file))
		return FRAME_RANK_EXCLUDED;
	if (file && matches_any(include, file))
		return FRAME_RANK_INCLUDED;
	if (frame->kind != FRAME_PYTHON)
		return FRAME_RANK_ANY;
	if (!file || !*file)
		return FRAME_RANK_PYTHON;
	for (i = 0; i < G_N_ELEMENTS(generated); i++) {
		if (g_str_has_prefix(file, generated[i]))
			return FRAME_RANK_PYTHON;
	}
	if (*file == '<')
		return FRAME_RANK_NO_FILE;
	return library_path(file) ? FRAME_RANK_PYTHON : FRAME_RANK_USER;
}
