// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Source: Objects/obmalloc.c and Modules/_tracemalloc.c (3.12 on: Python/tracemalloc.c). A domain's
 *table is PyMemAllocatorEx { void *ctx; malloc, calloc, realloc, free } with a NULL ctx for the
 *allocators proper. A layer over another allocator keeps what it covers behind its ctx: debug
 *hooks:  debug_alloc_api_t { char api_id ('r', 'm' or 'o'); PyMemAllocatorEx alloc; } tracemalloc:
 *PyMemAllocatorEx
 */
#include "cpython/allocators.h"

#include <string.h>

#include "cpython/loads.h"

enum {
	TABLE_SIZE = 40,       /* sizeof(PyMemAllocatorEx) */
	DEBUG_ALLOC_INNER = 8, /* offsetof(debug_alloc_api_t, alloc) */
	MOST_LAYERS = 8,
	/* 2.7's PyObject_Malloc has 500 bytes with pymalloc in it, a call of malloc has 30. */
	SMALLEST_PYMALLOC = 128,
};

struct table {
	uint64_t context, malloc, calloc, realloc, free;
};

/* The innermost allocator of a domain, and the layers above it. */
struct domain {
	uint64_t malloc; /* 0: unreadable */
	bool debug, tracemalloc, foreign;
};

static bool symbol_address(const struct runtime_view *view, const char *name, uint64_t *address)
{
	struct elf_symbol symbol;

	if (!elf_image_symbol(view->image, name, &symbol))
		return false;
	*address = symbol.address + view->load_bias;
	return true;
}

/* Code of the interpreter itself? */
static bool is_own_code(const struct runtime_view *view, uint64_t address)
{
	return elf_image_is_code(view->image, address - view->load_bias);
}

static uint64_t decode(const struct runtime_view *view, const char *function,
		       bool (*pick)(const GArray *loads, uint64_t *address))
{
	struct elf_symbol symbol;
	uint64_t address = 0;
	GArray *loads;

	if (!elf_image_exports(view->image, function, &symbol))
		return 0;
	loads = function_loads(view->image, view->memory, view->load_bias, symbol.address);
	if (!pick(loads, &address))
		address = 0;
	g_array_unref(loads);
	return address;
}

void allocator_tables_decode(const struct runtime_view *view, struct allocator_tables *tables)
{
	*tables = (struct allocator_tables){
		.raw = decode(view, "PyMem_RawMalloc", loads_first_pair),
		.mem = decode(view, "PyMem_Malloc", loads_first_pair),
		.obj = decode(view, "PyObject_Malloc", loads_first_pair),
		.arena = decode(view, "PyObject_GetArenaAllocator", loads_first_triple),
	};
}

void allocator_tables_find(const struct runtime_view *view, struct allocator_tables *tables)
{
	const struct python_facts *facts = view->facts;

	*tables = (struct allocator_tables){ 0 };
	if (facts->major < 3)
		return;
	if (view->runtime && facts->runtime_allocators) {
		tables->raw = view->runtime + facts->runtime_allocators;
		tables->mem = tables->raw + TABLE_SIZE;
		tables->obj = tables->mem + TABLE_SIZE;
		tables->arena = view->runtime + facts->runtime_obj_arena;
		return;
	}
	/* In link-time optimised builds the statics have no symbols of these names even where there
	 * is a .symtab. */
	if (!symbol_address(view, "_PyMem_Raw", &tables->raw) ||
	    !symbol_address(view, "_PyMem", &tables->mem) ||
	    !symbol_address(view, "_PyObject", &tables->obj) ||
	    !symbol_address(view, "_PyObject_Arena", &tables->arena))
		allocator_tables_decode(view, tables);
}

/* Follows the layers of the domain whose table is at @address down to the allocator proper. */
static struct domain domain_read(const struct runtime_view *view, uint64_t address)
{
	struct domain domain = { 0 };
	struct table table;
	uint64_t first_word;

	for (unsigned int layer = 0; layer < MOST_LAYERS; layer++) {
		if (!address || !memory_read(view->memory, address, &table, sizeof(table)))
			break;
		if (!is_own_code(view, table.malloc)) {
			domain.foreign = true;
			break;
		}
		if (!table.context) {
			domain.malloc = table.malloc;
			break;
		}
		if (!memory_read_u64(view->memory, table.context, &first_word))
			break;
		/* No address is that low, so an api_id cannot be taken for a table's ctx. */
		if (first_word == 'r' || first_word == 'm' || first_word == 'o') {
			domain.debug = true;
			address = table.context + DEBUG_ALLOC_INNER;
		} else {
			domain.tracemalloc = true;
			address = table.context;
		}
	}
	return domain;
}

static enum object_allocator judge(const struct runtime_view *view, const struct domain *raw,
				   const struct domain *mem, const struct domain *obj)
{
	if (obj->foreign)
		return ALLOCATOR_OTHER;
	if (!obj->malloc)
		return ALLOCATOR_UNKNOWN;
	/* PYTHONMALLOC=malloc gives all domains _PyMem_RawMalloc, which the raw domain always has.
	 */
	if (obj->malloc == raw->malloc)
		return obj->debug ? ALLOCATOR_MALLOC_DEBUG : ALLOCATOR_MALLOC;
	/*
	 * pymalloc serves mem and obj by one function (PYMEM_ALLOC and PYOBJ_ALLOC), mimalloc by
	 * two: MIMALLOC_ALLOC and MIMALLOC_OBJALLOC, Objects/obmalloc.c of 3.13.
	 */
	if (view->facts->minor >= 13 && mem->malloc && mem->malloc != obj->malloc)
		return ALLOCATOR_MIMALLOC;
	return obj->debug ? ALLOCATOR_PYMALLOC_DEBUG : ALLOCATOR_PYMALLOC;
}

/* 2.7 has no tables: pymalloc is PyObject_Malloc or is not there, and maps its arenas in new_arena,
 * often inlined. */
static void read_python2(const struct runtime_view *view, struct allocator_state *state)
{
	struct elf_symbol symbol;

	if (!elf_image_exports(view->image, "PyObject_Malloc", &symbol))
		return;
	if (symbol.size < SMALLEST_PYMALLOC) {
		state->allocator = ALLOCATOR_MALLOC;
		return;
	}
	state->allocator = ALLOCATOR_PYMALLOC;
	if (!symbol_address(view, "new_arena", &state->arena_alloc))
		state->arena_alloc = symbol.address + view->load_bias;
}

void allocators_read(const struct runtime_view *view, bool initialised,
		     struct allocator_state *state)
{
	struct allocator_tables tables;
	struct domain raw, mem, obj;
	uint64_t arena_alloc;

	*state = (struct allocator_state){ .allocator = ALLOCATOR_UNKNOWN };
	if (view->facts->major < 3) {
		read_python2(view, state);
		return;
	}
	allocator_tables_find(view, &tables);
	/* { void *ctx; alloc, free } */
	if (tables.arena &&
	    memory_read_u64(view->memory, tables.arena + sizeof(uint64_t), &arena_alloc) &&
	    is_own_code(view, arena_alloc))
		state->arena_alloc = arena_alloc;
	if (!initialised)
		return;
	raw = domain_read(view, tables.raw);
	mem = domain_read(view, tables.mem);
	obj = domain_read(view, tables.obj);
	state->allocator = judge(view, &raw, &mem, &obj);
	state->tracemalloc = obj.tracemalloc;
}
