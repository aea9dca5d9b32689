/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation sites: every copy of pymalloc's fast path in an interpreter's code. Each is a
 * conditional jump (which the kernel emulates) after P = usedpools[class] and a compare of P with
 * P->nextpool (offset 0x10), whose not-equal side takes P->freeblock (offset 8) and increments
 * P->ref.count (offset 0). Source: Objects/obmalloc.c, pymalloc_alloc(), CPython 2.7 to 3.15 (2.7
 * to 3.6: _PyObject_Alloc).
 */
#ifndef PYLEAK_CPYTHON_SITES_H
#define PYLEAK_CPYTHON_SITES_H

#include <stdint.h>
#include <glib.h>

#include "elf/image.h"

/* How a site comes by P. */
enum pool_choice {
	CHOICE_UNKNOWN,
	CHOICE_ONE, /* from one place: all that it allocates is of one size class */
	CHOICE_ANY, /* from a table, by the size that is asked for */
};

struct allocation_site {
	uint64_t offset;	 /* of the jump, bytes into the file */
	uint32_t pt_regs_offset; /* where struct pt_regs keeps P at the jump, bytes */
	enum pool_choice choice;
	int64_t place; /* of that place or table: a link-time address, or bytes into a struct */
};

/*
 * Disassembles the whole of @image, function by function. Returns a GArray of struct
 * allocation_site sorted by offset, at least one, to g_array_unref(). NULL and @error (UNSUPPORTED)
 * when none is found.
 */
GArray *allocation_sites_find(struct elf_image *image, GError **error);

/*
 * Appends the sites in the function at @range to @sites, unsorted. @range must be one of
 * elf_image_functions(): others may start amid an instruction.
 */
void allocation_sites_in_function(const struct elf_image *image, const struct elf_range *range,
				  GArray *sites);

enum { CLASS_UNKNOWN = -1 };

/*
 * Of each of the sites the one size class that it serves, or CLASS_UNKNOWN; class i is of
 * (i + 1) x alignment bytes. A hint that may be wrong: the table that most sites choose from is
 * taken to be usedpools. Returns a GArray of int, to g_array_unref().
 */
GArray *allocation_site_classes(const GArray *sites);

/*
 * The same as allocation_sites_find() through a cache on disk, one file for each build id (no build
 * id: no cache). @cache_folder NULL: /var/cache/pyleak for root, else pyleak in the user's cache
 * folder. What is read there is checked against the image's code; whatever is wrong with the cache,
 * the sites are searched for instead.
 */
GArray *allocation_sites_cached(struct elf_image *image, const char *cache_folder, GError **error);

#endif
