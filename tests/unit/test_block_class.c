// SPDX-License-Identifier: GPL-2.0-or-later
/* What is in a block, as ten interpreters say themselves (tests/unit/data/blocks.py); and that made
 * up memory is not taken for anything. */
#include "tests/unit/python_child.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cpython/block_class.h"
#include "cpython/interpreter.h"
#include "proc/process.h"

#define SCRIPT "tests/unit/data/blocks.py"

struct blocks {
	struct process *process;
	struct interpreter *interpreter;
	struct maps *maps;
	struct classifier classifier;
};

static struct blocks blocks_open(pid_t pid)
{
	struct blocks blocks = { 0 };

	blocks.process = process_open(pid, NULL);
	assert_non_null(blocks.process);
	blocks.interpreter = interpreter_discover(blocks.process, NULL);
	assert_non_null(blocks.interpreter);
	blocks.maps = maps_read(pid, NULL);
	assert_non_null(blocks.maps);
	blocks.classifier = (struct classifier){
		.memory = &blocks.process->memory.base,
		.facts = &blocks.interpreter->facts,
		.layout = object_layout_find(blocks.interpreter->major, blocks.interpreter->minor),
		.maps = blocks.maps,
	};
	assert_non_null(blocks.classifier.layout);
	blocks.classifier.types = types_new(blocks.classifier.memory, blocks.classifier.facts,
					    blocks.classifier.layout);
	return blocks;
}

static void blocks_close(struct blocks *blocks)
{
	types_free(blocks->classifier.types);
	maps_free(blocks->maps);
	interpreter_free(blocks->interpreter);
	process_free(blocks->process);
}

/* The class of a block of @size bytes, which come from pymalloc if they are few. */
static struct block_class classify(const struct blocks *blocks, uint64_t address, uint64_t size)
{
	uint32_t alignment = blocks->interpreter->facts.pool_alignment;
	bool small = size <= 512;
	uint8_t bytes[BLOCK_CLASS_BYTES];
	struct block_class found;
	struct block_view view = {
		.address = address,
		.size = small ? (size + alignment - 1) / alignment * alignment : size,
		.slack = small ? alignment : 1,
		.bytes = bytes,
	};

	view.length = MIN(view.size, sizeof(bytes));
	assert_true(memory_read(blocks->classifier.memory, address, bytes, view.length));
	block_classify(&blocks->classifier, &view, &found);
	assert_non_null(found.name);
	return found;
}

/* Checks each "ADDRESS SIZE NAME" of @text; how many there were. */
static unsigned int check_lines(const struct blocks *blocks, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	unsigned int checked = 0, wrong = 0;

	for (size_t i = 0; lines[i] && strcmp(lines[i], "ready"); i++, checked++) {
		char *rest;
		uint64_t address = strtoull(lines[i], &rest, 10);
		uint64_t size = strtoull(rest, &rest, 10);
		struct block_class found = classify(blocks, address, size);

		if (strcmp(found.name, rest + 1) == 0)
			continue;
		print_error("%s: '%s' of %" PRIu64 " bytes is said to be '%s'\n",
			    blocks->interpreter->version, rest + 1, size, found.name);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	return checked;
}

static void check_interpreter(const char *program)
{
	const char *argv[] = { program, SCRIPT, NULL };
	struct child child = child_start(argv, NULL);
	g_autofree char *text = child_read_until(&child, "ready");
	struct blocks blocks;

	assert_non_null(text);
	child_wait_until_it_reads(&child);
	blocks = blocks_open(child.pid);
	assert_true(check_lines(&blocks, text) > 80);
	/* Once more, from what is remembered. */
	types_begin_look(blocks.classifier.types);
	check_lines(&blocks, text);
	blocks_close(&blocks);
	child_stop(&child);
}

static void objects_and_tables_are_what_the_interpreter_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++)
		check_interpreter(test_python(i).program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_and_tables_are_what_the_interpreter_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
