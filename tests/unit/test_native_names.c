// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of native functions: demangling, and where their debug files are looked for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "elf/debug_file.h"
#include "symbolize/demangle.h"

static void cpp_and_rust_are_demangled(void **state)
{
	static const char *const names[][2] = {
		{ "_Znwm", "operator new(unsigned long)" },
		{ "_ZN2cv6imreadERKSsi", "cv::imread(std::string const&, int)" },
		{ "_ZN4shop6Basket4fillIdEEim", "int shop::Basket::fill<double>(unsigned long)" },
		{ "_ZN5alloc5alloc15exchange_malloc17h0123456789abcdefE",
		  "alloc::alloc::exchange_malloc" },
		{ "_RNvCs1234_7mycrate3foo", "mycrate::foo" },
		{ "PyList_Append", "PyList_Append" },
		{ "memcpy@@GLIBC_2.14", "memcpy" },
		{ "_Z", "_Z" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		assert_string_equal(demangle(names[i][0]), names[i][1]);
	assert_ptr_equal(demangle("_Znwm"), demangle("_Znwm"));
}

/* Deeply nested and very long symbols come from hostile files. */
static void hostile_symbols_do_no_harm(void **state)
{
	g_autofree char *nested = g_malloc(100001), *pieces = g_malloc(100001);
	GRand *random = g_rand_new_with_seed(3);

	(void)state;
	memset(nested, 'P', 100000);
	memcpy(nested, "_Z1f", 4);
	nested[100000] = '\0';
	assert_true(strlen(demangle(nested)) <= 1000);
	for (int round = 0; round < 2000; round++) {
		static const char letters[] = "NSIEPKRFAXLZT_0123456789abctvwhilm";
		int length = g_rand_int_range(random, 1, 200);

		for (int i = 0; i < length; i++)
			pieces[i] = letters[g_rand_int_range(random, 0, sizeof(letters) - 1)];
		memcpy(pieces, round % 2 ? "_R" : "_Z", MIN(length, 2));
		pieces[length] = '\0';
		assert_true(strlen(demangle(pieces)) <= 1000);
	}
	g_rand_free(random);
}

static void assert_candidates(GPtrArray *found, const char *expected)
{
	g_autofree char *text = NULL;

	g_ptr_array_add(found, NULL);
	text = g_strjoinv(" ", (char **)found->pdata);
	assert_string_equal(text, expected);
	g_ptr_array_unref(found);
}

static void debug_files_are_looked_for_where_gdb_looks(void **state)
{
	static const uint8_t id[] = { 0xab, 0xcd, 0xef };
	const char *file = "/usr/lib/libx.so.1";

	(void)state;
	assert_candidates(debug_file_candidates(file, id, 3, "x.debug"),
			  "/usr/lib/debug/.build-id/ab/cdef.debug /usr/lib/x.debug "
			  "/usr/lib/.debug/x.debug /usr/lib/debug/usr/lib/x.debug");
	assert_candidates(debug_file_candidates(file, id, 3, NULL),
			  "/usr/lib/debug/.build-id/ab/cdef.debug");
	/* The link is the file's word: it names a file, not a place. */
	assert_candidates(debug_file_candidates(file, NULL, 0, "../../etc/shadow"), "");
	assert_candidates(debug_file_candidates("libx.so", NULL, 0, "x.debug"), "");
	assert_candidates(debug_file_candidates(file, id, 1, NULL), "");
}

static void a_debug_file_is_copied_if_it_is_regular_and_small_enough(void **state)
{
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "file", NULL),
			*pipe = g_build_filename(folder, "pipe", NULL);
	char text[8] = "";
	uint64_t size = 0;
	int fd;

	(void)state;
	assert_true(g_file_set_contents(path, "content", 7, NULL));
	assert_int_equal(mkfifo(pipe, 0600), 0);
	fd = debug_file_copy(path, 7, &size);
	assert_true(fd >= 0 && size == 7);
	/* What happens to the file now does not reach us. */
	assert_true(g_file_set_contents(path, "", 0, NULL));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 7);
	assert_string_equal(text, "content");
	close(fd);
	assert_true(g_file_set_contents(path, "content", 7, NULL));
	assert_int_equal(debug_file_copy(path, 6, &size), -1);
	assert_int_equal(debug_file_copy(pipe, 1000, &size), -1);
	assert_int_equal(debug_file_copy(folder, 1 << 20, &size), -1);
	assert_int_equal(debug_file_copy("/no/such/file", 1000, &size), -1);
	unlink(path);
	unlink(pipe);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpp_and_rust_are_demangled),
		cmocka_unit_test(hostile_symbols_do_no_harm),
		cmocka_unit_test(debug_files_are_looked_for_where_gdb_looks),
		cmocka_unit_test(a_debug_file_is_copied_if_it_is_regular_and_small_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
