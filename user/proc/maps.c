// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/maps.h"

#include <errno.h>
#include <string.h>

#include "proc/procfs.h"
#include "proc/root_path.h"

/* Takes a number without sign or white space in front, and the character @stop after it. */
static bool take_number(const char **next, unsigned int base, char stop, uint64_t *value)
{
	const char *digits = *next;
	char *end;

	if (!g_ascii_isxdigit(*digits))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(digits, &end, base);
	if (errno || end == digits || *end != stop)
		return false;
	*next = end + 1;
	return true;
}

static bool take_flags(const char **next, uint32_t *flags)
{
	static const char letters[] = "rwxs";

	*flags = 0;
	for (int i = 0; i < 4; i++, (*next)++) {
		if (**next == letters[i])
			*flags |= 1u << i;
		else if (**next != (i == 3 ? 'p' : '-'))
			return false;
	}
	return *(*next)++ == ' ';
}

/* The kernel writes a newline in a name as \012 and everything else as it is (seq_path(),
 * fs/proc/task_mmu.c). */
static char *unescape(const char *start, const char *end)
{
	GString *path = g_string_new_len(start, end - start);

	g_string_replace(path, "\\012", "\n", 0);
	return g_string_free(path, false);
}

/* One line, without its newline, as proc_pid_maps(5) describes it. */
static bool parse_line(const char *line, const char *end, struct mapping *mapping)
{
	static const char deleted[] = " (deleted)";
	static const size_t deleted_length = sizeof(deleted) - 1;
	uint64_t major, minor;
	const char *next = line;

	if (!take_number(&next, 16, '-', &mapping->start) ||
	    !take_number(&next, 16, ' ', &mapping->end) || !take_flags(&next, &mapping->flags) ||
	    !take_number(&next, 16, ' ', &mapping->offset) ||
	    !take_number(&next, 16, ':', &major) || !take_number(&next, 16, ' ', &minor))
		return false;
	mapping->device_major = major;
	mapping->device_minor = minor;

	/* The inode is followed by blanks and a name, or by nothing. */
	char *after;
	if (!g_ascii_isdigit(*next))
		return false;
	mapping->inode = g_ascii_strtoull(next, &after, 10);
	if (after > end || (after < end && *after != ' ') || mapping->start >= mapping->end)
		return false;
	for (next = after; next < end && *next == ' '; next++)
		;
	mapping->deleted = (size_t)(end - next) > deleted_length && *next == '/' &&
			   memcmp(end - deleted_length, deleted, deleted_length) == 0;
	mapping->path = unescape(next, mapping->deleted ? end - deleted_length : end);
	return true;
}

/*
 * The file is read in pieces while the process runs: where two mappings become one between two of
 * them, what follows the first comes with the first's addresses once more. What of @mapping lies
 * below @lowest is known; false when that is all of it.
 */
static bool keep_behind(struct mapping *mapping, uint64_t lowest)
{
	if (mapping->end <= lowest)
		return false;
	if (mapping->start >= lowest)
		return true;
	if (mapping->inode)
		mapping->offset += lowest - mapping->start;
	mapping->start = lowest;
	return true;
}

struct maps *maps_parse(const char *text)
{
	GArray *items = g_array_new(false, false, sizeof(struct mapping));
	uint64_t lowest = 0;

	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');
		struct mapping mapping = { 0 };
		if (parse_line(line, end, &mapping)) {
			if (keep_behind(&mapping, lowest)) {
				lowest = mapping.end;
				g_array_append_val(items, mapping);
			} else {
				g_free(mapping.path);
			}
		}
		line = *end ? end + 1 : end;
	}
	struct maps *maps = g_new(struct maps, 1);
	maps->count = items->len;
	maps->items = (struct mapping *)(void *)g_array_free(items, false);
	return maps;
}

/* The kernel shows paths from our root; of a process that has changed its own they are to be as it
 * sees them. */
static void leave_root_out(struct maps *maps, pid_t pid)
{
	g_autofree char *root = procfs_read_link(pid, "root", NULL);

	for (size_t i = 0; root && i < maps->count; i++)
		maps->items[i].path = root_path_inside(root, maps->items[i].path);
}

struct maps *maps_read(pid_t pid, GError **error)
{
	g_autofree char *text = procfs_read(pid, "maps", NULL, error);

	if (!text)
		return NULL;
	/* The file of a process that has given up its memory (exiting, a zombie) is empty. */
	struct maps *maps = maps_parse(text);
	if (maps->count == 0) {
		maps_free(maps);
		procfs_set_error(pid, ESRCH, error);
		return NULL;
	}
	leave_root_out(maps, pid);
	return maps;
}

void maps_free(struct maps *maps)
{
	if (!maps)
		return;
	for (size_t i = 0; i < maps->count; i++)
		g_free(maps->items[i].path);
	g_free(maps->items);
	g_free(maps);
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mapping *mapping = &maps->items[middle];
		if (address < mapping->start)
			high = middle;
		else if (address >= mapping->end)
			low = middle + 1;
		else
			return mapping;
	}
	return NULL;
}

bool mapping_is_anonymous_heap(const struct mapping *mapping)
{
	const char *path = mapping->path;

	if ((mapping->flags & (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED)) !=
		    (MAPPING_READ | MAPPING_WRITE) ||
	    mapping->inode)
		return false;
	/* prctl(PR_SET_VMA_ANON_NAME) names a piece of heap "[anon:...]"; it stays heap. */
	return *path == '\0' || strcmp(path, "[heap]") == 0 || g_str_has_prefix(path, "[anon:");
}
