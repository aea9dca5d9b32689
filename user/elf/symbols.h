/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The defined symbols of one symbol table, by name. Used by elf/image.c; immutable once made, so
 * any thread may look up. */
#ifndef PYLEAK_ELF_SYMBOLS_H
#define PYLEAK_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <gelf.h>
#include <glib.h>

#include "elf/image.h"

struct symbol_index;

/*
 * Reads the first section of type @type (SHT_SYMTAB or SHT_DYNSYM). A file without one gives an
 * empty index. Functions and data only: what a symbol of a thread-local variable or an indirect
 * function (STT_GNU_IFUNC) says is not its address. Of several symbols of a name the one wins that
 * binds strongest: global, weak, an old version, local. Keeps nothing of @elf. NULL and @error
 * (FAILED) for a broken table.
 */
struct symbol_index *symbol_index_new(Elf *elf, uint32_t type, GError **error);
void symbol_index_free(struct symbol_index *index);
bool symbol_index_is_empty(const struct symbol_index *index);
bool symbol_index_find(const struct symbol_index *index, const char *name,
		       struct elf_symbol *symbol);

#endif
