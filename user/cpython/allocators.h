/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPython's allocator tables, read from the process: which allocator serves PyObject_Malloc, and
 * who maps its arenas. Nothing is decided by symbol names, so stripped builds are no different.
 */
#ifndef PYLEAK_CPYTHON_ALLOCATORS_H
#define PYLEAK_CPYTHON_ALLOCATORS_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "cpython/interpreter.h"
#include "elf/image.h"
#include "proc/memory.h"

/* One interpreter's file and where it is loaded: what the tables are looked for in. Borrowed
 * pointers. */
struct runtime_view {
	const struct elf_image *image;
	const struct memory *memory;
	const struct python_facts *facts;
	uint64_t load_bias;
	uint64_t runtime; /* address of _PyRuntime; 0 before 3.7 */
};

/* Addresses of the tables (PyMemAllocatorEx, PyObjectArenaAllocator) in the process; 0: not found,
 * or 2.7, which has none. */
struct allocator_tables {
	uint64_t raw, mem, obj, arena;
};
void allocator_tables_find(const struct runtime_view *view, struct allocator_tables *tables);

/* The same by decoding the exported functions that use the tables: the only way in a stripped build
 * up to 3.11. */
void allocator_tables_decode(const struct runtime_view *view, struct allocator_tables *tables);

struct allocator_state {
	enum object_allocator allocator;
	bool tracemalloc;
	uint64_t arena_alloc; /* address of the function that maps arenas; 0: unknown */
};

/*
 * What the tables say. @initialised: the interpreter is up, so that its settings stand in the
 * tables; else the allocator is ALLOCATOR_UNKNOWN.
 */
void allocators_read(const struct runtime_view *view, bool initialised,
		     struct allocator_state *state);

#endif
