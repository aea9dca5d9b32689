// SPDX-License-Identifier: GPL-2.0-or-later
/* What stands behind PyObject_Malloc, in every interpreter of the matrix, with and without symbols.
 */
#include "tests/unit/python_child.h"

#include "cpython/allocators.h"
#include "cpython/interpreter.h"
#include "cpython/loads.h"
#include "proc/process.h"

#define READY	"import os; os.write(1, b'end\\n'); os.read(0, 1)"
#define STARTED "import os, tracemalloc; tracemalloc.start(); os.write(1, b'end\\n'); os.read(0, 1)"

/* An interpreter that waits, discovered. */
struct subject {
	struct child child;
	struct process *process;
	struct interpreter *interpreter;
};

static void subject_start(struct subject *subject, const char *program, const char *code,
			  const char *variable, const char *other_variable)
{
	const char *argv[] = { program, "-c", code, NULL };
	const char *environment[] = { variable ? variable : other_variable,
				      variable ? other_variable : NULL, NULL };
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	subject->child = child_start(argv, environment);
	text = child_read_until(&subject->child, "end");
	assert_non_null(text);
	subject->process = process_open(subject->child.pid, &error);
	assert_non_null(subject->process);
	subject->interpreter = interpreter_discover(subject->process, &error);
	if (!subject->interpreter)
		fail_msg("%s", error->message);
}

static void subject_stop(struct subject *subject)
{
	interpreter_free(subject->interpreter);
	process_free(subject->process);
	child_stop(&subject->child);
}

static void expect(const struct test_python *python, const char *code, const char *variable,
		   const char *preload, enum object_allocator allocator, bool tracemalloc)
{
	struct subject subject;

	subject_start(&subject, python->program, code, variable, preload);
	if (subject.interpreter->allocator != allocator)
		fail_msg("%s with %s: %s", python->version, variable ? variable : "no setting",
			 object_allocator_name(subject.interpreter->allocator));
	assert_int_equal(subject.interpreter->tracemalloc, tracemalloc);
	subject_stop(&subject);
}

/* PYTHONMALLOC is from 3.6 on. */
static void expect_all(const struct test_python *python, const char *preload)
{
	expect(python, READY, NULL, preload, ALLOCATOR_PYMALLOC, false);
	if (python->major == 2)
		return;
	expect(python, READY, "PYTHONMALLOC=pymalloc", preload, ALLOCATOR_PYMALLOC, false);
	expect(python, READY, "PYTHONMALLOC=pymalloc_debug", preload, ALLOCATOR_PYMALLOC_DEBUG,
	       false);
	/* 3.6 puts malloc under "debug": sys.getallocatedblocks() is 0 there. */
	expect(python, READY, "PYTHONMALLOC=debug", preload,
	       python->minor == 6 ? ALLOCATOR_MALLOC_DEBUG : ALLOCATOR_PYMALLOC_DEBUG, false);
	expect(python, READY, "PYTHONMALLOC=malloc", preload, ALLOCATOR_MALLOC, false);
	expect(python, READY, "PYTHONMALLOC=malloc_debug", preload, ALLOCATOR_MALLOC_DEBUG, false);
	expect(python, READY, "PYTHONTRACEMALLOC=5", preload, ALLOCATOR_PYMALLOC, true);
	expect(python, STARTED, NULL, preload, ALLOCATOR_PYMALLOC, true);
	expect(python, STARTED, "PYTHONMALLOC=pymalloc_debug", preload, ALLOCATOR_PYMALLOC_DEBUG,
	       true);
	expect(python, STARTED, "PYTHONMALLOC=malloc", preload, ALLOCATOR_MALLOC, true);
	if (python->minor >= 13)
		expect(python, READY, "PYTHONMALLOC=mimalloc", preload, ALLOCATOR_MIMALLOC, false);
}

static void every_setting_is_recognised(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);

		expect_all(&python, NULL);
	}
}

static void every_setting_is_recognised_in_stripped_shared_builds(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const char *library = python.library;
		g_autofree char *stripped = NULL, *preload = NULL;

		if (!library)
			continue;
		stripped = g_strdup_printf("%s/%s", folder, strrchr(library, '/') + 1);
		preload = g_strdup_printf("LD_PRELOAD=%s", stripped);
		run_command((const char *[]){ "strip", "-s", "-o", stripped, library, NULL });
		expect_all(&python, preload);
	}
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

static void hooks_of_another_tool_are_recognised(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *library = g_strdup_printf("%s/hook.so", folder);
	g_autofree char *code = g_strdup_printf("import ctypes, os; ctypes.PyDLL('%s').install(); "
						"os.write(1, b'end\\n'); os.read(0, 1)",
						library);

	(void)state;
	run_command((const char *[]){ "cc", "-shared", "-fPIC", "-o", library,
				      "tests/unit/data/hook.c", NULL });
	for (size_t i = 1; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);

		expect(&python, code, NULL, NULL, ALLOCATOR_OTHER, false);
	}
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

static struct runtime_view view_of(const struct subject *subject)
{
	const struct interpreter *interpreter = subject->interpreter;
	struct runtime_view view = {
		.image = interpreter->image,
		.memory = &subject->process->memory.base,
		.facts = &interpreter->facts,
		.load_bias = interpreter->load_bias,
	};
	struct elf_symbol symbol;

	if (elf_image_exports(interpreter->image, "_PyRuntime", &symbol))
		view.runtime = symbol.address + interpreter->load_bias;
	return view;
}

/* Up to 3.11 by symbols, after by offsets; decoded the same in all. */
static void decoding_finds_the_tables_that_symbols_name(void **state)
{
	(void)state;
	for (size_t i = 1; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		struct allocator_tables found, decoded;
		struct runtime_view view;
		struct subject subject;

		subject_start(&subject, python.program, READY, NULL, NULL);
		view = view_of(&subject);
		allocator_tables_find(&view, &found);
		allocator_tables_decode(&view, &decoded);
		assert_true(found.raw && found.mem && found.obj && found.arena);
		assert_int_equal(found.raw, decoded.raw);
		assert_int_equal(found.mem, decoded.mem);
		assert_int_equal(found.obj, decoded.obj);
		assert_int_equal(found.arena, decoded.arena);
		subject_stop(&subject);
	}
}

static const char *arena_function(const struct test_python *python)
{
	if (python->major == 2)
		return "PyObject_Malloc"; /* new_arena is inlined into it */
	return python->minor >= 12 ? "_PyMem_ArenaAlloc" : "_PyObject_ArenaMmap";
}

static void arenas_are_mapped_by_the_function_that_symbols_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const struct interpreter *interpreter;
		struct elf_symbol symbol;
		struct elf_range range;
		struct subject subject;
		uint64_t function;

		subject_start(&subject, python.program, READY, NULL, NULL);
		interpreter = subject.interpreter;
		function = interpreter->layout.arena_alloc - interpreter->load_bias;
		assert_true(elf_image_function_at(interpreter->image, function, &range));
		assert_int_equal(range.start, function);
		if (python.library) {
			assert_true(elf_image_symbol(interpreter->image, arena_function(&python),
						     &symbol));
			assert_int_equal(function, symbol.address);
		}
		subject_stop(&subject);
	}
}

/* 2.7 and 3.6 have no _PyRuntime; in a stripped build the accessor tells where the list begins. */
static void the_list_of_interpreters_is_decoded_like_its_symbol_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct test_python python = test_python(i);
		const struct interpreter *interpreter;
		struct elf_symbol accessor, head;
		struct subject subject;
		uint64_t address = 0;
		GArray *loads;

		subject_start(&subject, python.program, READY, NULL, NULL);
		interpreter = subject.interpreter;
		assert_true(elf_image_exports(interpreter->image, "PyInterpreterState_Head",
					      &accessor));
		assert_true(elf_image_symbol(interpreter->image, "interp_head", &head));
		loads = function_loads(interpreter->image, &subject.process->memory.base,
				       interpreter->load_bias, accessor.address);
		assert_true(loads_first_word(loads, &address));
		assert_int_equal(address, head.address + interpreter->load_bias);
		assert_int_equal(address, interpreter->layout.interpreters_head);
		g_array_unref(loads);
		subject_stop(&subject);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_setting_is_recognised),
		cmocka_unit_test(every_setting_is_recognised_in_stripped_shared_builds),
		cmocka_unit_test(hooks_of_another_tool_are_recognised),
		cmocka_unit_test(decoding_finds_the_tables_that_symbols_name),
		cmocka_unit_test(arenas_are_mapped_by_the_function_that_symbols_name),
		cmocka_unit_test(the_list_of_interpreters_is_decoded_like_its_symbol_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
