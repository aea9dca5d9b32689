// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every offset in the table of facts against the debug information of the interpreters at hand. Not
 * checkable so:
 * - chain, instruction, lines, instruction_unit, owner_boundary_*, code_tag_mask, published:
 * behaviour, not layout; test_interpreter.c checks them by their effect.
 * - pool_size, pool_alignment, arena_size: macros; test_interpreter.c asks the interpreters.
 * - old_unicode_width: sizeof(Py_UNICODE), checked below by its own name.
 * - the rows 3.14 and 3.15: they have no offsets of their own (PUBLISHED_ONLY); what they say of
 * frames and lines is checked on the interpreters of Debian unstable (make check-distros).
 */
#include "tests/unit/dwarf_types.h"
#include "tests/unit/python_child.h"

#include <dwarf.h>

#include "cpython/facts.h"

/* A fact and the member whose offset it is. The members of several spellings are tried in turn:
 * CPython renames. */
struct fact_check {
	const char *name;
	size_t fact; /* offset in struct python_facts */
	const char *
		members[4]; /* "type.member.member", or "type" for sizeof; types as typedef names */
};

#define CHECK(fact, ...)                                                                           \
	{                                                                                          \
#fact, offsetof(struct python_facts, fact),                                        \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct fact_check checks[] = {
	CHECK(runtime_interpreters_head, "_PyRuntimeState.interpreters.head"),
	CHECK(runtime_allocators, "_PyRuntimeState.allocators.standard.raw"),
	CHECK(runtime_obj_arena, "_PyRuntimeState.allocators.obj_arena"),
	CHECK(runtime_gc, "_PyRuntimeState.gc"),
	CHECK(interp_gc, "PyInterpreterState.gc"),
	CHECK(gc_enabled, "_gc_runtime_state.enabled"),
	CHECK(gc_generations, "_gc_runtime_state.generations"),
	CHECK(gc_count, "gc_generation.count"),
	CHECK(gc_stats, "_gc_runtime_state.generation_stats"),
	CHECK(interp_next, "PyInterpreterState.next"),
	CHECK(interp_tstate_head, "PyInterpreterState.threads.head",
	      "PyInterpreterState.tstate_head"),
	CHECK(tstate_next, "PyThreadState.next"),
	CHECK(tstate_interp, "PyThreadState.interp"),
	CHECK(tstate_thread_id, "PyThreadState.thread_id"),
	CHECK(tstate_native_thread_id, "PyThreadState.native_thread_id"),
	CHECK(cframe_current_frame, "_PyCFrame.current_frame"),
	CHECK(code_filename, "PyCodeObject.co_filename"),
	CHECK(code_name, "PyCodeObject.co_name"),
	CHECK(code_qualname, "PyCodeObject.co_qualname"),
	CHECK(code_firstlineno, "PyCodeObject.co_firstlineno"),
	CHECK(code_linetable, "PyCodeObject.co_linetable", "PyCodeObject.co_lnotab"),
	CHECK(code_adaptive, "PyCodeObject.co_code_adaptive"),
	CHECK(unicode_length, "PyASCIIObject.length"),
	CHECK(unicode_state, "PyASCIIObject.state"),
	CHECK(unicode_ascii_data, "PyASCIIObject"),
	CHECK(unicode_compact_data, "PyCompactUnicodeObject"),
	CHECK(old_unicode_length, "PyUnicodeObject.length"),
	CHECK(old_unicode_data, "PyUnicodeObject.str"),
	CHECK(bytes_size, "PyVarObject.ob_size"),
	CHECK(bytes_data, "PyBytesObject.ob_sval", "PyStringObject.ob_sval"),
	CHECK(object_type, "PyObject.ob_type"),
	CHECK(type_name, "PyTypeObject.tp_name"),
	CHECK(type_flags, "PyTypeObject.tp_flags"),
};

/* The same, for the facts whose member depends on how frames are chained. */
static const struct fact_check frame_checks[] = {
	CHECK(tstate_frame, "PyThreadState.frame"),
	CHECK(frame_code, "PyFrameObject.f_code"),
	CHECK(frame_previous, "PyFrameObject.f_back"),
	CHECK(frame_instruction, "PyFrameObject.f_lasti"),
};
static const struct fact_check cframe_checks[] = {
	CHECK(tstate_frame, "PyThreadState.cframe"),
	CHECK(frame_code, "_PyInterpreterFrame.f_code"),
	CHECK(frame_previous, "_PyInterpreterFrame.previous"),
	CHECK(frame_instruction, "_PyInterpreterFrame.prev_instr"),
};
static const struct fact_check current_checks[] = {
	CHECK(tstate_frame, "PyThreadState.current_frame"),
	CHECK(frame_code, "_PyInterpreterFrame.f_executable"),
	CHECK(frame_previous, "_PyInterpreterFrame.previous"),
	CHECK(frame_instruction, "_PyInterpreterFrame.instr_ptr"),
};

static unsigned int check_facts(const struct dwarf_types *types, const struct python_facts *facts,
				const struct fact_check *list, size_t count)
{
	unsigned int checked = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t expected = DWARF_ABSENT, actual;

		for (size_t m = 0; m < 4 && list[i].members[m] && expected == DWARF_ABSENT; m++)
			expected = dwarf_resolve(types, list[i].members[m]);
		memcpy(&actual, (const char *)facts + list[i].fact, sizeof(actual));
		checked += expected != DWARF_ABSENT;
		/* 0 says that the version has no such member. */
		if (expected == DWARF_ABSENT ? actual != 0 : actual != expected)
			fail_msg("%d.%d: %s is %u, the debug information says %d", facts->major,
				 facts->minor, list[i].name, actual, (int)expected);
	}
	return checked;
}

/* 3.11 has an owner too, but none that is a boundary, so nothing to look at. */
static const struct fact_check owner_check = CHECK(frame_owner, "_PyInterpreterFrame.owner");

static void check_frames(const struct dwarf_types *types, const struct python_facts *facts)
{
	const struct fact_check *list = facts->chain == CHAIN_FRAME    ? frame_checks
					: facts->chain == CHAIN_CFRAME ? cframe_checks
								       : current_checks;

	assert_int_equal(check_facts(types, facts, list, G_N_ELEMENTS(frame_checks)),
			 G_N_ELEMENTS(frame_checks));
	if (facts->owner_boundary_max)
		assert_int_equal(check_facts(types, facts, &owner_check, 1), 1);
	else
		assert_int_equal(facts->frame_owner, 0);
}

/* PyASCIIObject.state: the bits that objects.c takes apart. */
static void check_string_state(const struct dwarf_types *types)
{
	static const struct {
		const char *name;
		Dwarf_Word bit, size;
	} bits[] = {
		{ "interned", 0, 2 }, { "kind", 2, 3 }, { "compact", 5, 1 }, { "ascii", 6, 1 }
	};
	Dwarf_Die state = *(Dwarf_Die *)g_hash_table_lookup(types->by_name, "PyASCIIObject");
	uint32_t offset = 0;
	Dwarf_Attribute attribute;
	size_t checked = 0;
	Dwarf_Word bit;
	Dwarf_Die child;

	assert_true(dwarf_find_member(&state, "state", &offset, &state));
	assert_int_equal(dwarf_child(&state, &child), 0);
	do {
		for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
			if (g_strcmp0(dwarf_diename(&child), bits[i].name) != 0)
				continue;
			/* DWARF 5; older spellings count bits from the other end. */
			assert_int_equal(dwarf_formudata(dwarf_attr(&child, DW_AT_data_bit_offset,
								    &attribute),
							 &bit),
					 0);
			assert_int_equal(bit, bits[i].bit);
			assert_int_equal(dwarf_bitsize(&child), bits[i].size);
			checked++;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	assert_int_equal(checked, G_N_ELEMENTS(bits));
}

static void facts_agree_with_the_debug_information(void **state)
{
	unsigned int checked_rows = 0;

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const struct python_facts *facts;
		struct dwarf_types types;

		if (!python.library) /* Debian's: stripped, the row of 3.11 is checked */
			continue;
		facts = python_facts_find(python.major, python.minor);
		assert_non_null(facts);
		types = dwarf_types_open(python.library);
		/* Enough to know that the types were found: the oldest has 16 of these members. */
		assert_true(check_facts(&types, facts, checks, G_N_ELEMENTS(checks)) >= 16);
		check_frames(&types, facts);
		if (python.major == 3)
			check_string_state(&types);
		dwarf_types_close(&types);
		checked_rows++;
	}
	assert_int_equal(checked_rows, 9);
}

static void assert_window(uint32_t offset, uint32_t width, uint32_t window)
{
	assert_true(offset + width <= window);
}

/* bpf/abi.h: the kernel side reads one window each. */
static void members_lie_in_the_windows_that_are_read_at_once(void **state)
{
	unsigned int count;
	const struct python_facts *rows = python_facts_all(&count);

	(void)state;
	assert_int_equal(count, 11);
	for (unsigned int i = 0; i < count; i++) {
		assert_window(rows[i].tstate_next, 8, PYLEAK_TSTATE_WINDOW);
		assert_window(rows[i].tstate_thread_id, 8, PYLEAK_TSTATE_WINDOW);
		assert_window(rows[i].tstate_frame, 8, PYLEAK_TSTATE_WINDOW);
		assert_window(rows[i].frame_code, 8, PYLEAK_FRAME_WINDOW);
		assert_window(rows[i].frame_previous, 8, PYLEAK_FRAME_WINDOW);
		assert_window(rows[i].frame_instruction, 8, PYLEAK_FRAME_WINDOW);
		assert_window(rows[i].frame_owner, 1, PYLEAK_FRAME_WINDOW);
	}
}

static void every_version_has_one_row(void **state)
{
	unsigned int count;
	const struct python_facts *rows = python_facts_all(&count);

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		assert_ptr_equal(python_facts_find(rows[i].major, rows[i].minor), &rows[i]);
	assert_null(python_facts_find(3, 5));
	assert_null(python_facts_find(3, 16));
	assert_null(python_facts_find(4, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_agree_with_the_debug_information),
		cmocka_unit_test(members_lie_in_the_windows_that_are_read_at_once),
		cmocka_unit_test(every_version_has_one_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
