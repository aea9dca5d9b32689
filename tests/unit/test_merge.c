// SPDX-License-Identifier: GPL-2.0-or-later
/* Native and Python frames in one order. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "symbolize/merge.h"

#define LOOP "_PyEval_EvalFrameDefault"

/*
 * Native frames, leaf first, as text: "!name" is of the interpreter, "!" alone of it and without a
 * symbol, all else foreign. Frame i has [1000 + 100 i, 1100 + 100 i) of the stack.
 */
static struct native_line *natives(const char *const *names, uint32_t count)
{
	struct native_line *lines = g_new0(struct native_line, count);

	for (uint32_t i = 0; i < count; i++) {
		const char *name = names[i] + (*names[i] == '!');

		lines[i].interpreter = *names[i] == '!';
		lines[i].named = *name;
		lines[i].frame.kind = FRAME_NATIVE;
		lines[i].frame.function = *name ? name : "python+0x10";
		lines[i].sp = 1000 + 100 * i;
		lines[i].cfa = 1100 + 100 * i;
	}
	return lines;
}

static const struct frame python[] = {
	{ .function = "leaf" },
	{ .function = "middle" },
	{ .function = "root" },
};

static char *text_of(const GArray *frames)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < frames->len; i++)
		g_string_append_printf(text, "%s%s", i ? " < " : "",
				       g_array_index(frames, struct frame, i).function);
	return g_string_free(text, false);
}

static void assert_merged(const struct merge *merge, const char *expected)
{
	g_autoptr(GArray) frames = g_array_new(false, false, sizeof(struct frame));
	g_autofree char *text = NULL;

	merge_stacks(merge, frames);
	text = text_of(frames);
	assert_string_equal(text, expected);
}

#define MERGE(mode_, family_, runs_, ...)                                                          \
	const char *const names[] = { __VA_ARGS__ };                                               \
	g_autofree struct native_line *lines = natives(names, G_N_ELEMENTS(names));                \
	struct merge merge = { .mode = mode_,                                                      \
			       .family = family_,                                                  \
			       .native = lines,                                                    \
			       .native_count = G_N_ELEMENTS(names),                                \
			       .python = python,                                                   \
			       .runs = runs_,                                                      \
			       .run_count = G_N_ELEMENTS(runs_) }

/* One run of all three frames: 3.11 and later. */
static const struct python_run one_run[] = { { 3, 0 } };
/* C called in between: max(key=...). */
static const struct python_run two_runs[] = { { 1, 0 }, { 3, 0 } };

static void leaf_takes_what_is_below_the_python_frame(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "grow", "ext_new", "!cfunction_call", "!" LOOP,
	      "!Py_RunMain", "main");

	(void)state;
	assert_merged(&merge, "grow < ext_new < leaf < middle < root");
	assert_true(merge_reaches_python(&merge) && merge_is_foreign(&merge));
}

static void leaf_keeps_the_interpreters_named_functions_but_its_allocators(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "!PyMem_RawMalloc", "!", "!PyList_Append",
	      "!method_vectorcall_O", "!" LOOP);

	(void)state;
	assert_merged(&merge, "PyList_Append < leaf < middle < root");
	assert_false(merge_is_foreign(&merge));
}

static void objects_of_the_interpreter_are_told_by_the_line_alone(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_PYMALLOC, one_run, "!PyTuple_New", "!PyObject_Vectorcall",
	      "!" LOOP);

	(void)state;
	assert_merged(&merge, "leaf < middle < root");
}

static void objects_of_an_extension_are_not(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_PYMALLOC, one_run, "!", "!PyTuple_New", "row_new",
	      "!PyObject_Vectorcall", "!" LOOP);

	(void)state;
	assert_merged(&merge, "PyTuple_New < row_new < leaf < middle < root");
}

static void full_interleaves_calls_from_c(void **state)
{
	MERGE(NATIVE_FULL, FAMILY_MALLOC, two_runs, "grow", "!" LOOP, "!_PyFunction_Vectorcall",
	      "!min_max", "!cfunction_vectorcall_FASTCALL_KEYWORDS", "!" LOOP, "!PyEval_EvalCode",
	      "!Py_RunMain", "main", "_start");

	(void)state;
	assert_merged(&merge, "grow < leaf < min_max < middle < root < Py_RunMain < main < _start");
}

static void a_loop_without_a_symbol_is_told_by_its_place(void **state)
{
	static const struct python_run placed[] = { { 1, 1150 }, { 3, 1350 } };
	MERGE(NATIVE_FULL, FAMILY_MALLOC, placed, "grow", "!", "!min_max", "!", "main");

	(void)state;
	assert_merged(&merge, "grow < leaf < min_max < middle < root < main");
	merge.mode = NATIVE_LEAF;
	assert_merged(&merge, "grow < leaf < middle < root");
}

/* The place wins: a symbol's reach is the linker's word, this is the interpreter's own. */
static void a_known_place_is_believed_before_a_name(void **state)
{
	static const struct python_run placed[] = { { 3, 1250 } };
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, placed, "grow", "!" LOOP, "!", "main");

	(void)state;
	assert_merged(&merge, "grow < leaf < middle < root");
}

static void the_loop_of_2_7_has_another_name(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "grow", "!call_function", "!PyEval_EvalFrameEx",
	      "!PyEval_EvalCodeEx", "main");

	(void)state;
	assert_merged(&merge, "grow < leaf < middle < root");
	assert_true(merge_reaches_python(&merge));
}

static void what_was_not_unwound_far_enough_shows_what_there_is(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "!PyTuple_New", "grow", "ext_new", "!", "main");

	(void)state;
	assert_false(merge_reaches_python(&merge));
	assert_merged(&merge, "PyTuple_New < grow < ext_new < leaf < middle < root");
	merge.native_count = 2;
	assert_merged(&merge, "PyTuple_New < grow < leaf < middle < root");
	merge.mode = NATIVE_FULL;
	assert_merged(&merge, "PyTuple_New < grow < leaf < middle < root");
	merge.native_count = 0;
	assert_merged(&merge, "leaf < middle < root");
}

static void a_thread_without_python_has_all_its_frames(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "grow", "thread_main", "start_thread",
	      "__clone3");

	(void)state;
	merge.run_count = 0;
	assert_merged(&merge, "grow < thread_main < start_thread < __clone3");
	merge.family = FAMILY_PYMALLOC;
	assert_merged(&merge, "grow < thread_main < start_thread < __clone3");
}

static void off_has_python_only(void **state)
{
	MERGE(NATIVE_OFF, FAMILY_MALLOC, two_runs, "grow", "!" LOOP);

	(void)state;
	assert_merged(&merge, "leaf < middle < root");
}

/* A function of somebody else's that is called like one of the interpreter's is not folded away. */
static void only_the_interpreters_own_functions_are_folded(void **state)
{
	MERGE(NATIVE_LEAF, FAMILY_MALLOC, one_run, "PyMem_Malloc", "call_function", LOOP,
	      "!PyObject_Call", "!" LOOP);

	(void)state;
	assert_merged(&merge, "PyMem_Malloc < call_function < " LOOP " < leaf < middle < root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_takes_what_is_below_the_python_frame),
		cmocka_unit_test(leaf_keeps_the_interpreters_named_functions_but_its_allocators),
		cmocka_unit_test(objects_of_the_interpreter_are_told_by_the_line_alone),
		cmocka_unit_test(objects_of_an_extension_are_not),
		cmocka_unit_test(full_interleaves_calls_from_c),
		cmocka_unit_test(a_loop_without_a_symbol_is_told_by_its_place),
		cmocka_unit_test(a_known_place_is_believed_before_a_name),
		cmocka_unit_test(the_loop_of_2_7_has_another_name),
		cmocka_unit_test(what_was_not_unwound_far_enough_shows_what_there_is),
		cmocka_unit_test(a_thread_without_python_has_all_its_frames),
		cmocka_unit_test(off_has_python_only),
		cmocka_unit_test(only_the_interpreters_own_functions_are_folded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
