// SPDX-License-Identifier: GPL-2.0-or-later
/* /proc/PID/maps: what is written there, and what could be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "base/error.h"
#include "proc/maps.h"

typedef struct maps maps;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(maps, maps_free)

static const char sample[] =
	"00400000-00422000 r--p 00000000 fe:01 330001                             "
	"/usr/bin/python3.11\n"
	"00422000-006c5000 r-xp 00022000 fe:01 330001                             "
	"/usr/bin/python3.11\n"
	"00a03000-00d5f000 rw-p 00000000 00:00 0 \n"
	"0134a000-014d0000 rw-p 00000000 00:00 0                                  [heap]\n"
	"7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n"
	"7f0000021000-7f0004000000 ---p 00000000 00:00 0 \n"
	"7f1000000000-7f1000001000 rw-s 00000000 00:01 1025                       /dev/zero "
	"(deleted)\n"
	"7f2000000000-7f2000001000 r-xp 00001000 103:02 77                        /opt/a b/lib "
	"x.so (deleted)\n"
	"7f2000001000-7f2000002000 rw-p 00000000 00:00 0                          [anon:glibc: "
	"malloc]\n"
	"7f3000000000-7f3000001000 r--p 00000000 fe:01 42                         "
	"/tmp/new\\012line\n"
	"7ffe92e71000-7ffe92e92000 rw-p 00000000 00:00 0                          [stack]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";

static void a_real_file_is_parsed_field_by_field(void **state)
{
	(void)state;
	g_autoptr(maps) maps = maps_parse(sample);

	assert_int_equal(maps->count, 12);
	const struct mapping *code = &maps->items[1];
	assert_int_equal(code->start, 0x422000);
	assert_int_equal(code->end, 0x6c5000);
	assert_int_equal(code->offset, 0x22000);
	assert_int_equal(code->inode, 330001);
	assert_int_equal(code->device_major, 0xfe);
	assert_int_equal(code->device_minor, 1);
	assert_int_equal(code->flags, MAPPING_READ | MAPPING_EXEC);
	assert_false(code->deleted);
	assert_string_equal(code->path, "/usr/bin/python3.11");
	assert_string_equal(maps->items[2].path, "");
	assert_string_equal(maps->items[3].path, "[heap]");
	assert_int_equal(maps->items[6].flags, MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED);
	assert_string_equal(maps->items[9].path, "/tmp/new\nline");
	assert_int_equal(maps->items[11].end, 0xffffffffff601000);
	assert_string_equal(maps->items[11].path, "[vsyscall]");
}

static void a_deleted_file_is_marked_and_keeps_its_name(void **state)
{
	(void)state;
	g_autoptr(maps) maps = maps_parse(sample);

	assert_true(maps->items[7].deleted);
	assert_string_equal(maps->items[7].path, "/opt/a b/lib x.so");
	assert_int_equal(maps->items[7].device_major, 0x103);
}

static void heaps_are_private_anonymous_and_writable(void **state)
{
	(void)state;
	static const bool heap[] = { 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0 };
	g_autoptr(maps) maps = maps_parse(sample);

	assert_int_equal(maps->count, G_N_ELEMENTS(heap));
	for (size_t i = 0; i < maps->count; i++)
		assert_int_equal(mapping_is_anonymous_heap(&maps->items[i]), heap[i]);
}

static void an_address_is_found_in_its_mapping_only(void **state)
{
	(void)state;
	g_autoptr(maps) maps = maps_parse(sample);

	for (size_t i = 0; i < maps->count; i++) {
		assert_ptr_equal(maps_find(maps, maps->items[i].start), &maps->items[i]);
		assert_ptr_equal(maps_find(maps, maps->items[i].end - 1), &maps->items[i]);
	}
	assert_null(maps_find(maps, 0));
	assert_null(maps_find(maps, 0x3fffff));
	assert_null(maps_find(maps, 0x6c5000));
	assert_null(maps_find(maps, UINT64_MAX));
}

static void malformed_lines_are_skipped(void **state)
{
	(void)state;
	g_autoptr(maps) maps =
		maps_parse("\n"
			   "nonsense\n"
			   "1000-2000\n"
			   "1000-2000 rw-p\n"
			   "1000-2000 rwxq 00000000 00:00 0 \n"
			   "1000-2000 rw-p 00000000 00:00\n"
			   "1000-2000 rw-p 00000000 00:00 x\n"
			   "1000-2000 rw-p 00000000 00:00 0x\n"
			   "2000-1000 rw-p 00000000 00:00 0 \n"
			   "2000-2000 rw-p 00000000 00:00 0 \n"
			   "-1-2000 rw-p 00000000 00:00 0 \n"
			   " 1000-2000 rw-p 00000000 00:00 0 \n"
			   "11112222333344445-2222333344445555 rw-p 00000000 00:00 0 \n"
			   "5000-6000 rw-p 00000000 00:00 0\n"
			   "7000-8000 r");

	assert_int_equal(maps->count, 1);
	assert_int_equal(maps->items[0].start, 0x5000);
	g_autoptr(maps) empty = maps_parse("");
	assert_int_equal(empty->count, 0);
	assert_null(maps_find(empty, 0x5000));
}

/*
 * The file is read in pieces: where the gap between two mappings is filled meanwhile, all three
 * turn up as one, and what was behind the gap only so. It was dropped once, with every pool in it.
 */
static void what_follows_a_mapping_that_has_grown_is_kept(void **state)
{
	(void)state;
	g_autoptr(maps) maps = maps_parse("1000-3000 rw-p 00000000 00:00 0 \n"
					  "1000-9000 rw-p 00000000 00:00 0 \n"
					  "2000-8000 rw-p 00000000 00:00 0 \n"
					  "a000-c000 r-xp 00003000 fe:00 7 /bin/x\n"
					  "a000-e000 r-xp 00003000 fe:00 7 /bin/x\n");

	assert_int_equal(maps->count, 4);
	assert_int_equal(maps->items[1].start, 0x3000);
	assert_int_equal(maps->items[1].end, 0x9000);
	assert_true(mapping_is_anonymous_heap(&maps->items[1]));
	assert_int_equal(maps->items[3].start, 0xc000);
	assert_int_equal(maps->items[3].end, 0xe000);
	assert_int_equal(maps->items[3].offset, 0x5000);
}

static void damaged_text_never_breaks_the_order(void **state)
{
	(void)state;
	static const char letters[] = "0f-:r p\n\\([";
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (int round = 0; round < 3000; round++) {
		g_autofree char *text = g_strdup(sample);
		uint64_t end = 0;
		for (int i = 0; i < 1 + round % 40; i++)
			text[g_rand_int_range(random, 0, sizeof(sample) - 1)] =
				letters[g_rand_int_range(random, 0, sizeof(letters) - 1)];
		text[g_rand_int_range(random, 0, sizeof(sample))] = '\0';
		g_autoptr(maps) maps = maps_parse(text);
		for (size_t i = 0; i < maps->count; i++) {
			assert_true(maps->items[i].start >= end);
			assert_true(maps->items[i].end > maps->items[i].start);
			assert_non_null(maps->items[i].path);
			end = maps->items[i].end;
		}
	}
}

static void our_own_mappings_are_read(void **state)
{
	(void)state;
	static int data;
	g_autoptr(GError) error = NULL;
	g_autoptr(maps) maps = maps_read(getpid(), &error);
	g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

	assert_non_null(maps);
	const struct mapping *code = maps_find(maps, (uint64_t)our_own_mappings_are_read);
	assert_non_null(code);
	assert_int_equal(code->flags, MAPPING_READ | MAPPING_EXEC);
	assert_string_equal(code->path, exe);
	const struct mapping *writable = maps_find(maps, (uint64_t)&data);
	assert_non_null(writable);
	assert_true(writable->flags & MAPPING_WRITE);
	const struct mapping *stack = maps_find(maps, (uint64_t)&maps);
	assert_non_null(stack);
}

static void a_process_that_is_gone_or_a_zombie_is_no_target(void **state)
{
	(void)state;
	g_autoptr(GError) error = NULL;
	siginfo_t info;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
	assert_null(maps_read(child, &error));
	assert_true(g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET));
	waitpid(child, NULL, 0);
	g_clear_error(&error);
	assert_null(maps_read(child, &error));
	assert_true(g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_file_is_parsed_field_by_field),
		cmocka_unit_test(a_deleted_file_is_marked_and_keeps_its_name),
		cmocka_unit_test(heaps_are_private_anonymous_and_writable),
		cmocka_unit_test(an_address_is_found_in_its_mapping_only),
		cmocka_unit_test(malformed_lines_are_skipped),
		cmocka_unit_test(what_follows_a_mapping_that_has_grown_is_kept),
		cmocka_unit_test(damaged_text_never_breaks_the_order),
		cmocka_unit_test(our_own_mappings_are_read),
		cmocka_unit_test(a_process_that_is_gone_or_a_zombie_is_no_target),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
