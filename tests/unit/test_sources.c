// SPDX-License-Identifier: GPL-2.0-or-later
/* Source lines as the target sees them, of whatever its file names may lead to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "symbolize/sources.h"

struct fixture {
	struct process *process; /* this one */
	struct sources *sources;
	char *folder;
};

static int set_up(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);

	fixture->process = process_open(getpid(), NULL);
	fixture->sources = sources_new(fixture->process);
	fixture->folder = g_dir_make_tmp("pyleak-sources-XXXXXX", NULL);
	assert_non_null(fixture->process);
	assert_non_null(fixture->folder);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	GDir *folder = g_dir_open(fixture->folder, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(folder))) {
		g_autofree char *path = g_build_filename(fixture->folder, name, NULL);

		g_unlink(path);
	}
	g_dir_close(folder);
	g_rmdir(fixture->folder);
	sources_free(fixture->sources);
	process_free(fixture->process);
	g_free(fixture->folder);
	g_free(fixture);
	return 0;
}

static char *path_of(const struct fixture *fixture, const char *name)
{
	return g_build_filename(fixture->folder, name, NULL);
}

static char *write_file(const struct fixture *fixture, const char *name, const char *text,
			gssize length)
{
	char *path = path_of(fixture, name);

	assert_true(g_file_set_contents(path, text, length, NULL));
	return path;
}

static void assert_line(const struct fixture *fixture, const char *file, int32_t line,
			const char *expected)
{
	g_autofree char *text = sources_line(fixture->sources, file, line);

	if (expected)
		assert_string_equal(text, expected);
	else
		assert_null(text);
}

static void lines_come_without_white_space_around_them(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *path =
		write_file(fixture, "a.py", "first\n\t    KEPT.append(x) \r\n\nlast", -1);

	assert_line(fixture, path, 1, "first");
	assert_line(fixture, path, 2, "KEPT.append(x)");
	assert_line(fixture, path, 3, "");
	assert_line(fixture, path, 4, "last");
}

static void lines_that_are_not_there_are_none(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *path = write_file(fixture, "a.py", "first\nsecond", -1);
	g_autofree char *empty = write_file(fixture, "empty.py", "", -1);
	g_autofree char *missing = path_of(fixture, "missing.py");

	assert_line(fixture, path, 0, NULL);
	assert_line(fixture, path, -1, NULL);
	assert_line(fixture, path, INT32_MIN, NULL);
	assert_line(fixture, path, 3, NULL);
	assert_line(fixture, path, INT32_MAX, NULL);
	assert_line(fixture, empty, 1, NULL);
	assert_line(fixture, missing, 1, NULL);
	assert_line(fixture, "", 1, NULL);
	assert_line(fixture, "<string>", 1, NULL);
	assert_line(fixture, "relative.py", 1, NULL);
}

static void a_file_is_read_once(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *path = write_file(fixture, "a.py", "before", -1), *again = NULL;

	assert_line(fixture, path, 1, "before");
	again = write_file(fixture, "a.py", "after", -1);
	assert_line(fixture, path, 1, "before");
}

static void text_that_is_not_utf8_is_shown_all_the_same(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *path =
		write_file(fixture, "a.py", "name = 'Gr\xfc\xdf'\n# \xc3\xbc\n", -1);
	g_autofree char *zero = write_file(fixture, "zero.py", "one\n\0two\nthree", 14);

	assert_line(fixture, path, 1, "name = 'Gr\xef\xbf\xbd\xef\xbf\xbd'");
	assert_line(fixture, path, 2, "# \xc3\xbc");
	assert_line(fixture, zero, 1, "one");
	assert_line(fixture, zero, 3, NULL);
}

static void absurdly_long_lines_and_files_are_left_out(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *text = g_strnfill(3000, 'x'), *path = NULL, *large = NULL;

	text[1000] = '\n';
	path = write_file(fixture, "a.py", text, -1);
	large = write_file(fixture, "large.py", "x = 1\n", -1);
	assert_int_equal(truncate(large, (8 << 20) + 1), 0);
	text[1000] = 0;
	assert_line(fixture, path, 1, text);
	assert_line(fixture, path, 2, NULL);
	assert_line(fixture, large, 1, NULL);
}

/* Nobody writes into the pipe: opening it as usual would wait for ever. */
static void what_is_no_file_is_not_read(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *pipe = path_of(fixture, "pipe.py");
	g_autofree char *link = path_of(fixture, "link.py");

	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(symlink("/dev/zero", link), 0);
	alarm(10);
	assert_line(fixture, pipe, 1, NULL);
	assert_line(fixture, link, 1, NULL);
	assert_line(fixture, fixture->folder, 1, NULL);
	assert_line(fixture, "/dev/tty", 1, NULL);
	alarm(0);
}

/* They say that they are empty, and some have no end or do something when read. */
static void files_of_proc_are_not_read(void **state)
{
	const struct fixture *fixture = *state;

	alarm(10);
	assert_line(fixture, "/proc/version", 1, NULL);
	assert_line(fixture, "/proc/self/mem", 1, NULL);
	assert_line(fixture, "/proc/kmsg", 1, NULL);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(lines_come_without_white_space_around_them),
		TEST(lines_that_are_not_there_are_none),
		TEST(a_file_is_read_once),
		TEST(text_that_is_not_utf8_is_shown_all_the_same),
		TEST(absurdly_long_lines_and_files_are_left_out),
		TEST(what_is_no_file_is_not_read),
		TEST(files_of_proc_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
