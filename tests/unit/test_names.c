// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of stacks whose code objects live, die and give way to others. The target is this process,
 * with made-up objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cpython/objects.h"
#include "symbolize/names.h"

enum { HEAP_SIZE = 1 << 16 };

struct heap {
	struct process *process;
	struct interpreter interpreter;
	struct names *names;
	uint64_t code_type, text_type, bytes_type, table;
	size_t used;
	_Alignas(16) uint8_t bytes[HEAP_SIZE];
};

static uint64_t allocate(struct heap *heap, size_t length)
{
	uint64_t address = (uintptr_t)heap->bytes + heap->used;

	heap->used += (length + 15) / 16 * 16;
	assert_true(heap->used <= HEAP_SIZE);
	return address;
}

static void put(uint64_t address, const void *bytes, size_t length)
{
	memcpy((void *)(uintptr_t)address, bytes, length);
}

static void put_word(uint64_t address, uint64_t word)
{
	put(address, &word, sizeof(word));
}

static uint64_t make_type(struct heap *heap, const char *name, uint64_t flags)
{
	const struct python_facts *facts = &heap->interpreter.facts;
	uint64_t type = allocate(heap, 512), text = allocate(heap, strlen(name) + 1);

	put(text, name, strlen(name) + 1);
	put_word(type + facts->type_name, text);
	put_word(type + facts->type_flags, flags);
	return type;
}

static uint64_t make_text(struct heap *heap, const char *text)
{
	const struct python_facts *facts = &heap->interpreter.facts;
	uint64_t object = allocate(heap, facts->unicode_ascii_data + strlen(text) + 1);
	uint32_t state = 1 << 2 | 1U << 5 | 1U << 6; /* one byte a character, compact, ASCII */

	put_word(object + facts->object_type, heap->text_type);
	put_word(object + facts->unicode_length, strlen(text));
	put(object + facts->unicode_state, &state, sizeof(state));
	put(object + facts->unicode_ascii_data, text, strlen(text));
	return object;
}

static void put_code(struct heap *heap, uint64_t code, uint64_t file, uint64_t name, int32_t line)
{
	const struct python_facts *facts = &heap->interpreter.facts;

	put_word(code + facts->object_type, heap->code_type);
	put_word(code + facts->code_filename, file);
	put_word(code + (facts->code_qualname ? facts->code_qualname : facts->code_name), name);
	put_word(code + facts->code_linetable, heap->table);
	put(code + facts->code_firstlineno, &line, sizeof(line));
}

static struct raw_frame frame_of(const struct heap *heap, uint64_t code)
{
	const struct python_facts *facts = &heap->interpreter.facts;
	struct raw_frame frame = { .code = code };

	memcpy(&frame.filename, (void *)(uintptr_t)(code + facts->code_filename), 8);
	memcpy(&frame.name,
	       (void *)(uintptr_t)(code + (facts->code_qualname ? facts->code_qualname
								: facts->code_name)),
	       8);
	return frame;
}

static uint64_t make_code(struct heap *heap, const char *file, const char *name, int32_t line)
{
	uint64_t code = allocate(heap, 256);

	put_code(heap, code, make_text(heap, file), make_text(heap, name), line);
	return code;
}

static int set_up(void **state)
{
	struct heap *heap = g_new0(struct heap, 1);

	heap->interpreter.facts = *python_facts_find(3, 12);
	heap->process = process_open(getpid(), NULL);
	assert_non_null(heap->process);
	heap->code_type = make_type(heap, "code", 0);
	heap->text_type = make_type(heap, "str", TYPE_FLAG_UNICODE);
	heap->bytes_type = make_type(heap, "bytes", TYPE_FLAG_BYTES);
	heap->table = allocate(heap, 64);
	put_word(heap->table + heap->interpreter.facts.object_type, heap->bytes_type);
	heap->names = names_new(heap->process, &heap->interpreter);
	*state = heap;
	return 0;
}

static int tear_down(void **state)
{
	struct heap *heap = *state;

	names_free(heap->names);
	process_free(heap->process);
	g_free(heap);
	return 0;
}

static uint32_t add(struct heap *heap, uint32_t context, const struct raw_frame *frames,
		    uint16_t count)
{
	const struct context_event event = { .context = context, .count = count };

	return names_add(heap->names, &event, frames).unnamed;
}

static void assert_frame(const struct heap *heap, uint32_t context, uint32_t index,
			 const char *file, const char *function, int line)
{
	const struct stack *stack = names_stack(heap->names, context);

	assert_non_null(stack);
	assert_true(index < stack->count);
	assert_int_equal(stack->frames[index].kind, FRAME_PYTHON);
	assert_string_equal(stack->frames[index].file, file);
	assert_string_equal(stack->frames[index].function, function);
	assert_int_equal(stack->frames[index].line, line);
}

static void assert_forgotten(struct heap *heap, const char *expected)
{
	g_autoptr(GArray) contexts = names_forget_dead_code(heap->names);
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < contexts->len; i++)
		g_string_append_printf(text, "%s%u", i ? " " : "",
				       g_array_index(contexts, uint32_t, i));
	assert_string_equal(text->str, expected);
}

static void stacks_are_named_leaf_first(void **state)
{
	struct heap *heap = *state;
	const struct raw_frame frames[] = {
		frame_of(heap, make_code(heap, "/srv/app.py", "App.handle", 8)),
		frame_of(heap, make_code(heap, "/srv/worker.py", "run", 77)),
	};

	assert_null(names_stack(heap->names, 1));
	assert_int_equal(add(heap, 1, frames, 2), 0);
	assert_int_equal(names_stack(heap->names, 1)->count, 2);
	assert_frame(heap, 1, 0, "/srv/app.py", "App.handle", 8);
	assert_frame(heap, 1, 1, "/srv/worker.py", "run", 77);
	assert_null(names_stack(heap->names, 2));
	assert_forgotten(heap, "");
}

static void a_stack_without_frames_is_known(void **state)
{
	struct heap *heap = *state;

	assert_int_equal(add(heap, 7, NULL, 0), 0);
	assert_int_equal(names_stack(heap->names, 7)->count, 0);
}

/* Of a context a few native paths are sent: most say nothing that is not known. */
static void a_stack_that_comes_again_is_named_once(void **state)
{
	struct heap *heap = *state;
	const struct raw_frame frames[] = {
		frame_of(heap, make_code(heap, "/srv/app.py", "handle", 8)),
		frame_of(heap, make_code(heap, "/srv/other.py", "other", 9)),
	};
	struct context_event event = { .context = 1, .count = 1, .again = 1 };
	const struct stack *stack;

	/* The first time it did not arrive. */
	names_add(heap->names, &event, &frames[0]);
	assert_frame(heap, 1, 0, "/srv/app.py", "handle", 8);
	stack = names_stack(heap->names, 1);
	names_add(heap->names, &event, &frames[1]);
	assert_ptr_equal(names_stack(heap->names, 1), stack);
	/* The kernel side has begun anew. */
	event.again = 0;
	names_add(heap->names, &event, &frames[1]);
	assert_frame(heap, 1, 0, "/srv/other.py", "other", 9);
}

/* 3.12's Py_Main and such: a frame with a code object of its own (Python/pylifecycle.c). */
static void the_boundary_to_c_is_not_shown(void **state)
{
	struct heap *heap = *state;
	const struct raw_frame frames[] = {
		frame_of(heap, make_code(heap, "/srv/app.py", "handle", 8)),
		frame_of(heap, make_code(heap, "<sys>", "<interpreter trampoline>", 1)),
		frame_of(heap, make_code(heap, "/srv/app.py", "serve", 31)),
	};

	assert_int_equal(add(heap, 1, frames, 3), 0);
	assert_int_equal(names_stack(heap->names, 1)->count, 2);
	assert_frame(heap, 1, 1, "/srv/app.py", "serve", 31);
}

static void relative_files_are_absolute_where_they_are_there(void **state)
{
	struct heap *heap = *state;
	g_autofree char *folder = g_dir_make_tmp("pyleak-names-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(folder, "mine.py", NULL);
	g_autofree char *before = g_get_current_dir();
	const struct raw_frame frames[] = {
		frame_of(heap, make_code(heap, "mine.py", "here", 1)),
		frame_of(heap, make_code(heap, "no-such-file.py", "gone", 1)),
		frame_of(heap, make_code(heap, "<string>", "<module>", 1)),
	};

	assert_true(g_file_set_contents(file, "", 0, NULL));
	assert_int_equal(chdir(folder), 0);
	names_free(heap->names);
	heap->names = names_new(heap->process, &heap->interpreter);
	assert_int_equal(add(heap, 1, frames, 3), 0);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(unlink(file) | rmdir(folder), 0);
	assert_frame(heap, 1, 0, file, "here", 1);
	assert_frame(heap, 1, 1, "no-such-file.py", "gone", 1);
	assert_frame(heap, 1, 2, "<string>", "<module>", 1);
}

static void a_dead_code_object_is_named_by_its_strings(void **state)
{
	struct heap *heap = *state;
	uint64_t code = make_code(heap, "/srv/app.py", "handle", 8);
	struct raw_frame frame = frame_of(heap, code);

	memset((void *)(uintptr_t)code, 0xdb, 256);
	assert_int_equal(add(heap, 1, &frame, 1), 0);
	assert_frame(heap, 1, 0, "/srv/app.py", "handle", 0);
	frame.name = 0;
	assert_int_equal(add(heap, 2, &frame, 1), 1);
	assert_frame(heap, 2, 0, "?", "?", 0);
	frame.code = frame.filename = frame.name = UINT64_MAX - 3;
	assert_int_equal(add(heap, 3, &frame, 1), 1);
	assert_frame(heap, 3, 0, "?", "?", 0);
}

static void names_outlive_their_code(void **state)
{
	struct heap *heap = *state;
	uint64_t code = make_code(heap, "/srv/app.py", "handle", 8),
		 stays = make_code(heap, "/srv/app.py", "serve", 31);
	const struct raw_frame frames[] = { frame_of(heap, code), frame_of(heap, stays) };

	add(heap, 1, frames, 2);
	add(heap, 2, frames + 1, 1);
	put_code(heap, code, make_text(heap, "/srv/other.py"), make_text(heap, "other"), 3);
	assert_forgotten(heap, "1");
	assert_forgotten(heap, "");
	assert_frame(heap, 1, 0, "/srv/app.py", "handle", 8);
}

/* The frame says which code object it ran: not the one that has its place now. */
static void a_late_stack_is_not_given_the_names_of_the_next_code(void **state)
{
	struct heap *heap = *state;
	uint64_t code = make_code(heap, "/srv/app.py", "handle", 8);
	struct raw_frame late = frame_of(heap, code);

	put_code(heap, code, make_text(heap, "/srv/other.py"), make_text(heap, "other"), 3);
	assert_int_equal(add(heap, 1, &late, 1), 0);
	assert_frame(heap, 1, 0, "/srv/app.py", "handle", 0);
}

static void contexts_of_code_that_gave_way_are_reported(void **state)
{
	struct heap *heap = *state;
	uint64_t code = make_code(heap, "/srv/app.py", "handle", 8);
	struct raw_frame frame = frame_of(heap, code);

	add(heap, 1, &frame, 1);
	put_code(heap, code, make_text(heap, "/srv/other.py"), make_text(heap, "other"), 3);
	frame = frame_of(heap, code);
	/* The new code object is met before anybody has looked for dead ones. */
	add(heap, 2, &frame, 1);
	assert_frame(heap, 1, 0, "/srv/app.py", "handle", 8);
	assert_frame(heap, 2, 0, "/srv/other.py", "other", 3);
	assert_forgotten(heap, "1");
	assert_forgotten(heap, "");
}

static void without_an_interpreter_frames_have_no_names(void **state)
{
	struct heap *heap = *state;
	const struct raw_frame frame = frame_of(heap, make_code(heap, "/srv/app.py", "handle", 8));
	struct names *names = names_new(heap->process, NULL);
	const struct context_event event = { .context = 1, .count = 1, .truncated = 1 };

	assert_int_equal(names_add(names, &event, &frame).unnamed, 1);
	assert_string_equal(names_stack(names, 1)->frames[0].function, "?");
	assert_true(names_stack(names, 1)->truncated);
	names_free(names);
	names_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(stacks_are_named_leaf_first),
		TEST(a_stack_without_frames_is_known),
		TEST(a_stack_that_comes_again_is_named_once),
		TEST(the_boundary_to_c_is_not_shown),
		TEST(relative_files_are_absolute_where_they_are_there),
		TEST(a_dead_code_object_is_named_by_its_strings),
		TEST(names_outlive_their_code),
		TEST(a_late_stack_is_not_given_the_names_of_the_next_code),
		TEST(contexts_of_code_that_gave_way_are_reported),
		TEST(without_an_interpreter_frames_have_no_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
