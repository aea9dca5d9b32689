// SPDX-License-Identifier: GPL-2.0-or-later
/* Links in the root folder of a container lead where the container thinks they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "proc/root_path.h"

static void assert_resolves(const char *root, const char *path, const char *expected)
{
	g_autofree char *cwd = g_strconcat(root, "/srv/app", NULL);
	g_autofree char *resolved = root_path_resolve(root, cwd, path);
	g_autofree char *whole = g_strconcat(root, expected, NULL);

	assert_string_equal(resolved, whole);
}

static void links_stay_inside_the_root_of_the_target(void **state)
{
	(void)state;
	static const char *const links[][2] = {
		{ "/etc/passwd", "absolute" }, { "../../../../../etc/passwd", "climber" },
		{ "app/main.py", "relative" }, { "loop", "loop" },
		{ "absolute", "twice" },
	};
	g_autofree char *root = g_dir_make_tmp("pyleak-XXXXXX", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
		g_autofree char *link = g_build_filename(root, links[i][1], NULL);
		assert_int_equal(symlink(links[i][0], link), 0);
	}
	assert_resolves(root, "/absolute", "/etc/passwd");
	assert_resolves(root, "/climber", "/etc/passwd");
	assert_resolves(root, "/relative", "/app/main.py");
	assert_resolves(root, "/twice", "/etc/passwd");
	assert_resolves(root, "/loop", "/loop");
	assert_resolves(root, "/", "");
	assert_resolves(root, "//a/./b//c/", "/a/b/c");
	assert_resolves(root, "/../../a/../b", "/b");
	assert_resolves(root, "main.py", "/srv/app/main.py");
	assert_resolves(root, "x/../main.py", "/srv/app/main.py");
	assert_resolves(root, "../../lib/x.py", "/srv/app/../../lib/x.py");
	for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
		g_autofree char *link = g_build_filename(root, links[i][1], NULL);
		g_unlink(link);
	}
	g_rmdir(root);
}

static void paths_are_as_the_target_sees_them(void **state)
{
	static const char *const cases[][3] = {
		{ "/", "/usr/bin/python3", "/usr/bin/python3" },
		{ "/srv/box", "/srv/box/usr/bin/python3", "/usr/bin/python3" },
		{ "/srv/box", "/srv/box", "/" },
		{ "/srv/box", "/srv/boxes/python3", "/srv/boxes/python3" },
		{ "/srv/box", "/usr/bin/python3", "/usr/bin/python3" },
		{ "/srv/box", "[heap]", "[heap]" },
		{ "/srv/box", "", "" },
		{ "/x", "/x", "/" },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *inside = root_path_inside(cases[i][0], g_strdup(cases[i][1]));

		assert_string_equal(inside, cases[i][2]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_stay_inside_the_root_of_the_target),
		cmocka_unit_test(paths_are_as_the_target_sees_them),
	};

	return cmocka_run_group_tests_name("root_path", tests, NULL, NULL);
}
