/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: where members of structs lie, as the debug information of a file says. Failures to
 * read it fail the test. */
#ifndef PYLEAK_TESTS_DWARF_TYPES_H
#define PYLEAK_TESTS_DWARF_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include <elfutils/libdw.h>
#include <glib.h>

enum { DWARF_ABSENT = UINT32_MAX }; /* there is no such member */

/* A file's complete types by typedef name and by struct tag. */
struct dwarf_types {
	int fd;
	Dwarf *dwarf;
	GHashTable *by_name; /* of Dwarf_Die *, of structs */
};

struct dwarf_types dwarf_types_open(const char *path);
void dwarf_types_close(struct dwarf_types *types);

/* The offset that "type.member.member" says, or sizeof for "type"; DWARF_ABSENT: none. */
uint32_t dwarf_resolve(const struct dwarf_types *types, const char *path);

/* The member @name of the struct @die, also inside anonymous members; adds its offset to @offset
 * and gives its type. */
bool dwarf_find_member(Dwarf_Die *die, const char *name, uint32_t *offset, Dwarf_Die *type);

#endif
