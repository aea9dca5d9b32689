// SPDX-License-Identifier: GPL-2.0-or-later
/* Stacks of real interpreters, read from outside, against what the program itself says; for each
 * interpreter of the matrix. */
#include "tests/unit/python_child.h"

#include <inttypes.h>
#include <stdio.h>

#include "cpython/code.h"
#include "cpython/interpreter.h"
#include "proc/process.h"

#define SCRIPT "tests/unit/data/stacks.py"

enum { MOST_FRAMES = 256, MOST_THREADS = 16 };

static struct process *open_process(pid_t pid)
{
	g_autoptr(GError) error = NULL;
	struct process *process = process_open(pid, &error);

	if (!process)
		fail_msg("%s", error->message);
	return process;
}

static struct interpreter *discover(const struct process *process)
{
	g_autoptr(GError) error = NULL;
	struct interpreter *interpreter = interpreter_discover(process, &error);

	if (!interpreter)
		fail_msg("%s", error->message);
	return interpreter;
}

static uint64_t word(const struct memory *memory, uint64_t address)
{
	uint64_t value;

	assert_true(memory_read_u64(memory, address, &value));
	return value;
}

/* The innermost frame of the thread whose pthread_self() is @ident. */
static uint64_t innermost_frame(const struct memory *memory, const struct python_layout *layout,
				uint64_t ident)
{
	uint64_t interp, tstate, frame;
	unsigned int threads = 0;

	for (interp = word(memory, layout->interpreters_head); interp;
	     interp = word(memory, interp + layout->interp_next)) {
		for (tstate = word(memory, interp + layout->interp_tstate_head); tstate;
		     tstate = word(memory, tstate + layout->tstate_next)) {
			assert_true(threads++ < MOST_THREADS);
			if (word(memory, tstate + layout->tstate_thread_id) != ident)
				continue;
			frame = word(memory, tstate + layout->tstate_frame);
			return layout->chain == CHAIN_CFRAME
				       ? word(memory, frame + layout->cframe_current_frame)
				       : frame;
		}
	}
	fail_msg("no thread has the id %lx", ident);
	return 0;
}

/* The walk that the kernel side does, in its words. */
static unsigned int walk(const struct memory *memory, const struct python_layout *layout,
			 uint64_t frame, struct raw_frame frames[MOST_FRAMES])
{
	unsigned int count = 0;
	uint8_t window[PYLEAK_FRAME_WINDOW], owner;
	uint64_t code, instruction;
	int32_t index;

	while (frame && count < MOST_FRAMES) {
		assert_true(memory_read(memory, frame, window, sizeof(window)));
		memcpy(&frame, window + layout->frame_previous, sizeof(frame));
		memcpy(&code, window + layout->frame_code, sizeof(code));
		memcpy(&instruction, window + layout->frame_instruction, sizeof(instruction));
		memcpy(&index, window + layout->frame_instruction, sizeof(index));
		owner = window[layout->frame_owner];
		if (layout->frame_owner && owner >= layout->owner_boundary_min &&
		    owner <= layout->owner_boundary_max)
			continue;
		code &= ~(uint64_t)layout->code_tag_mask;
		frames[count].code = code;
		frames[count++].instruction = layout->instruction == INSTRUCTION_POINTER
						      ? (int64_t)(instruction - code)
						      : index;
	}
	return count;
}

/* What the program printed: "thread ID", a line per frame, "end". Compares with what is read from
 * outside. */
static unsigned int compare_stack(const struct memory *memory,
				  const struct interpreter *interpreter, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	struct raw_frame frames[MOST_FRAMES];
	unsigned int count, expected = g_strv_length(lines) - 3;
	uint64_t ident = g_ascii_strtoull(lines[0] + strlen("thread "), NULL, 10);

	count = walk(memory, &interpreter->layout,
		     innermost_frame(memory, &interpreter->layout, ident), frames);
	assert_int_equal(count, expected);
	for (unsigned int i = 0; i < count; i++) {
		struct code_object *code =
			code_object_read(memory, &interpreter->facts, frames[i].code);
		g_autofree char *found = NULL;

		assert_non_null(code);
		found = g_strdup_printf(
			"%" PRIu64 "\t%d\t%s\t%s", (uint64_t)frames[i].code,
			code_object_line(code, &interpreter->facts, frames[i].instruction),
			code->function, code->filename);
		assert_string_equal(found, lines[i + 1]);
		assert_true(code_object_is_same(memory, &interpreter->facts, frames[i].code, code));
		code_object_free(code);
	}
	return count;
}

static void check_stacks(const char *program, const char *script, const char *preload,
			 const char *version)
{
	const char *argv[] = { program, script, NULL }, *environment[] = { preload, NULL };
	struct child child = child_start(argv, environment);
	struct interpreter *interpreter = NULL;
	struct process *process = NULL;
	unsigned int stacks = 0, frames = 0;

	for (;;) {
		g_autofree char *text = child_read_until(&child, "end");

		assert_non_null(text);
		if (!process) {
			process = open_process(child.pid);
			interpreter = discover(process);
			assert_string_equal(interpreter->version, version);
			assert_int_equal(interpreter->allocator, ALLOCATOR_PYMALLOC);
			/* pyenv carries bpo-27987 back to 2.7 and 3.6, whose rows say 8 */
			assert_int_equal(interpreter->layout.pool_alignment, 16);
			if (preload)
				assert_true(interpreter->stripped && interpreter->shared);
		}
		if (strcmp(text, "done\nend\n") == 0)
			break;
		child_wait_until_it_reads(&child);
		frames += compare_stack(&process->memory.base, interpreter, text);
		stacks++;
		child_go_on(&child);
	}
	assert_true(stacks >= 45);
	assert_true(frames > 200);
	interpreter_free(interpreter);
	process_free(process);
	child_stop(&child);
}

static void stacks_match_what_the_program_sees(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);

		print_message("  %s\n", python.version);
		check_stacks(python.program, SCRIPT, NULL, python.version);
	}
}

static void stacks_match_in_stripped_shared_builds(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		g_autofree char *stripped = NULL, *preload = NULL;

		if (!python.library)
			continue;
		stripped = g_strdup_printf("%s/%s", folder, strrchr(python.library, '/') + 1);
		preload = g_strdup_printf("LD_PRELOAD=%s", stripped);
		run_command(
			(const char *[]){ "strip", "-s", "-o", stripped, python.library, NULL });
		print_message("  %s\n", python.version);
		check_stacks(python.program, SCRIPT, preload, python.version);
	}
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

static void a_script_in_a_folder_with_a_foreign_name_is_named_right(void **state)
{
	g_autofree char *folder =
		g_dir_make_tmp("pyleak-h\xc3\xa4\xc3\x9f-\xe4\xb8\xad-XXXXXX", NULL);
	g_autofree char *script = g_strdup_printf("%s/\xf0\x9f\x98\x80.py", folder);

	(void)state;
	run_command((const char *[]){ "cp", SCRIPT, script, NULL });
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);

		check_stacks(python.program, script, NULL, python.version);
	}
	run_command((const char *[]){ "rm", "-r", folder, NULL });
}

/* sys._debugmallocstats() prints them; 2.7 has no such function. */
static void pool_geometry_is_what_the_interpreter_says(void **state)
{
	static const char program[] = "import sys, os\n"
				      "sys._debugmallocstats()\n"
				      "os.write(1, b'end\\n'); os.read(0, 1)\n";

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		const struct test_python python = test_python(i);
		const char *argv[] = { python.program, "-c", program, NULL };
		unsigned int classes = 0, arena_size = 0, pool_size = 0;
		g_autofree char *text = NULL;
		struct child child;
		struct process *process;
		struct interpreter *interpreter;

		if (python.major == 2)
			continue;
		child = child_start(argv, NULL);
		text = child_read_until(&child, "end");
		assert_non_null(text);
		assert_true(strstr(text, "Small block") && strstr(text, "arenas * ") &&
			    strstr(text, "unused pools *"));
		sscanf(strstr(text, "Small block"), "Small block threshold = 512, in %u", &classes);
		sscanf(strstr(text, "arenas * "), "arenas * %u bytes/arena", &arena_size);
		sscanf(strstr(text, "unused pools *"), "unused pools * %u", &pool_size);
		process = open_process(child.pid);
		interpreter = discover(process);
		assert_int_equal(interpreter->layout.pool_alignment, 512 / classes);
		assert_int_equal(interpreter->layout.pool_size, pool_size);
		assert_int_equal(interpreter->layout.arena_size, arena_size);
		interpreter_free(interpreter);
		process_free(process);
		child_stop(&child);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_match_what_the_program_sees),
		cmocka_unit_test(stacks_match_in_stripped_shared_builds),
		cmocka_unit_test(a_script_in_a_folder_with_a_foreign_name_is_named_right),
		cmocka_unit_test(pool_geometry_is_what_the_interpreter_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
