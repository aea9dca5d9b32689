// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/dwarf_types.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include <dwarf.h>

/* Follows typedefs and qualifiers. */
static bool strip_names(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	for (int tag = dwarf_tag(die); tag == DW_TAG_typedef || tag == DW_TAG_const_type;
	     tag = dwarf_tag(die))
		if (!dwarf_attr(die, DW_AT_type, &attribute) || !dwarf_formref_die(&attribute, die))
			return false;
	return true;
}

static void add_type(struct dwarf_types *types, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	int tag = dwarf_tag(die);
	Dwarf_Die type = *die;

	if (!name || (tag != DW_TAG_typedef && tag != DW_TAG_structure_type) ||
	    !strip_names(&type) || dwarf_hasattr(&type, DW_AT_declaration) ||
	    g_hash_table_contains(types->by_name, name))
		return;
	g_hash_table_insert(types->by_name, (char *)name, g_memdup2(&type, sizeof(type)));
}

struct dwarf_types dwarf_types_open(const char *path)
{
	struct dwarf_types types = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	Dwarf_Off offset = 0, next;
	Dwarf_Die unit, die;
	size_t header;

	if (types.fd < 0)
		fail_msg("%s is missing", path);
	types.dwarf = dwarf_begin(types.fd, DWARF_C_READ);
	assert_non_null(types.dwarf);
	types.by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	while (dwarf_nextcu(types.dwarf, offset, &next, &header, NULL, NULL, NULL) == 0) {
		if (dwarf_offdie(types.dwarf, offset + header, &unit) &&
		    dwarf_child(&unit, &die) == 0)
			do
				add_type(&types, &die);
			while (dwarf_siblingof(&die, &die) == 0);
		offset = next;
	}
	return types;
}

void dwarf_types_close(struct dwarf_types *types)
{
	g_hash_table_unref(types->by_name);
	dwarf_end(types->dwarf);
	close(types->fd);
}

bool dwarf_find_member(Dwarf_Die *die, const char *name, uint32_t *offset, Dwarf_Die *type)
{
	Dwarf_Attribute attribute;
	Dwarf_Word location;
	Dwarf_Die child;

	if (dwarf_child(die, &child) != 0)
		return false;
	do {
		if (dwarf_tag(&child) != DW_TAG_member ||
		    g_strcmp0(dwarf_diename(&child), name) != 0)
			continue;
		if (dwarf_formudata(dwarf_attr(&child, DW_AT_data_member_location, &attribute),
				    &location) != 0)
			return false;
		*offset += (uint32_t)location;
		return dwarf_attr(&child, DW_AT_type, &attribute) &&
		       dwarf_formref_die(&attribute, type) && strip_names(type);
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

uint32_t dwarf_resolve(const struct dwarf_types *types, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, ".", -1);
	const Dwarf_Die *found = g_hash_table_lookup(types->by_name, parts[0]);
	Dwarf_Die die;
	uint32_t offset = 0;

	if (!found)
		return DWARF_ABSENT;
	die = *found;
	if (!parts[1])
		return (uint32_t)dwarf_bytesize(&die);
	for (size_t i = 1; parts[i]; i++)
		if (!dwarf_find_member(&die, parts[i], &offset, &die))
			return DWARF_ABSENT;
	return offset;
}
