/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding the separate file with symbols and DWARF of a stripped one, as the target's distribution
 * installs it. Nothing is ever downloaded.
 */
#ifndef PYLEAK_ELF_DEBUG_FILE_H
#define PYLEAK_ELF_DEBUG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/*
 * Where a debug file may be, best first, as paths in the target's file system (char *, to be
 * freed): by build id, and by the name in .gnu_debuglink beside @file, in .debug there and under
 * /usr/lib/debug (the order of gdb's manual, "Separate Debug Files"). @link may be NULL, and a name
 * with a slash in it counts as none. Free with g_ptr_array_unref().
 */
GPtrArray *debug_file_candidates(const char *file, const uint8_t *build_id, size_t build_id_size,
				 const char *link);

/*
 * A private copy in memory of the regular file at @path (as pyleak can open it), which nobody can
 * cut short while it is mapped. A file descriptor to close(), or -1: no such file, no regular one,
 * or larger than @most bytes, which alone sets @size then.
 */
int debug_file_copy(const char *path, uint64_t most, uint64_t *size);

#endif
