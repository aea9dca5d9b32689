/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between CPython versions, as one table with a row per minor version. Adding a
 * version is adding a row (docs/new-python.md) and a line in the test matrix. Offsets in bytes,
 * 64-bit builds without Py_TRACE_REFS. tests/unit/test_facts_dwarf.c checks rows against the debug
 * information of the interpreters at hand.
 */
#ifndef PYLEAK_CPYTHON_FACTS_H
#define PYLEAK_CPYTHON_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"

/* How a code object maps instructions to lines. */
enum line_table_kind {
	LINES_LNOTAB_UNSIGNED, /* co_lnotab, unsigned line steps: 2.7 */
	LINES_LNOTAB_SIGNED,   /* co_lnotab, signed line steps: 3.6 to 3.9 */
	LINES_LINETABLE,       /* co_linetable pairs, -128: no line: 3.10 (PEP 626) */
	LINES_LOCATIONS,       /* location table: 3.11 on */
};

struct python_facts {
	int major, minor;
	/* _PyRuntime, or 0 where it does not exist (before 3.7) */
	uint32_t runtime_interpreters_head;
	uint32_t
		runtime_allocators; /* of allocators.standard.raw; 0: statics instead, or unknown */
	uint32_t runtime_obj_arena; /* of allocators.obj_arena; 0: a static instead, or unknown */
	/*
	 * The cyclic collector: its state in _PyRuntime or in the interpreter (0: not there), and
	 * in that the switch, the first generation, the statistics; in a generation its count.
	 * All 0: unknown.
	 */
	uint32_t runtime_gc, interp_gc, gc_enabled, gc_generations, gc_count, gc_stats;
	/*
	 * The process publishes its offsets (_Py_DebugOffsets, 3.13 on). PUBLISHED_ONLY: the row
	 * has no struct offsets of its own, so a process that does not publish them is not
	 * supported.
	 */
	enum published_offsets { PUBLISHED_NOT, PUBLISHED_AS_WELL, PUBLISHED_ONLY } published;
	uint32_t interp_next, interp_tstate_head;
	uint32_t tstate_next, tstate_interp, tstate_thread_id,
		tstate_native_thread_id; /* native: 0 before 3.11 */
	uint32_t tstate_frame, cframe_current_frame;
	enum frame_chain chain;
	uint32_t frame_code, frame_previous, frame_instruction, frame_owner;
	uint32_t owner_boundary_min, owner_boundary_max;
	uint32_t frame_is_entry; /* only in 3.11; 0 elsewhere */
	uint32_t code_tag_mask;
	enum instruction_kind instruction;
	/* PyCodeObject */
	uint32_t code_filename, code_name, code_qualname /* 0: none */, code_firstlineno,
		code_linetable;
	uint32_t code_adaptive; /* of co_code_adaptive: start of the instructions; 0 where they are
				   elsewhere */
	enum line_table_kind lines;
	uint32_t instruction_unit; /* bytes an f_lasti step stands for: 1 up to 3.9, 2 in 3.10 */
	/* str and bytes */
	uint32_t unicode_length, unicode_state, unicode_ascii_data,
		unicode_compact_data; /* 0: 2.7, where str is bytes */
	/* 2.7's unicode: offsets of length and of the pointer to the text, bytes of a Py_UNICODE (2
	 * or 4); 0 elsewhere */
	uint32_t old_unicode_length, old_unicode_data, old_unicode_width;
	uint32_t bytes_size, bytes_data;
	/* types */
	uint32_t object_type, type_name, type_flags;
	/* pymalloc */
	uint32_t pool_size, pool_alignment, arena_size;
};

/* The row for a version, or NULL. 3.15 and later: NULL here, see interpreter.h for
 * _Py_DebugOffsets. */
const struct python_facts *python_facts_find(int major, int minor);
/* All rows, for tests; @count of them. */
const struct python_facts *python_facts_all(unsigned int *count);

#endif
