/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mappings of a process, from /proc/PID/maps. */
#ifndef PYLEAK_PROC_MAPS_H
#define PYLEAK_PROC_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

enum { MAPPING_READ = 1, MAPPING_WRITE = 2, MAPPING_EXEC = 4, MAPPING_SHARED = 8 };

struct mapping {
	uint64_t start, end; /* [start, end) in the target's address space */
	uint64_t offset;     /* bytes into the file */
	uint64_t inode;	     /* 0: anonymous */
	uint32_t device_major, device_minor;
	uint32_t flags; /* MAPPING_* */
	bool deleted;	/* the file's name is gone (upgraded or unlinked) */
	char *path; /* as the target sees it, " (deleted)" removed; "[heap]" and such kept; "" if
		       none */
};

/* An ordered, immutable list of mappings. */
struct maps {
	struct mapping *items;
	size_t count;
};

/* Parses the text of a maps file. Malformed lines are skipped. Free with maps_free(). */
struct maps *maps_parse(const char *text);
/* Reads /proc/PID/maps. NULL and @error (NO_TARGET when the process is gone, UNSUPPORTED when not
 * permitted). */
struct maps *maps_read(pid_t pid, GError **error);
void maps_free(struct maps *maps);

/* The mapping that holds @address, or NULL. Binary search. */
const struct mapping *maps_find(const struct maps *maps, uint64_t address);
/* Anonymous, private, readable and writable: where heaps live ("[heap]" counts, "[stack]" does
 * not). */
bool mapping_is_anonymous_heap(const struct mapping *mapping);

#endif
