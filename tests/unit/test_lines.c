// SPDX-License-Identifier: GPL-2.0-or-later
/* Line tables of every kind, sane and hostile. Those of real programs: test_interpreter.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "cpython/lines.h"

#define LINE(kind, table, first, offset)                                                           \
	line_table_find(kind, (const uint8_t *)(table), sizeof(table) - 1, first, offset)

static void lnotab_steps_are_added_up_to_the_instruction(void **state)
{
	/* The example of Objects/lnotab_notes.txt. */
	static const char table[] = "\x00\x01\x06\x01\x2c\x05\x96\xc8\x63\x01\x02\x01";

	(void)state;
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 0), 2);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 5), 2);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 6), 3);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 50), 8);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 200), 208);
	assert_int_equal(LINE(LINES_LNOTAB_SIGNED, table, 1, 200), 8 - 56);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, 100000), 210);
	assert_int_equal(LINE(LINES_LNOTAB_UNSIGNED, table, 1, -1), 1);
}

static void linetable_of_3_10_knows_instructions_without_a_line(void **state)
{
	static const char table[] = "\x04\x01\x04\x80\x04\xfe\x00\x64\x02\x01";

	(void)state;
	assert_int_equal(LINE(LINES_LINETABLE, table, 10, 0), 11);
	assert_int_equal(LINE(LINES_LINETABLE, table, 10, 4), 10);
	assert_int_equal(LINE(LINES_LINETABLE, table, 10, 8), 9);
	assert_int_equal(LINE(LINES_LINETABLE, table, 10, 12), 110);
	assert_int_equal(LINE(LINES_LINETABLE, table, 10, 14), 10);
}

static void locations_of_every_kind_are_understood(void **state)
{
	static const char table[] = "\x80\x00"		       /* short: line 10, 1 unit */
				    "\xd9\x01\x02"	       /* one line, +1: 11, 2 units */
				    "\xe0\x01\x02"	       /* one line, +2: 13 */
				    "\xe8\x0b"		       /* no columns, -5: 8 */
				    "\xf8"		       /* none */
				    "\xf0\x64\x06\x00\x01\x02" /* long: a varint of two bytes */
				    "\xd0\x01\x02";	       /* one line, +0 */

	(void)state;
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 0), 10);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 2), 11);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 4), 11);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 6), 13);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 8), 8);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 10), 10);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 12), 8 + (0x24 + (6 << 6)) / 2);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 14), 8 + (0x24 + (6 << 6)) / 2);
	assert_int_equal(LINE(LINES_LOCATIONS, table, 10, 16), 10);
}

/* A table that ends where the next page cannot be read: one byte too far is a crash. */
static void no_table_is_read_past_its_end(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	g_autoptr(GRand) random = g_rand_new_with_seed(3);
	bool moved = false;

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (unsigned int round = 0; round < 20000; round++) {
		size_t length = (size_t)g_rand_int_range(random, 0, 40);
		uint8_t *table = pages + page - length;
		int64_t offset = g_rand_int_range(random, -10, 400);

		for (size_t i = 0; i < length; i++)
			table[i] = (uint8_t)g_rand_int_range(random, 0, 256);
		for (int kind = LINES_LNOTAB_UNSIGNED; kind <= LINES_LOCATIONS; kind++)
			moved |= line_table_find((enum line_table_kind)kind, table, length, 7,
						 offset) != 7;
	}
	assert_true(moved);
	munmap(pages, 2 * page);
}

static void hostile_tables_end_and_wrap(void **state)
{
	size_t length = 1024 * 1024;
	g_autofree uint8_t *table = g_malloc(length);

	(void)state;
	/* One varint of a megabyte. */
	memset(table, 0x40, length);
	table[0] = 0xe8;
	assert_int_equal(line_table_find(LINES_LOCATIONS, table, length, 1, 0), 1);
	/* Steps that overflow a line number. */
	for (size_t i = 0; i + 7 <= length; i += 7)
		memcpy(table + i, "\xe8\x7e\x7f\x7f\x7f\x7f\x03", 7);
	(void)line_table_find(LINES_LOCATIONS, table, length, INT32_MAX, INT64_MAX);
	memset(table, 0x7f, length);
	assert_int_equal(line_table_find(LINES_LNOTAB_SIGNED, table, length, INT32_MAX, INT64_MAX),
			 (int32_t)((uint32_t)INT32_MAX + 0x7fU * (uint32_t)(length / 2)));
	assert_int_equal(line_table_find(LINES_LINETABLE, table, length, INT32_MAX, INT64_MAX),
			 INT32_MAX);
	/* Not a beginning of an entry. */
	assert_int_equal(line_table_find(LINES_LOCATIONS, table, length, 5, 0), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lnotab_steps_are_added_up_to_the_instruction),
		cmocka_unit_test(linetable_of_3_10_knows_instructions_without_a_line),
		cmocka_unit_test(locations_of_every_kind_are_understood),
		cmocka_unit_test(no_table_is_read_past_its_end),
		cmocka_unit_test(hostile_tables_end_and_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
