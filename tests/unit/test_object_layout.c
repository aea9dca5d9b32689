// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of object layouts against the debug information of the interpreters at hand. Not
 * checkable so: flags and kinds, which are behaviour; test_block_class.c checks them by their
 * effect. The rows 3.14 and 3.15: no interpreter with debug information at hand.
 */
#include "tests/unit/dwarf_types.h"
#include "tests/unit/python_child.h"

#include "cpython/dict.h"
#include "cpython/object_layout.h"

static void assert_offset(const struct dwarf_types *types, const char *path, uint32_t expected)
{
	uint32_t actual = dwarf_resolve(types, path);

	if (actual != expected)
		fail_msg("%s is %d, the debug information says %d", path, (int)expected,
			 (int)actual);
}

static void check_types(const struct dwarf_types *types)
{
	/* The count is in a union without a name from 3.12 on: it is what is left. */
	assert_offset(types, "PyObject", 16);
	assert_offset(types, "PyObject.ob_type", OBJECT_TYPE);
	assert_offset(types, "PyTypeObject.tp_name", TYPE_NAME);
	assert_offset(types, "PyTypeObject.tp_basicsize", TYPE_BASIC_SIZE);
	assert_offset(types, "PyTypeObject.tp_flags", TYPE_FLAGS);
	assert_offset(types, "PyTypeObject.tp_dict", TYPE_DICT);
	assert_true(TYPE_DICT + sizeof(void *) <= TYPE_READ);
}

static void check_heap_type(const struct dwarf_types *types, const struct object_layout *layout)
{
	assert_offset(types, "PyGC_Head", layout->gc_head);
	assert_offset(types, "PyHeapTypeObject.ht_name", layout->heap_name);
	assert_offset(types, "PyHeapTypeObject.ht_qualname",
		      layout->heap_qualname ? layout->heap_qualname : DWARF_ABSENT);
}

static void check_dict(const struct dwarf_types *types, const struct object_layout *layout)
{
	assert_offset(types,
		      layout->dict == DICT_TABLE ? "PyDictObject.ma_table" : "PyDictObject.ma_keys",
		      layout->dict_table);
	assert_offset(types, "PyDictObject.ma_values",
		      layout->dict_values ? layout->dict_values : DWARF_ABSENT);
	if (layout->dict == DICT_TABLE) {
		assert_offset(types, "PyDictObject.ma_mask", layout->dict_table - 8);
		assert_offset(types, "PyDictEntry", 24);
		assert_offset(types, "PyDictEntry.me_key", 8);
		assert_offset(types, "PyDictEntry.me_value", 16);
	}
	if (layout->dict == DICT_KEYS) {
		assert_offset(types, "_dictkeysobject.dk_size", 8);
		assert_offset(types, "_dictkeysobject.dk_lookup", 16);
		assert_offset(types, "_dictkeysobject.dk_usable", 24);
		assert_offset(types, "_dictkeysobject.dk_nentries", 32);
		assert_offset(types, "_dictkeysobject.dk_indices", 40);
		assert_offset(types, "PyDictKeyEntry", 24);
	}
	if (layout->dict == DICT_KEYS_LOG2) {
		assert_offset(types, "_dictkeysobject.dk_log2_size", 8);
		assert_offset(types, "_dictkeysobject.dk_log2_index_bytes", 9);
		assert_offset(types, "_dictkeysobject.dk_kind", 10);
		assert_offset(types, "_dictkeysobject.dk_usable", 16);
		assert_offset(types, "_dictkeysobject.dk_nentries", 24);
		assert_offset(types, "_dictkeysobject.dk_indices", 32);
		assert_offset(types, "PyDictUnicodeEntry", 16);
		assert_offset(types, "PyDictKeyEntry", 24);
	}
	if (layout->values == VALUES_HEADER) {
		assert_offset(types, "_dictvalues.capacity", 0);
		assert_offset(types, "_dictvalues.size", 1);
		assert_offset(types, "_dictvalues.embedded", 2);
		assert_offset(types, "_dictvalues.valid", 3);
		assert_offset(types, "_dictvalues.values", 8);
	}
}

static void check_collections(const struct dwarf_types *types, const struct object_layout *layout)
{
	assert_offset(types, "setentry.key", layout->set_hash_first ? 8 : 0);
	assert_offset(types, "setentry", 16);
	if (layout->major == 3) {
		assert_offset(types, "BLOCK", layout->deque_block);
		assert_offset(types, "BLOCK.data", layout->deque_data);
		assert_offset(types, "_odictnode.hash", 8);
		assert_offset(types, "_odictnode.next", 16);
		assert_offset(types, "_odictnode.prev", 24);
	} else {
		assert_offset(types, "PyInstanceObject.in_class", 16);
		assert_offset(types, "PyClassObject.cl_dict", 24);
		assert_offset(types, "PyClassObject.cl_name", 32);
	}
}

/* 2.7 has its deque in a library of its own. */
static void check_old_deque(const struct test_python *python, const struct object_layout *layout)
{
	g_autofree char *folder = g_path_get_dirname(python->library);
	g_autofree char *path =
		g_build_filename(folder, "python2.7", "lib-dynload", "_collections.so", NULL);
	struct dwarf_types types = dwarf_types_open(path);

	assert_offset(&types, "BLOCK", layout->deque_block);
	assert_offset(&types, "BLOCK.data", layout->deque_data);
	dwarf_types_close(&types);
}

static void layouts_agree_with_the_debug_information(void **state)
{
	unsigned int checked = 0;

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const struct object_layout *layout = object_layout_find(python.major, python.minor);
		struct dwarf_types types;

		if (!python.library) /* Debian's: stripped, the row of 3.11 is checked */
			continue;
		print_message("  %s\n", python.version);
		assert_non_null(layout);
		types = dwarf_types_open(python.library);
		check_types(&types);
		check_heap_type(&types, layout);
		check_dict(&types, layout);
		check_collections(&types, layout);
		if (python.major == 2)
			check_old_deque(&python, layout);
		dwarf_types_close(&types);
		checked++;
	}
	assert_int_equal(checked, 9);
}

static void versions_without_a_row_are_not_known(void **state)
{
	(void)state;
	assert_null(object_layout_find(3, 99));
	assert_int_equal(object_layout_find(3, 13)->minor, 13);
	assert_null(object_layout_find(3, 5));
	assert_null(object_layout_find(4, 0));
	assert_null(object_layout_find(2, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts_agree_with_the_debug_information),
		cmocka_unit_test(versions_without_a_row_are_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
