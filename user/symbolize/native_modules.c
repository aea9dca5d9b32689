// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/native_modules.h"

#include <stdlib.h>
#include <string.h>
#include <elfutils/libdwfl.h>
#include <glib.h>

#include "symbolize/demangle.h"
#include "symbolize/module_file.h"

/* Files larger than this tell no source lines: their DWARF would have to be read whole. */
static const uint64_t MAX_LINES_FILE = 64 << 20;

/* [start, end) of one loaded file in the process. */
struct object {
	uint64_t start, end;
	Dwfl_Module *module;
};

struct native_modules {
	const struct process *process;
	Dwfl *dwfl;
	struct maps *maps;
	GPtrArray *files;	    /* of struct module_file *, those that are reported */
	GArray *objects;	    /* of struct object, by address */
	uint64_t *debug_bytes_left; /* borrowed */
	GHashTable *rules;	    /* pc to Dwarf_Frame *, NULL: none */
	GHashTable *names;	    /* pc and exact to struct native_name * */
};

static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	(void)module;
	(void)name;
	(void)base;
	(void)file_name;
	return module_file_open(*data, elf);
}

static int find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc,
			  char **debug_file_name)
{
	const unsigned char *id = NULL;
	GElf_Addr where;
	int size = dwfl_module_build_id(module, &id, &where);

	(void)name;
	(void)base;
	(void)file_name;
	(void)debug_file_name;
	return module_file_open_debug(*data, id, MAX(size, 0), link, crc);
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_debuginfo,
};

/* Keys of both tables are addresses; g_int64_hash() alone would fold the high half away. */
static guint hash_key(const void *key)
{
	uint64_t value = *(const uint64_t *)key * 0x9e3779b97f4a7c15ULL;

	return value >> 32;
}

static void *key_new(uint64_t key)
{
	return g_memdup2(&key, sizeof(key));
}

static void file_free(void *file)
{
	module_file_free(file);
}

struct native_modules *native_modules_new(const struct process *process, uint64_t *debug_bytes_left)
{
	struct native_modules *modules = g_new0(struct native_modules, 1);

	modules->process = process;
	modules->dwfl = dwfl_begin(&callbacks);
	modules->files = g_ptr_array_new_with_free_func(file_free);
	modules->objects = g_array_new(false, false, sizeof(struct object));
	modules->debug_bytes_left = debug_bytes_left;
	modules->rules = g_hash_table_new_full(hash_key, g_int64_equal, g_free, free);
	modules->names = g_hash_table_new_full(hash_key, g_int64_equal, g_free, g_free);
	native_modules_refresh(modules);
	return modules;
}

void native_modules_free(struct native_modules *modules)
{
	if (!modules)
		return;
	g_hash_table_unref(modules->rules);
	g_hash_table_unref(modules->names);
	dwfl_end(modules->dwfl);
	g_ptr_array_unref(modules->files);
	g_array_unref(modules->objects);
	maps_free(modules->maps);
	g_free(modules);
}

static bool is_same_mapping(const struct mapping *a, const struct mapping *b)
{
	return a->start == b->start && a->end == b->end && a->inode == b->inode &&
	       a->offset == b->offset && a->device_major == b->device_major &&
	       a->device_minor == b->device_minor;
}

static const struct mapping *next_code(const struct maps *maps, size_t *index)
{
	while (*index < maps->count) {
		const struct mapping *mapping = &maps->items[(*index)++];

		if (mapping->flags & MAPPING_EXEC)
			return mapping;
	}
	return NULL;
}

/* Whether both have the same code at the same places. */
static bool is_same_code(const struct maps *a, const struct maps *b)
{
	size_t at_a = 0, at_b = 0;

	for (;;) {
		const struct mapping *next_a = next_code(a, &at_a), *next_b = next_code(b, &at_b);

		if (!next_a || !next_b)
			return next_a == next_b;
		if (!is_same_mapping(next_a, next_b))
			return false;
	}
}

/* [first, *end) are the mappings of one loaded object, from its ELF header on. */
static bool is_object(const struct maps *maps, size_t first, size_t *end)
{
	const struct mapping *head = &maps->items[first];
	bool has_code = false;

	if (!strcmp(head->path, "[vdso]")) {
		*end = first + 1;
		return true;
	}
	for (*end = first; *end < maps->count; (*end)++) {
		const struct mapping *mapping = &maps->items[*end];

		if (mapping->inode != head->inode || mapping->device_major != head->device_major ||
		    mapping->device_minor != head->device_minor ||
		    (*end > first && !mapping->offset))
			break;
		has_code |= mapping->flags & MAPPING_EXEC;
	}
	*end = MAX(*end, first + 1);
	return head->inode && *head->path == '/' && has_code;
}

static void report_object(struct native_modules *modules, const struct mapping *first, uint64_t end)
{
	g_autofree char *name = g_strdup_printf("%s:%" G_GUINT64_FORMAT, first->path, first->inode);
	Dwfl_Module *module = dwfl_report_module(modules->dwfl, name, first->start, end);
	struct object object = { first->start, end, module };
	struct module_file *file;
	void **data;

	if (!module)
		return;
	g_array_append_val(modules->objects, object);
	dwfl_module_info(module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	if (*data)
		return;
	file = module_file_new(modules->process, first, modules->debug_bytes_left);
	g_ptr_array_add(modules->files, file);
	*data = file;
}

static int object_is_gone(Dwfl_Module *module, void *data, const char *name, Dwarf_Addr base,
			  void *context)
{
	struct native_modules *modules = context;

	(void)module;
	(void)name;
	(void)base;
	g_hash_table_remove_all(modules->rules);
	g_hash_table_remove_all(modules->names);
	/* Its ELF handle, which libdwfl still holds, keeps nothing of it. */
	if (data)
		g_ptr_array_remove_fast(modules->files, data);
	return 0;
}

void native_modules_refresh(struct native_modules *modules)
{
	struct maps *maps = maps_read(modules->process->pid, NULL);
	size_t end;

	/* A process that is gone: what is known of it stays. */
	if (!maps)
		return;
	if (modules->maps && is_same_code(maps, modules->maps)) {
		maps_free(maps);
		return;
	}
	dwfl_report_begin(modules->dwfl);
	g_array_set_size(modules->objects, 0);
	for (size_t i = 0; i < maps->count; i = end)
		if (is_object(maps, i, &end))
			report_object(modules, &maps->items[i], maps->items[end - 1].end);
	dwfl_report_end(modules->dwfl, object_is_gone, modules);
	maps_free(modules->maps);
	modules->maps = maps;
}

/* Not dwfl_addrmodule(): it takes what follows a module for a part of it. */
static Dwfl_Module *known_module(const struct native_modules *modules, uint64_t pc)
{
	guint low = 0, high = modules->objects->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const struct object *object =
			&g_array_index(modules->objects, struct object, middle);

		if (pc < object->start)
			high = middle;
		else if (pc >= object->end)
			low = middle + 1;
		else
			return object->module;
	}
	return NULL;
}

static Dwfl_Module *find_module(struct native_modules *modules, uint64_t pc)
{
	Dwfl_Module *module = known_module(modules, pc);

	if (module || (modules->maps && maps_find(modules->maps, pc)))
		return module;
	native_modules_refresh(modules);
	return known_module(modules, pc);
}

static Dwarf_Frame *find_rules(struct native_modules *modules, uint64_t pc)
{
	Dwfl_Module *module = find_module(modules, pc);
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr bias = 0;
	Dwarf_CFI *cfi;

	if (!module)
		return NULL;
	cfi = dwfl_module_eh_cfi(module, &bias);
	if (cfi && !dwarf_cfi_addrframe(cfi, pc - bias, &frame))
		return frame;
	cfi = dwfl_module_dwarf_cfi(module, &bias);
	if (cfi && !dwarf_cfi_addrframe(cfi, pc - bias, &frame))
		return frame;
	return NULL;
}

Dwarf_Frame *native_modules_rules(struct native_modules *modules, uint64_t pc)
{
	void *known;

	if (!g_hash_table_lookup_extended(modules->rules, &pc, NULL, &known)) {
		known = find_rules(modules, pc);
		g_hash_table_insert(modules->rules, key_new(pc), known);
	}
	return known;
}

/*
 * Only symbols that say that they reach to @address: in a stripped file the nearest one before it
 * is some other function's.
 */
static const char *symbol_at(Dwfl_Module *module, uint64_t address)
{
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name =
		dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);

	return name && *name && offset < symbol.st_size ? name : NULL;
}

static void find_line(Dwfl_Module *module, uint64_t address, struct native_name *name)
{
	Dwfl_Line *line = dwfl_module_getsrc(module, address);
	int number = 0;
	const char *file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;

	if (!file || number <= 0)
		return;
	name->file = g_intern_string(file);
	name->line = number;
}

static struct native_name *find_name(struct native_modules *modules, uint64_t pc, bool exact)
{
	struct native_name *name = g_new0(struct native_name, 1);
	Dwfl_Module *module = find_module(modules, pc - !exact);
	struct module_file *file;
	const char *symbol;
	GElf_Addr bias = 0;
	void **data;
	Elf *elf;

	name->module = g_intern_static_string("[anonymous]");
	name->offset = pc;
	if (!module)
		return name;
	dwfl_module_info(module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	file = *data;
	name->module = module_file_name(file);
	elf = dwfl_module_getelf(module, &bias);
	if (!elf) {
		name->offset = pc - module_file_start(file);
		return name;
	}
	name->offset = pc - bias;
	symbol = symbol_at(module, pc - !exact);
	if (symbol)
		name->function = demangle(symbol);
	if (module_file_size(file) <= MAX_LINES_FILE && module_file_has_room_for_lines(file, elf))
		find_line(module, pc - !exact, name);
	return name;
}

const struct native_name *native_modules_name(struct native_modules *modules, uint64_t pc,
					      bool exact)
{
	uint64_t key = pc << 1 | exact;
	struct native_name *name = g_hash_table_lookup(modules->names, &key);

	if (!name) {
		name = find_name(modules, pc, exact);
		g_hash_table_insert(modules->names, key_new(key), name);
	}
	return name;
}

uint32_t native_modules_without_room(const struct native_modules *modules)
{
	uint32_t count = 0;

	for (guint i = 0; i < modules->files->len; i++)
		count += module_file_lacks_room(modules->files->pdata[i]);
	return count;
}
