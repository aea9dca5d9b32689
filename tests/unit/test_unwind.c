// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwinding, against backtrace(3) on this process's own stack, and on stacks that are cut, damaged
 * or hostile. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <execinfo.h>
#include <unistd.h>
#include <cmocka.h>

#include "symbolize/native_modules.h"
#include "symbolize/unwind.h"

enum { MAX_FRAMES = 64, STACK_BYTES = 64 << 10 };

struct capture {
	struct native_registers registers;
	void *trace[MAX_FRAMES];
	int count;
	uint8_t *stack; /* a copy from the stack pointer on */
	size_t length;
};

static uint64_t stack_end(void)
{
	struct maps *maps = maps_read(getpid(), NULL);
	uint64_t end = maps_find(maps, (uint64_t)__builtin_frame_address(0))->end;

	maps_free(maps);
	return end;
}

/* Registers and stack as a probe in this function would find them. */
static __attribute__((noinline)) void take(struct capture *capture)
{
	struct native_registers *registers = &capture->registers;
	struct process_memory self;

	__asm__ volatile("lea 0(%%rip), %%rax\n\t"
			 "mov %%rax, 0(%0)\n\t"
			 "mov %%rsp, 8(%0)\n\t"
			 "mov %%rbp, 16(%0)\n\t"
			 "mov %%rbx, 24(%0)\n\t"
			 "mov %%r12, 32(%0)\n\t"
			 "mov %%r13, 40(%0)\n\t"
			 "mov %%r14, 48(%0)\n\t"
			 "mov %%r15, 56(%0)\n\t"
			 :
			 : "r"(registers)
			 : "rax", "memory");
	capture->length = MIN(stack_end() - registers->sp, STACK_BYTES);
	capture->stack = g_malloc(capture->length);
	/* By the kernel: the address sanitizer would object to a look at the whole stack. */
	process_memory_init(&self, getpid());
	assert_true(memory_read(&self.base, registers->sp, capture->stack, capture->length));
	capture->count = backtrace(capture->trace, MAX_FRAMES);
}

/* Some depth, by way of a library: qsort() calls us back. */
static struct capture *comparing;

static int compare(const void *a, const void *b)
{
	if (comparing)
		take(comparing);
	comparing = NULL;
	return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void take_deep(struct capture *capture)
{
	int numbers[] = { 3, 1, 2 };

	comparing = capture;
	qsort(numbers, 3, sizeof(int), compare);
	__asm__ volatile("" : : "r"(numbers) : "memory");
}

struct fixture {
	struct process *process;
	struct native_modules *modules;
	uint64_t debug_bytes;
	struct capture capture;
};

static Dwarf_Frame *rules_of(void *modules, uint64_t pc)
{
	return native_modules_rules(modules, pc);
}

static Dwarf_Frame *no_rules(void *context, uint64_t pc)
{
	(void)context;
	(void)pc;
	return NULL;
}

static int set_up(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fixture->process = process_open(getpid(), NULL);
	fixture->debug_bytes = 1 << 30;
	fixture->modules = native_modules_new(fixture->process, &fixture->debug_bytes);
	take_deep(&fixture->capture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	native_modules_free(fixture->modules);
	process_free(fixture->process);
	g_free(fixture->capture.stack);
	g_free(fixture);
	return 0;
}

static GArray *frames_of(struct fixture *fixture, size_t length, uint64_t last_holds,
			 enum unwind_end *end)
{
	GArray *frames = g_array_new(false, false, sizeof(struct native_frame));
	struct image_memory stack;
	struct unwind job = { &stack.base, rules_of, fixture->modules, last_holds };

	image_memory_init(&stack, fixture->capture.registers.sp, fixture->capture.stack, length);
	*end = unwind(&job, &fixture->capture.registers, true, frames);
	return frames;
}

static uint64_t pc_at(const GArray *frames, guint index)
{
	return g_array_index(frames, struct native_frame, index).pc;
}

static void a_copied_stack_unwinds_as_the_live_one(void **state)
{
	struct fixture *fixture = *state;
	enum unwind_end end;
	g_autoptr(GArray) frames = frames_of(fixture, fixture->capture.length, 0, &end);
	int skipped;

	assert_int_equal(end, UNWIND_COMPLETE);
	assert_true(frames->len > 6);
	/* The innermost has gone on since, and a sanitizer's backtrace() begins with itself. */
	skipped = fixture->capture.count - (int)frames->len;
	assert_in_range(skipped, 0, 1);
	for (guint i = 1; i < frames->len; i++)
		assert_int_equal(pc_at(frames, i), (uintptr_t)fixture->capture.trace[i + skipped]);
}

static void frames_cover_the_stack_without_gaps(void **state)
{
	enum unwind_end end;
	struct fixture *fixture = *state;
	g_autoptr(GArray) frames = frames_of(fixture, fixture->capture.length, 0, &end);

	for (guint i = 0; i + 1 < frames->len; i++) {
		const struct native_frame *frame = &g_array_index(frames, struct native_frame, i);

		assert_true(frame->cfa > frame->sp);
		assert_int_equal(frame[1].sp, frame->cfa);
	}
}

static void it_stops_at_the_frame_that_is_asked_for(void **state)
{
	struct fixture *fixture = *state;
	enum unwind_end end;
	g_autoptr(GArray) all = frames_of(fixture, fixture->capture.length, 0, &end);
	uint64_t inside = g_array_index(all, struct native_frame, 3).cfa - 16;
	g_autoptr(GArray) frames = frames_of(fixture, fixture->capture.length, inside, &end);

	assert_int_equal(end, UNWIND_COMPLETE);
	assert_int_equal(frames->len, 4);
}

static void a_stack_that_ends_early_is_cut(void **state)
{
	struct fixture *fixture = *state;
	enum unwind_end end;
	g_autoptr(GArray) all = frames_of(fixture, fixture->capture.length, 0, &end);
	uint64_t sp = fixture->capture.registers.sp;

	for (guint i = 0; i + 1 < all->len; i++) {
		/* The return address of frame i is the last thing that is missing. */
		uint64_t length = g_array_index(all, struct native_frame, i).cfa - 8 - sp;
		g_autoptr(GArray) frames = frames_of(fixture, length, 0, &end);

		assert_int_equal(end, UNWIND_CUT);
		assert_int_equal(frames->len, i + 1);
		assert_int_equal(pc_at(frames, i), pc_at(all, i));
	}
}

static void code_without_rules_ends_it(void **state)
{
	struct fixture *fixture = *state;
	g_autoptr(GArray) frames = g_array_new(false, false, sizeof(struct native_frame));
	struct unwind job = { &fixture->process->memory.base, no_rules, NULL, 0 };

	assert_int_equal(unwind(&job, &fixture->capture.registers, true, frames), UNWIND_NO_RULES);
	assert_int_equal(frames->len, 1);
	assert_int_equal(pc_at(frames, 0), fixture->capture.registers.ip);
}

/* Whatever is on it, unwinding ends, and no frame begins before the one it was called by. */
static void a_damaged_stack_does_no_harm(void **state)
{
	struct fixture *fixture = *state;
	GRand *random = g_rand_new_with_seed(5);
	uint8_t *stack = fixture->capture.stack;

	for (int round = 0; round < 2000; round++) {
		g_autofree uint8_t *kept = g_memdup2(stack, fixture->capture.length);
		g_autoptr(GArray) frames = NULL;
		enum unwind_end end;
		int damages = g_rand_int_range(random, 1, 60);

		for (int i = 0; i < damages; i++) {
			uint64_t at =
				g_rand_int_range(random, 0, fixture->capture.length / 8) * 8ull;
			uint64_t word =
				g_rand_boolean(random)
					? (uintptr_t)take + g_rand_int_range(random, 0, 4096)
					: fixture->capture.registers.sp +
						  g_rand_int_range(random, 0, 4096);

			memcpy(stack + at, &word, sizeof(word));
		}
		frames = frames_of(fixture, fixture->capture.length, 0, &end);
		assert_in_range(frames->len, 1, UNWIND_MAX_FRAMES);
		for (guint i = 1; i < frames->len; i++)
			assert_true(g_array_index(frames, struct native_frame, i).sp >
				    g_array_index(frames, struct native_frame, i - 1).sp);
		memcpy(stack, kept, fixture->capture.length);
	}
	g_rand_free(random);
}

static void names_are_those_of_the_functions(void **state)
{
	struct fixture *fixture = *state;
	enum unwind_end end;
	g_autoptr(GArray) frames = frames_of(fixture, fixture->capture.length, 0, &end);
	const char *expected[] = { "take", "compare" };
	bool sorted = false, deep = false;

	for (guint i = 0; i < frames->len; i++) {
		const struct native_frame *frame = &g_array_index(frames, struct native_frame, i);
		const struct native_name *name =
			native_modules_name(fixture->modules, frame->pc, frame->exact);

		if (i < G_N_ELEMENTS(expected)) {
			assert_string_equal(name->function, expected[i]);
			assert_string_equal(name->module, "test_unwind");
			assert_true(name->line > 0 &&
				    g_str_has_suffix(name->file, "test_unwind.c"));
		}
		sorted |= !g_strcmp0(name->module, "libc.so.6");
		deep |= !g_strcmp0(name->function, "take_deep");
	}
	assert_true(sorted && deep);
}

static void no_code_has_no_name_and_no_rules(void **state)
{
	struct fixture *fixture = *state;
	const struct native_name *name = native_modules_name(fixture->modules, 4096, true);

	assert_null(name->function);
	assert_string_equal(name->module, "[anonymous]");
	assert_int_equal(name->offset, 4096);
	assert_null(native_modules_rules(fixture->modules, 4096));
	assert_null(native_modules_rules(fixture->modules, UINT64_MAX));
}

/* This program carries its own DWARF. */
static void source_lines_take_what_there_is_and_give_it_back(void **state)
{
	struct fixture *fixture = *state;
	uint64_t here = (uint64_t)(uintptr_t)source_lines_take_what_there_is_and_give_it_back;
	uint64_t plenty = 1 << 30, little = 1000;
	struct native_modules *rich = native_modules_new(fixture->process, &plenty);
	struct native_modules *poor = native_modules_new(fixture->process, &little);
	const struct native_name *name = native_modules_name(rich, here, true);

	assert_string_equal(name->function, __func__);
	assert_non_null(name->file);
	assert_in_range(plenty, (1 << 30) - (64 << 20), (1 << 30) - 10000);
	assert_int_equal(native_modules_without_room(rich), 0);
	native_modules_free(rich);
	assert_int_equal(plenty, 1 << 30);
	for (int times = 0; times < 2; times++) {
		name = native_modules_name(poor, here, true);
		assert_string_equal(name->function, __func__);
		assert_null(name->file);
		assert_int_equal(native_modules_without_room(poor), 1);
	}
	assert_int_equal(little, 1000);
	native_modules_free(poor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copied_stack_unwinds_as_the_live_one),
		cmocka_unit_test(frames_cover_the_stack_without_gaps),
		cmocka_unit_test(it_stops_at_the_frame_that_is_asked_for),
		cmocka_unit_test(a_stack_that_ends_early_is_cut),
		cmocka_unit_test(code_without_rules_ends_it),
		cmocka_unit_test(a_damaged_stack_does_no_harm),
		cmocka_unit_test(names_are_those_of_the_functions),
		cmocka_unit_test(no_code_has_no_name_and_no_rules),
		cmocka_unit_test(source_lines_take_what_there_is_and_give_it_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
