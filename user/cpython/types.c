// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sources: Objects/typeobject.c, type_module() and type_qualname(): a heap type's module is
 * tp_dict["__module__"], its name ht_qualname; a static type's tp_name holds both.
 */
#include "cpython/types.h"

#include <string.h>
#include <glib.h>

#include "cpython/code.h"
#include "cpython/dict.h"

enum {
	LOWEST_ADDRESS = 4096,
	MOST_NAME = 256,	/* bytes of a type's name, and of its module's */
	MOST_TYPES = 16384,	/* remembered from look to look */
	MOST_ADDRESSES = 65536, /* remembered in a look, types or not */
	MOST_METATYPES = 8,	/* from a type to the type of all types */
	MOST_BASIC_SIZE = 1 << 20,
	PREHEADER = 16,
};
#define HIGHEST_ADDRESS (1ULL << 47)
/* More references than memory has room for. */
#define MOST_REFERENCES (1ULL << 36)

struct known_type {
	uint64_t address;
	bool is_type;
	uint32_t look; /* in which it was looked at last */
	/* The words that tell it from another type at its address. */
	uint64_t metatype, name_address, qualname_address;
	struct type type;
	char *name; /* owned */
};

struct types {
	const struct memory *memory;
	const struct python_facts *facts;
	const struct object_layout *layout;
	GHashTable *known; /* struct known_type by address, in it */
	GHashTable *classic;
	uint32_t look;
};

static void free_known(void *data)
{
	struct known_type *known = data;

	g_free(known->name);
	g_free(known);
}

struct types *types_new(const struct memory *memory, const struct python_facts *facts,
			const struct object_layout *layout)
{
	struct types *types = g_new0(struct types, 1);

	types->memory = memory;
	types->facts = facts;
	types->layout = layout;
	types->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_known);
	types->classic = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	return types;
}

void types_free(struct types *types)
{
	if (!types)
		return;
	g_hash_table_unref(types->known);
	g_hash_table_unref(types->classic);
	g_free(types);
}

static gboolean is_no_type(void *key, void *value, void *data)
{
	const struct known_type *known = value;

	(void)key;
	(void)data;
	return !known->is_type;
}

void types_begin_look(struct types *types)
{
	types->look++;
	/* What was no type may be one by now. */
	g_hash_table_foreach_remove(types->known, is_no_type, NULL);
	g_hash_table_remove_all(types->classic);
	if (g_hash_table_size(types->known) > MOST_TYPES)
		g_hash_table_remove_all(types->known);
}

bool types_is_refcount(const struct types *types, uint64_t word)
{
	if (types->layout->narrow_refcount)
		return (uint32_t)word != 0;
	return word && word < MOST_REFERENCES;
}

static bool is_address(uint64_t word)
{
	return word >= LOWEST_ADDRESS && word < HIGHEST_ADDRESS && word % 8 == 0;
}

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

/* Whether the type of the type at @metatype, and so on, ends at a type that is its own: `type`. */
static bool leads_to_type(const struct types *types, uint64_t metatype)
{
	for (int i = 0; i < MOST_METATYPES; i++) {
		uint64_t next, flags;

		if (!is_address(metatype) ||
		    !memory_read_u64(types->memory, metatype + TYPE_FLAGS, &flags) ||
		    !(flags & TYPE_FLAG_TYPE) ||
		    !memory_read_u64(types->memory, metatype + OBJECT_TYPE, &next))
			return false;
		if (next == metatype)
			return true;
		metatype = next;
	}
	return false;
}

/* Printable and dotted: what people and C programmers call types. */
static bool is_name(const char *name)
{
	if (!*name || !g_utf8_validate(name, -1, NULL))
		return false;
	for (; *name; name = g_utf8_next_char(name))
		if (!g_unichar_isprint(g_utf8_get_char(name)))
			return false;
	return true;
}

static char *read_text(const struct types *types, uint64_t address)
{
	g_autofree char *text = NULL;

	if (is_address(address))
		text = python_string_read(types->memory, types->facts, address, MOST_NAME);
	return text && is_name(text) ? g_steal_pointer(&text) : NULL;
}

/* What dict["__module__"] says, or NULL. */
static char *read_module(const struct types *types, uint64_t dict)
{
	uint64_t module;

	if (!is_address(dict) ||
	    !dict_find(types->memory, types->facts, types->layout, dict, "__module__", &module))
		return NULL;
	return read_text(types, module);
}

static char *join(const char *module, const char *name)
{
	if (!module || !strcmp(module, "builtins") || !strcmp(module, "__builtin__"))
		return g_strdup(name);
	return g_strdup_printf("%s.%s", module, name);
}

static char *read_heap_name(const struct types *types, uint64_t qualname, uint64_t dict)
{
	g_autofree char *name = read_text(types, qualname);
	g_autofree char *module = NULL;

	if (!name)
		return NULL;
	module = read_module(types, dict);
	return join(module, name);
}

static char *read_name(const struct types *types, const struct known_type *known, uint64_t dict)
{
	g_autofree char *name = NULL;

	if (known->type.flags & TYPE_FLAG_HEAP)
		name = read_heap_name(types, known->qualname_address, dict);
	if (!name)
		name = memory_read_string(types->memory, known->name_address, MOST_NAME);
	return name && is_name(name) ? g_steal_pointer(&name) : NULL;
}

/* Bytes before an object: _PyType_PreHeaderSize(), Include/internal/pycore_object.h. */
static uint32_t head_of(const struct object_layout *layout, uint64_t flags)
{
	return (flags & TYPE_FLAG_GC ? layout->gc_head : 0) +
	       (flags & layout->preheader_flags ? PREHEADER : 0);
}

/* Takes the members of what may be a type. False where they make no sense as one. */
static bool take_members(const struct types *types, const uint8_t *bytes, struct known_type *known)
{
	known->metatype = word_at(bytes, OBJECT_TYPE);
	known->name_address = word_at(bytes, TYPE_NAME);
	known->type.flags = word_at(bytes, TYPE_FLAGS);
	known->type.basic_size = word_at(bytes, TYPE_BASIC_SIZE);
	known->type.head = head_of(types->layout, known->type.flags);
	return types_is_refcount(types, word_at(bytes, OBJECT_REFCOUNT)) &&
	       is_address(known->metatype) && known->name_address >= LOWEST_ADDRESS &&
	       known->name_address < HIGHEST_ADDRESS && known->type.basic_size >= 16 &&
	       known->type.basic_size <= MOST_BASIC_SIZE;
}

/* Where a heap type keeps its name. */
static uint64_t read_qualname(const struct types *types, const struct known_type *known)
{
	const struct object_layout *layout = types->layout;
	uint32_t offset = layout->heap_qualname ? layout->heap_qualname : layout->heap_name;
	uint64_t address;

	if (!(known->type.flags & TYPE_FLAG_HEAP) ||
	    !memory_read_u64(types->memory, known->address + offset, &address))
		return 0;
	return address;
}

/* Reads what is at @known->address. What was known of it is kept if it is the same type still. */
static void look_at(struct types *types, struct known_type *known)
{
	struct known_type before = *known;
	uint8_t bytes[TYPE_READ];

	known->look = types->look;
	known->is_type = is_address(known->address) &&
			 memory_read(types->memory, known->address, bytes, sizeof(bytes)) &&
			 take_members(types, bytes, known);
	if (!known->is_type)
		return;
	known->qualname_address = read_qualname(types, known);
	if (before.is_type && known->metatype == before.metatype &&
	    known->name_address == before.name_address &&
	    known->qualname_address == before.qualname_address)
		return;
	g_clear_pointer(&known->name, g_free);
	if (leads_to_type(types, known->metatype))
		known->name = read_name(types, known, word_at(bytes, TYPE_DICT));
	known->type.name = known->name;
	known->is_type = known->name;
}

const struct type *types_find(struct types *types, uint64_t address)
{
	struct known_type *known = g_hash_table_lookup(types->known, &address);

	if (!known) {
		if (g_hash_table_size(types->known) >= MOST_ADDRESSES)
			return NULL;
		known = g_new0(struct known_type, 1);
		known->address = address;
		known->look = types->look - 1;
		g_hash_table_insert(types->known, &known->address, known);
	}
	if (known->look != types->look)
		look_at(types, known);
	return known->is_type ? &known->type : NULL;
}

/* PyClassObject, Include/classobject.h of 2.7: cl_dict @24, cl_name @32. */
static char *read_classic(const struct types *types, uint64_t address)
{
	g_autofree char *name = NULL, *module = NULL;
	uint64_t words[5];

	if (types->layout->major != 2 || !is_address(address) ||
	    !memory_read(types->memory, address, words, sizeof(words)))
		return NULL;
	name = read_text(types, words[4]);
	if (!name)
		return NULL;
	module = read_module(types, words[3]);
	return join(module, name);
}

const char *types_find_classic(struct types *types, uint64_t address)
{
	char *name = g_hash_table_lookup(types->classic, &address);

	if (!name) {
		name = read_classic(types, address);
		if (!name)
			return NULL;
		g_hash_table_insert(types->classic, g_memdup2(&address, sizeof(address)), name);
	}
	return name;
}
