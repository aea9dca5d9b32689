// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading foreign memory: all or nothing, and strings that end anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "proc/memory.h"

enum { PAGE = 4096 };

/* A page of ours that is followed by one that nobody may read. */
static char *page_before_nothing(void)
{
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(munmap(pages + PAGE, PAGE), 0);
	return pages;
}

static void image_gives_its_bytes_and_nothing_else(void **state)
{
	(void)state;
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct image_memory image;
	const struct memory *memory = &image.base;
	uint64_t value;
	uint32_t half;
	uint8_t out[8];

	image_memory_init(&image, 0x1000, bytes, sizeof(bytes));
	assert_true(memory_read_u64(memory, 0x1000, &value));
	assert_int_equal(value, 0x0807060504030201);
	assert_true(memory_read_u32(memory, 0x1004, &half));
	assert_int_equal(half, 0x08070605);
	assert_true(memory_read(memory, 0x1007, out, 1));
	assert_int_equal(out[0], 8);
	assert_false(memory_read_u64(memory, 0x1001, &value));
	assert_false(memory_read_u64(memory, 0xfff, &value));
	assert_false(memory_read(memory, 0x1008, out, 1));
	assert_false(memory_read(memory, 0, out, 1));
}

static void reads_that_wrap_around_fail(void **state)
{
	(void)state;
	static const uint8_t bytes[8];
	struct image_memory image;
	struct process_memory process;
	uint64_t value;
	uint8_t out[8];

	image_memory_init(&image, 0x1000, bytes, sizeof(bytes));
	process_memory_init(&process, getpid());
	assert_false(memory_read_u64(&image.base, UINT64_MAX - 3, &value));
	assert_false(memory_read_u64(&process.base, UINT64_MAX - 3, &value));
	assert_false(memory_read(&image.base, 0x1004, out, SIZE_MAX));
	assert_false(memory_read(&process.base, (uint64_t)out, out, SIZE_MAX));
	assert_false(memory_read_u64(&process.base, 0x8000000000000000, &value));
}

static void image_at_the_end_of_the_address_space_can_be_read(void **state)
{
	(void)state;
	static const uint8_t bytes[8] = { 42 };
	struct image_memory image;
	uint64_t value;

	image_memory_init(&image, UINT64_MAX - 7, bytes, sizeof(bytes));
	assert_true(memory_read_u64(&image.base, UINT64_MAX - 7, &value));
	assert_int_equal(value, 42);
}

static void process_memory_of_another_process_is_read(void **state)
{
	(void)state;
	volatile uint64_t value = 1;
	struct process_memory process;
	uint64_t seen;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		value = 0x1122334455667788;
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	process_memory_init(&process, child);
	assert_true(memory_read_u64(&process.base, (uint64_t)&value, &seen));
	assert_int_equal(seen, 0x1122334455667788);
	assert_int_equal(value, 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(memory_read_u64(&process.base, (uint64_t)&value, &seen));
	close(ready[0]);
	close(ready[1]);
}

static void process_read_is_all_or_nothing(void **state)
{
	(void)state;
	g_autofree char *out = g_malloc(2 * PAGE);
	char *page = page_before_nothing();
	struct process_memory process;

	process_memory_init(&process, getpid());
	assert_true(memory_read(&process.base, (uint64_t)page, out, PAGE));
	assert_false(memory_read(&process.base, (uint64_t)page, out, PAGE + 1));
	assert_false(memory_read(&process.base, (uint64_t)page + PAGE, out, 1));
	assert_true(memory_read(&process.base, (uint64_t)page + PAGE, out, 0));
	munmap(page, PAGE);
}

static void string_may_end_right_before_unreadable_memory(void **state)
{
	(void)state;
	char *page = page_before_nothing();
	struct process_memory process;

	process_memory_init(&process, getpid());
	strcpy(page + PAGE - 6, "hello");
	g_autofree char *text = memory_read_string(&process.base, (uint64_t)page + PAGE - 6, 1000);
	assert_string_equal(text, "hello");
	page[PAGE - 1] = '!';
	assert_null(memory_read_string(&process.base, (uint64_t)page + PAGE - 6, 1000));
	g_autofree char *cut = memory_read_string(&process.base, (uint64_t)page + PAGE - 6, 6);
	assert_string_equal(cut, "hello!");
	munmap(page, PAGE);
}

static void string_is_cut_at_the_limit(void **state)
{
	(void)state;
	g_autofree char *long_text = g_malloc(10001);
	struct process_memory process;

	memset(long_text, 'a', 10000);
	long_text[10000] = '\0';
	process_memory_init(&process, getpid());
	for (size_t limit = 0; limit <= 10010; limit += 455) {
		g_autofree char *text =
			memory_read_string(&process.base, (uint64_t)long_text, limit);
		assert_non_null(text);
		assert_int_equal(strlen(text), MIN(limit, 10000));
	}
	g_autofree char *whole = memory_read_string(&process.base, (uint64_t)long_text, SIZE_MAX);
	assert_string_equal(whole, long_text);
}

static void string_in_a_recorded_image_may_end_with_it(void **state)
{
	(void)state;
	static const char bytes[] = "xabc";
	struct image_memory image;

	image_memory_init(&image, 0x7ffd, bytes, sizeof(bytes));
	g_autofree char *text = memory_read_string(&image.base, 0x7ffe, 100);
	assert_string_equal(text, "abc");
	image_memory_init(&image, 0x7ffd, bytes, sizeof(bytes) - 1);
	assert_null(memory_read_string(&image.base, 0x7ffe, 100));
	assert_null(memory_read_string(&image.base, 0, 100));
}

static void pieces_are_read_up_to_the_first_that_cannot_be(void **state)
{
	enum { COUNT = 3000 }; /* more than one system call takes */
	(void)state;
	char *pages = page_before_nothing();
	struct process_memory process;
	g_autofree uint64_t *addresses = g_new(uint64_t, COUNT);
	g_autofree uint16_t *values = g_new0(uint16_t, COUNT);

	process_memory_init(&process, getpid());
	for (int i = 0; i < COUNT; i++) {
		addresses[i] = (uintptr_t)pages + i % 2000 * 2;
		memcpy(pages + i % 2000 * 2, &(uint16_t){ i % 2000 }, 2);
	}
	assert_int_equal(memory_read_each(&process.base, addresses, COUNT, values, 2), COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(values[i], i % 2000);
	addresses[2500] = (uintptr_t)pages + PAGE - 1; /* half of it */
	assert_int_equal(memory_read_each(&process.base, addresses, COUNT, values, 2), 2500);
	addresses[0] = 0;
	assert_int_equal(memory_read_each(&process.base, addresses, COUNT, values, 2), 0);
	assert_int_equal(memory_read_each(&process.base, addresses, 0, values, 2), 0);
	munmap(pages, PAGE);
}

static void an_image_is_read_in_pieces_too(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4 };
	static const uint64_t addresses[] = { 0x1002, 0x1000, 0x1003 };
	struct image_memory image;
	uint8_t out[6];

	(void)state;
	image_memory_init(&image, 0x1000, bytes, sizeof(bytes));
	assert_int_equal(memory_read_each(&image.base, addresses, 3, out, 2), 2);
	assert_memory_equal(out, ((uint8_t[]){ 3, 4, 1, 2 }), 4);
}

/* Of a process that is gone, and of an image: all there might be. */
static void what_is_populated_may_not_be_known(void **state)
{
	struct memory_range span = { 0x1000, 0x5000, false };
	g_autoptr(GArray) spans = g_array_new(false, false, sizeof(span)), all = NULL, gone = NULL;
	struct process_memory process;
	struct image_memory image;

	(void)state;
	g_array_append_val(spans, span);
	image_memory_init(&image, 0x1000, "", 1);
	all = memory_populated(&image.base, spans);
	assert_int_equal(all->len, 1);
	assert_memory_equal(all->data, &span, sizeof(span));
	process_memory_init(&process, 0x7fffffff);
	gone = memory_populated(&process.base, spans);
	assert_int_equal(gone->len, 1);
}

/* One that cannot be read does not keep those after it from being read. */
static void pieces_are_read_past_bad_ones(void **state)
{
	char *page = page_before_nothing();
	struct process_memory process;
	const uint64_t addresses[] = { 1,
				       (uint64_t)page,
				       (uint64_t)page + PAGE,
				       (uint64_t)page + PAGE - 4,
				       (uint64_t)page + PAGE - 8,
				       UINT64_MAX - 3 };
	const bool expected[] = { false, true, false, false, true, false };
	bool done[G_N_ELEMENTS(addresses)];
	uint64_t words[G_N_ELEMENTS(addresses)];

	(void)state;
	process_memory_init(&process, getpid());
	memset(page, 1, 8);
	memset(page + PAGE - 8, 4, 8);
	memory_read_any(&process.base, addresses, G_N_ELEMENTS(addresses), words, sizeof(words[0]),
			done);
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
		assert_int_equal(done[i], expected[i]);
	assert_int_equal(words[1], 0x0101010101010101);
	assert_int_equal(words[4], 0x0404040404040404);
	munmap(page, PAGE);
}

static void what_was_read_before_is_not_read_again(void **state)
{
	static const uint8_t now[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2 };
	static const uint8_t before[8] = { 3, 3, 3, 3, 3, 3, 3, 3 };
	struct image_memory rest;
	struct piece_memory memory;
	uint64_t value;

	(void)state;
	image_memory_init(&rest, 0x1000, now, sizeof(now));
	piece_memory_init(&memory, &rest.base, 0x1004, before, sizeof(before));
	assert_true(memory_read_u64(&memory.base, 0x1004, &value));
	assert_int_equal(value, 0x0303030303030303);
	/* What is not all in the piece is of one moment, too. */
	assert_true(memory_read_u64(&memory.base, 0x1005, &value));
	assert_int_equal(value, 0x0202020202010101);
	assert_true(memory_read_u64(&memory.base, 0x1000, &value));
	assert_int_equal(value, 0x0101010101010101);
	assert_false(memory_read_u64(&memory.base, 0x100c, &value));
	piece_memory_init(&memory, &rest.base, 0x1004, before, 0);
	assert_true(memory_read_u64(&memory.base, 0x1004, &value));
	assert_int_equal(value, 0x0202020201010101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_gives_its_bytes_and_nothing_else),
		cmocka_unit_test(reads_that_wrap_around_fail),
		cmocka_unit_test(image_at_the_end_of_the_address_space_can_be_read),
		cmocka_unit_test(process_memory_of_another_process_is_read),
		cmocka_unit_test(process_read_is_all_or_nothing),
		cmocka_unit_test(string_may_end_right_before_unreadable_memory),
		cmocka_unit_test(string_is_cut_at_the_limit),
		cmocka_unit_test(string_in_a_recorded_image_may_end_with_it),
		cmocka_unit_test(pieces_are_read_up_to_the_first_that_cannot_be),
		cmocka_unit_test(an_image_is_read_in_pieces_too),
		cmocka_unit_test(what_is_populated_may_not_be_known),
		cmocka_unit_test(pieces_are_read_past_bad_ones),
		cmocka_unit_test(what_was_read_before_is_not_read_again),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
