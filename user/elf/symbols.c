// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/symbols.h"

#include "base/error.h"

/* Far above any interpreter or allocator (libpython with DWARF: 15,000); keeps a hostile file from
 * costing gigabytes. */
enum { MAX_SYMBOLS = 1 << 21 };
/* gABI, GNU extension: the symbol is of an old version, not the one new programs bind to. */
enum { VERSYM_HIDDEN = 0x8000 };

struct entry {
	struct elf_symbol symbol;
	unsigned int rank;
};

struct symbol_index {
	char *strings;
	GArray *entries;     /* of struct entry */
	GHashTable *by_name; /* name in strings -> 1 + index in entries */
};

enum rank { RANK_NONE, RANK_LOCAL, RANK_OLD_VERSION, RANK_WEAK, RANK_GLOBAL };

static enum rank rank_of(const Elf64_Sym *symbol, uint16_t version)
{
	unsigned int type = ELF64_ST_TYPE(symbol->st_info);

	if (type != STT_NOTYPE && type != STT_FUNC && type != STT_OBJECT)
		return RANK_NONE;
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS ||
	    symbol->st_shndx == SHN_COMMON)
		return RANK_NONE;
	switch (ELF64_ST_BIND(symbol->st_info)) {
	case STB_LOCAL:
		return RANK_LOCAL;
	case STB_WEAK:
		return version & VERSYM_HIDDEN ? RANK_OLD_VERSION : RANK_WEAK;
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		return version & VERSYM_HIDDEN ? RANK_OLD_VERSION : RANK_GLOBAL;
	default:
		return RANK_NONE;
	}
}

static void add_symbol(struct symbol_index *index, const Elf64_Sym *symbol, uint16_t version)
{
	struct entry entry = {
		.symbol = { .address = symbol->st_value, .size = symbol->st_size },
		.rank = rank_of(symbol, version),
	};
	char *name = index->strings + symbol->st_name;

	if (entry.rank == RANK_NONE || *name == '\0')
		return;
	guint known = GPOINTER_TO_UINT(g_hash_table_lookup(index->by_name, name));
	if (known) {
		struct entry *old = &g_array_index(index->entries, struct entry, known - 1);
		if (entry.rank > old->rank)
			*old = entry;
		return;
	}
	g_array_append_val(index->entries, entry);
	g_hash_table_insert(index->by_name, name, GUINT_TO_POINTER(index->entries->len));
}

static Elf_Scn *find_section(Elf *elf, uint32_t type, Elf64_Shdr **header)
{
	for (Elf_Scn *section = elf_nextscn(elf, NULL); section;
	     section = elf_nextscn(elf, section)) {
		*header = elf64_getshdr(section);
		if (*header && (*header)->sh_type == type)
			return section;
	}
	return NULL;
}

/* The versions of .dynsym's symbols, one each, or NULL. */
static const uint16_t *symbol_versions(Elf *elf, Elf_Scn *symbols, size_t count)
{
	Elf64_Shdr *header;
	Elf_Scn *section = find_section(elf, SHT_GNU_versym, &header);

	if (!section || header->sh_link != elf_ndxscn(symbols))
		return NULL;
	Elf_Data *data = elf_getdata(section, NULL);
	return data && data->d_buf && data->d_size / sizeof(uint16_t) >= count ? data->d_buf : NULL;
}

static void broken(GError **error, const char *what)
{
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "%s: the ELF file is damaged", what);
}

struct symbol_index *symbol_index_new(Elf *elf, uint32_t type, GError **error)
{
	struct symbol_index *index = g_new0(struct symbol_index, 1);
	Elf64_Shdr *header;
	Elf_Scn *section = find_section(elf, type, &header);

	index->entries = g_array_new(false, false, sizeof(struct entry));
	index->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	if (!section || header->sh_type != type || header->sh_size == 0)
		return index;

	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *string_section = elf_getscn(elf, header->sh_link);
	Elf_Data *strings = string_section ? elf_getdata(string_section, NULL) : NULL;
	if (!data || !data->d_buf || data->d_type != ELF_T_SYM || !strings || !strings->d_buf ||
	    strings->d_size == 0) {
		symbol_index_free(index);
		broken(error, "cannot read the symbol table");
		return NULL;
	}
	size_t count = data->d_size / sizeof(Elf64_Sym);
	if (count > MAX_SYMBOLS) {
		symbol_index_free(index);
		broken(error, "the symbol table has too many symbols");
		return NULL;
	}
	/* Ends in a NUL of our own, so that every name within the table is a string. */
	index->strings = g_malloc(strings->d_size + 1);
	memcpy(index->strings, strings->d_buf, strings->d_size);
	index->strings[strings->d_size] = '\0';

	const uint16_t *versions = type == SHT_DYNSYM ? symbol_versions(elf, section, count) : NULL;
	for (size_t i = 0; i < count; i++) {
		const Elf64_Sym *symbol = (const Elf64_Sym *)data->d_buf + i;
		if (symbol->st_name < strings->d_size)
			add_symbol(index, symbol, versions ? versions[i] : 0);
	}
	return index;
}

void symbol_index_free(struct symbol_index *index)
{
	if (!index)
		return;
	g_hash_table_unref(index->by_name);
	g_array_unref(index->entries);
	g_free(index->strings);
	g_free(index);
}

bool symbol_index_is_empty(const struct symbol_index *index)
{
	return index->entries->len == 0;
}

bool symbol_index_find(const struct symbol_index *index, const char *name,
		       struct elf_symbol *symbol)
{
	guint known = GPOINTER_TO_UINT(g_hash_table_lookup(index->by_name, name));

	if (!known)
		return false;
	*symbol = g_array_index(index->entries, struct entry, known - 1).symbol;
	return true;
}
