// SPDX-License-Identifier: GPL-2.0-or-later
/* Which processes are taken for CPython, and what is said of the others. Also version numbers and
 * published offsets. */
#include "tests/unit/python_child.h"

#include <stdio.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/error.h"
#include "cpython/debug_offsets.h"
#include "cpython/interpreter.h"
#include "cpython/version.h"
#include "proc/process.h"

#define PYTHON "/usr/bin/python3.11"
#define READY  "import os; os.write(1, b'end\\n'); os.read(0, 1)"

/* Starts @argv, waits for "end" (unless it is no Python), and discovers. */
static struct interpreter *discover(const char *const *argv, const char *const *environment,
				    struct child *child, struct process **process, GError **error)
{
	*child = child_start(argv, environment);
	if (argv[1] && strcmp(argv[1], "-c") == 0) {
		g_autofree char *text = child_read_until(child, "end");

		assert_non_null(text);
	} else {
		/* exec has happened once the executable is not this test's */
		g_autofree char *link = g_strdup_printf("/proc/%d/exe", child->pid);
		g_autofree char *own = g_file_read_link("/proc/self/exe", NULL);
		g_autofree char *exe = g_file_read_link(link, NULL);

		for (unsigned int i = 0; i < 10000 && g_strcmp0(exe, own) == 0; i++) {
			g_usleep(200);
			g_free(exe);
			exe = g_file_read_link(link, NULL);
		}
	}
	*process = process_open(child->pid, error);
	return *process ? interpreter_discover(*process, error) : NULL;
}

static void assert_refused(const char *const *argv, const char *const *environment,
			   enum pyleak_error code, const char *words)
{
	g_autoptr(GError) error = NULL;
	struct process *process;
	struct child child;

	assert_null(discover(argv, environment, &child, &process, &error));
	assert_int_equal(error->code, code);
	if (!strstr(error->message, words) || strchr(error->message, '\n'))
		fail_msg("%s", error->message);
	process_free(process);
	child_stop(&child);
}

static void assert_version(const char *const *argv, const char *const *environment,
			   const char *version)
{
	g_autoptr(GError) error = NULL;
	struct process *process;
	struct child child;
	struct interpreter *interpreter = discover(argv, environment, &child, &process, &error);

	if (!interpreter)
		fail_msg("%s", error->message);
	assert_string_equal(interpreter->version, version);
	assert_int_equal(interpreter->allocator, ALLOCATOR_PYMALLOC);
	interpreter_free(interpreter);
	process_free(process);
	child_stop(&child);
}

static void another_program_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused((const char *[]){ "/usr/bin/sleep", "60", NULL }, NULL,
		       PYLEAK_ERROR_NO_TARGET, "(/usr/bin/sleep) is not a Python process");
}

static char *copy_as(const char *folder, const char *name, const char *file)
{
	char *path = g_strdup_printf("%s/%s", folder, name);

	run_command((const char *[]){ "cp", file, path, NULL });
	return path;
}

static void pypy_is_refused_by_name(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *pypy = copy_as(folder, "pypy3.9", "/usr/bin/sleep");

	(void)state;
	assert_refused((const char *[]){ pypy, "60", NULL }, NULL, PYLEAK_ERROR_UNSUPPORTED,
		       "PyPy");
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

/* A real interpreter whose constant Py_Version is changed in a copy of the file. */
static void a_version_to_come_is_refused_with_its_number(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *python = copy_as(folder, "python3.11", PYTHON);
	struct elf_image *image = elf_image_open(python, NULL);
	const uint64_t future = 0x031000a1;
	struct elf_symbol symbol;
	uint64_t offset;
	FILE *file;

	(void)state;
	assert_non_null(image);
	assert_true(elf_image_exports(image, "Py_Version", &symbol));
	assert_true(elf_image_address_to_offset(image, symbol.address, &offset));
	elf_image_free(image);
	file = fopen(python, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
	assert_int_equal(fwrite(&future, sizeof(future), 1, file), 1);
	fclose(file);
	assert_refused((const char *[]){ python, "-c", READY, NULL },
		       (const char *[]){ "PYTHONHOME=/usr", NULL }, PYLEAK_ERROR_UNSUPPORTED,
		       "runs Python 3.16.0a1");
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

static void the_version_is_the_binarys_not_the_names(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *python = copy_as(folder, "python2.7", PYTHON);

	(void)state;
	assert_version((const char *[]){ python, "-c", READY, NULL },
		       (const char *[]){ "PYTHONHOME=/usr", NULL }, "3.11.2");
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

static void a_binary_that_is_deleted_under_its_process_is_read(void **state)
{
	static const char code[] = "import os, sys; os.unlink(sys.executable); "
				   "os.write(1, b'end\\n'); os.read(0, 1)";
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *python = copy_as(folder, "python3.11", PYTHON);

	(void)state;
	assert_version((const char *[]){ python, "-c", code, NULL },
		       (const char *[]){ "PYTHONHOME=/usr", NULL }, "3.11.2");
	assert_false(g_file_test(python, G_FILE_TEST_EXISTS));
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

/* Stopped at exec: the file is mapped, nothing has run. */
static void an_interpreter_that_has_not_begun_is_known_but_its_allocator_is_not(void **state)
{
	g_autoptr(GError) error = NULL;
	struct interpreter *interpreter;
	struct process *process;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(PYTHON, PYTHON, "-c", "pass", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	process = process_open(pid, &error);
	assert_non_null(process);
	interpreter = interpreter_discover(process, &error);
	if (!interpreter)
		fail_msg("%s", error->message);
	assert_string_equal(interpreter->version, "3.11.2");
	assert_false(interpreter->shared);
	assert_true(interpreter->stripped);
	assert_int_equal(interpreter->allocator, ALLOCATOR_UNKNOWN);
	assert_true(interpreter->layout.interpreters_head != 0);
	interpreter_free(interpreter);
	process_free(process);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void versions_are_parsed_strictly(void **state)
{
	static const char *const good[] = { "2.7.18", "3.13.0rc2", "3.14.0a7+", "3.6.15",
					    "3.9.0b1" };
	static const char *const bad[] = { "",
					   "3",
					   "3.11",
					   "3.11.",
					   "3.11.2x",
					   "3.11.2rc",
					   "4.0.0",
					   "%.80s (%.80s) %.80s",
					   "1.2.3",
					   "3.1111.1",
					   "3.11.2 (main, and so on)" };
	struct python_version version;

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		assert_true(python_version_parse(good[i], &version));
		assert_string_equal(version.text, good[i]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(python_version_parse(bad[i], &version));
	assert_true(python_version_from_hex(0x030d00c2, &version));
	assert_string_equal(version.text, "3.13.0rc2");
	assert_true(python_version_from_hex(0x030b07f0, &version));
	assert_string_equal(version.text, "3.11.7");
	assert_false(python_version_from_hex(0, &version));
	assert_false(python_version_from_hex(0x7f030b07f0, &version));
	assert_false(python_version_from_hex(0x030b0700, &version));
	assert_true(python_version_from_path("/x/libpython3.9.so.1.0", &version));
	assert_int_equal(version.minor, 9);
	assert_true(python_version_from_path("python2.7", &version));
	assert_false(python_version_from_path("/usr/bin/python3", &version));
	assert_false(python_version_from_path("/usr/lib/libpython3.so", &version));
}

static void every_version_is_read_from_the_file_not_from_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const char *path = python.library ? python.library : python.program;
		struct elf_image *image = elf_image_open(path, NULL);
		struct python_version version;

		assert_non_null(image);
		assert_true(python_version_detect(image, "libpython3.99.so", &version));
		assert_string_equal(version.text, python.version);
		elf_image_free(image);
	}
}

/* The block that 3.13.0 publishes, from its file. */
static void published_block(uint8_t block[DEBUG_OFFSETS_SIZE])
{
	struct elf_image *image = elf_image_open(test_python(8).library, NULL); /* 3.13 */
	const uint8_t *bytes;
	struct elf_symbol symbol;

	assert_non_null(image);
	assert_true(elf_image_exports(image, "_PyRuntime", &symbol));
	bytes = elf_image_bytes(image, symbol.address, DEBUG_OFFSETS_SIZE);
	assert_non_null(bytes);
	memcpy(block, bytes, DEBUG_OFFSETS_SIZE);
	elf_image_free(image);
}

static void published_offsets_say_what_the_row_says(void **state)
{
	const struct python_facts *row = python_facts_find(3, 13);
	struct python_facts facts = { .major = 3, .minor = 13 };
	uint8_t block[DEBUG_OFFSETS_SIZE];
	bool free_threaded = true;

	(void)state;
	published_block(block);
	assert_true(debug_offsets_apply(block, sizeof(block), &facts, &free_threaded, NULL));
	assert_false(free_threaded);
	/* What is not published comes from the row. */
	facts.runtime_allocators = row->runtime_allocators;
	facts.runtime_obj_arena = row->runtime_obj_arena;
	facts.gc_enabled = row->gc_enabled;
	facts.gc_generations = row->gc_generations;
	facts.gc_count = row->gc_count;
	facts.gc_stats = row->gc_stats;
	facts.published = row->published;
	facts.chain = row->chain;
	facts.owner_boundary_min = row->owner_boundary_min;
	facts.owner_boundary_max = row->owner_boundary_max;
	facts.instruction = row->instruction;
	facts.lines = row->lines;
	facts.instruction_unit = row->instruction_unit;
	facts.pool_size = row->pool_size;
	facts.pool_alignment = row->pool_alignment;
	facts.arena_size = row->arena_size;
	assert_memory_equal(&facts, row, sizeof(facts));
}

static void published_offsets_that_make_no_sense_are_refused(void **state)
{
	struct python_facts facts = *python_facts_find(3, 13), before = facts;
	uint8_t block[DEBUG_OFFSETS_SIZE], broken[DEBUG_OFFSETS_SIZE];
	unsigned int refused = 0;
	bool free_threaded;

	(void)state;
	published_block(block);
	for (size_t i = 0; i < DEBUG_OFFSETS_SIZE / 8; i++) {
		g_autoptr(GError) error = NULL;

		memcpy(broken, block, sizeof(block));
		memset(broken + i * 8, 0xff, 8);
		if (debug_offsets_apply(broken, sizeof(broken), &facts, &free_threaded, &error))
			continue;
		assert_int_equal(error->code, PYLEAK_ERROR_UNSUPPORTED);
		assert_memory_equal(&facts, &before, sizeof(facts));
		refused++;
	}
	/* cookie, version, 27 offsets in 9 structs */
	assert_int_equal(refused, 2 + 27 + 9);
	assert_false(debug_offsets_apply(block, 100, &facts, &free_threaded, NULL));
	facts.minor = 12;
	assert_false(debug_offsets_apply(block, sizeof(block), &facts, &free_threaded, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_program_is_refused_by_name),
		cmocka_unit_test(pypy_is_refused_by_name),
		cmocka_unit_test(a_version_to_come_is_refused_with_its_number),
		cmocka_unit_test(the_version_is_the_binarys_not_the_names),
		cmocka_unit_test(a_binary_that_is_deleted_under_its_process_is_read),
		cmocka_unit_test(
			an_interpreter_that_has_not_begun_is_known_but_its_allocator_is_not),
		cmocka_unit_test(versions_are_parsed_strictly),
		cmocka_unit_test(every_version_is_read_from_the_file_not_from_its_name),
		cmocka_unit_test(published_offsets_say_what_the_row_says),
		cmocka_unit_test(published_offsets_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
