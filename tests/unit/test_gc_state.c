// SPDX-License-Identifier: GPL-2.0-or-later
/* The cyclic collector's own figures, read from outside, against what the gc module says inside. */
#include "tests/unit/python_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collect/garbage.h"
#include "cpython/gc_state.h"
#include "cpython/interpreter.h"
#include "proc/process.h"

/* Says what gc does, waits to be told to go on; with the collector on, then off. */
static const char *const script =
	"import gc, os, sys\n"
	"def say():\n"
	"    sys.stdout.write('%d %d %d\\nend\\n' % (gc.isenabled(), "
	"sum(s['collections'] for s in gc.get_stats()), gc.get_count()[0]))\n"
	"    sys.stdout.flush()\n"
	"    os.read(0, 1)\n"
	"gc.set_threshold(100000)\n"
	"gc.collect()\n"
	"say()\n"
	"kept = [[] for n in range(500)]\n"
	"say()\n"
	"gc.collect()\n"
	"gc.disable()\n"
	"say()\n";

/* Calls that say() makes may leave a few objects more or less. */
enum { SLACK = 40 };

static void check_python(const struct test_python *python)
{
	const char *const argv[] = { python->program, "-c", script, NULL };
	struct child child = child_start(argv, NULL);
	struct interpreter *interpreter = NULL;
	struct process *process = NULL;

	for (int i = 0; i < 3; i++) {
		g_autofree char *text = child_read_until(&child, "end");
		struct gc_state state = { 0 };
		int enabled, collections, young;

		child_wait_until_it_reads(&child);
		assert_int_equal(sscanf(text, "%d %d %d", &enabled, &collections, &young), 3);
		if (!process) {
			process = process_open(child.pid, NULL);
			assert_non_null(process);
			interpreter = interpreter_discover(process, NULL);
			assert_non_null(interpreter);
		}
		if (!gc_state_read(&process->memory.base, &interpreter->facts,
				   interpreter->layout.interpreters_head, &state))
			fail_msg("%s: unreadable", python->version);
		assert_int_equal(state.enabled, enabled);
		assert_int_equal(state.collections, collections);
		assert_in_range(state.young + SLACK, young, young + 2 * SLACK);
		child_go_on(&child);
	}
	interpreter_free(interpreter);
	process_free(process);
	child_stop(&child);
}

static void the_figures_are_those_of_the_gc_module(void **state)
{
	unsigned int checked = 0;

	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		struct test_python python = test_python(i);

		if (python.major < 3 || python.minor < 7)
			continue;
		check_python(&python);
		checked++;
	}
	assert_int_equal(checked, 8); /* 3.7 to 3.13, Debian's */
}

static void a_version_that_is_not_known_says_nothing(void **state)
{
	uint64_t words[64] = { 0 };
	struct image_memory memory;
	struct gc_state gc;

	(void)state;
	image_memory_init(&memory, 4096, words, sizeof(words));
	assert_false(gc_state_read(&memory.base, python_facts_find(2, 7), 4096, &gc));
	assert_false(gc_state_read(&memory.base, python_facts_find(3, 6), 4096, &gc));
	assert_false(gc_state_read(&memory.base, python_facts_find(3, 14), 4096, &gc));
}

/* Random memory, and a list of interpreters that goes round in a ring. */
static void hostile_memory_is_survived(void **state)
{
	unsigned int count;
	const struct python_facts *rows = python_facts_all(&count);
	g_autofree uint64_t *words = g_new(uint64_t, 4096);

	(void)state;
	for (guint32 seed = 0; seed < 200; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		const struct python_facts *facts = &rows[seed % count];
		struct image_memory memory;
		struct gc_state gc = { 0 };

		for (int i = 0; i < 4096; i++)
			words[i] =
				g_rand_int_range(random, 0, 3)
					? 4096u + (uint64_t)g_rand_int_range(random, 0, 32768)
					: (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
		image_memory_init(&memory, 4096, words, 32768);
		if (gc_state_read(&memory.base, facts, 4096 + facts->runtime_interpreters_head,
				  &gc))
			assert_true(gc.young <= INT32_MAX);
		for (int i = 0; i < 4096; i++)
			words[i] = 4096;
		assert_false(gc_state_read(&memory.base, facts,
					   4096 + facts->runtime_interpreters_head, &gc) &&
			     facts->interp_gc);
	}
}

static struct snapshot look(struct garbage_watch *watch, uint64_t at, bool enabled,
			    uint64_t collections, uint32_t young)
{
	const struct gc_state gc = { enabled, collections, young };
	struct snapshot snapshot = { .taken_ns = at };

	garbage_watch_look(watch, &gc, &snapshot);
	return snapshot;
}

static void what_was_there_at_attach_is_not_counted_until_it_is_collected(void **state)
{
	const struct gc_state at_attach = { true, 7, 300 };
	struct garbage_watch watch;
	struct snapshot snapshot;

	(void)state;
	garbage_watch_begin(&watch, &at_attach, 100);
	snapshot = look(&watch, 110, true, 7, 450);
	assert_true(snapshot.gc_known && snapshot.gc_enabled);
	assert_int_equal(snapshot.gc_young, 150);
	assert_int_equal(snapshot.gc_collected_ns, 0);
	/* Some of the old ones died. */
	assert_int_equal(look(&watch, 120, true, 7, 200).gc_young, 0);
	/* It ran some time after the look at 120. */
	snapshot = look(&watch, 130, true, 8, 20);
	assert_int_equal(snapshot.gc_young, 20);
	assert_int_equal(snapshot.gc_collected_ns, 120);
	snapshot = look(&watch, 140, false, 8, 50);
	assert_false(snapshot.gc_enabled);
	assert_int_equal(snapshot.gc_collected_ns, 120);
}

static void a_collector_that_cannot_be_read_is_unknown_from_then_on(void **state)
{
	const struct gc_state at_attach = { true, 7, 300 };
	struct garbage_watch watch;
	struct snapshot snapshot = { .taken_ns = 110 };

	(void)state;
	garbage_watch_begin(&watch, NULL, 100);
	assert_false(look(&watch, 110, true, 7, 450).gc_known);
	garbage_watch_begin(&watch, &at_attach, 100);
	garbage_watch_look(&watch, NULL, &snapshot);
	assert_false(snapshot.gc_known);
	assert_false(look(&watch, 120, true, 8, 450).gc_known);
	/* A number that goes back is another program's. */
	garbage_watch_begin(&watch, &at_attach, 100);
	assert_false(look(&watch, 110, true, 6, 450).gc_known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_figures_are_those_of_the_gc_module),
		cmocka_unit_test(a_version_that_is_not_known_says_nothing),
		cmocka_unit_test(hostile_memory_is_survived),
		cmocka_unit_test(what_was_there_at_attach_is_not_counted_until_it_is_collected),
		cmocka_unit_test(a_collector_that_cannot_be_read_is_unknown_from_then_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
