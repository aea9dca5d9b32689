// SPDX-License-Identifier: GPL-2.0-or-later
/* Which processes are taken for Python, and which pass the filter. */
#include "tests/unit/python_child.h"

#include <unistd.h>

#include "base/error.h"
#include "cli/filter.h"
#include "proc/cgroup.h"
#include "proc/find_python.h"

static void interpreters_are_told_by_their_name(void **state)
{
	(void)state;
	assert_true(is_python_name("/usr/bin/python3.11"));
	assert_true(is_python_name("/usr/bin/python"));
	assert_true(is_python_name("/opt/x/python3.11 (deleted)"));
	assert_true(is_python_name("python2"));
	assert_false(is_python_name("/usr/bin/python-config"));
	assert_false(is_python_name("/usr/lib/python3/dist-packages/tool"));
	assert_false(is_python_name("/usr/bin/bpython"));
	assert_false(is_python_name("/usr/bin/sleep"));
	assert_false(is_python_name(""));
}

static void programs_with_a_libpython_are_python(void **state)
{
	(void)state;
	assert_true(maps_name_libpython(
		"7f00-7f01 r-xp 00000000 08:01 5   /usr/lib/libpython3.12.so.1.0\n"));
	assert_false(maps_name_libpython("7f00-7f01 r-xp 00000000 08:01 5   /usr/lib/libc.so.6\n"));
	assert_false(maps_name_libpython(""));
}

static void processes_are_what_they_are(void **state)
{
	const char *argv[] = { "/usr/bin/python3.11", "-c", "import sys; sys.stdin.read(1)", NULL };
	const char *other[] = { "/bin/cat", NULL };
	struct child python = child_start(argv, NULL), cat = child_start(other, NULL);

	(void)state;
	child_wait_until_it_reads(&python);
	child_wait_until_it_reads(&cat);
	assert_int_equal(python_likeness(python.pid), LIKENESS_PYTHON);
	assert_int_equal(python_likeness(cat.pid), LIKENESS_OTHER);
	assert_int_equal(python_likeness(1 << 30), LIKENESS_GONE);
	child_stop(&python);
	child_stop(&cat);
}

static void groups_are_found_in_any_hierarchy_with_what_is_below(void **state)
{
	const char *text =
		"12:pids:/user.slice/one\n1:name=systemd:/\n0::/system.slice/web.service\n";

	(void)state;
	assert_true(cgroup_text_has(text, "/system.slice/web.service"));
	assert_true(cgroup_text_has(text, "/system.slice"));
	assert_true(cgroup_text_has(text, "system.slice/"));
	assert_true(cgroup_text_has(text, "/sys/fs/cgroup/system.slice"));
	assert_true(cgroup_text_has(text, "/user.slice"));
	assert_true(cgroup_text_has(text, "/"));
	assert_false(cgroup_text_has(text, "/system"));
	assert_false(cgroup_text_has(text, "/web.service"));
	assert_false(cgroup_text_has("", "/x"));
	assert_false(cgroup_text_has("garbage\n:\n::", "/x"));
}

static void the_filter_asks_for_all_that_is_set(void **state)
{
	char *cmdline[] = { "python3", "/srv/app.py", "--port", "80", NULL };
	g_autofree char *uid = g_strdup_printf("%d", getuid());
	struct filter filter = { 0 };

	(void)state;
	assert_false(filter_is_set(&filter));
	assert_true(filter_passes(&filter, getpid(), cmdline));
	assert_true(filter_set_match(&filter, "app\\.py --port [0-9]+$", NULL));
	assert_true(filter_is_set(&filter));
	assert_true(filter_passes(&filter, getpid(), cmdline));
	assert_true(filter_set_user(&filter, uid, NULL));
	assert_true(filter_set_cgroup(&filter, "/", NULL));
	assert_true(filter_passes(&filter, getpid(), cmdline));
	assert_true(filter_set_user(&filter, "4242424", NULL));
	assert_false(filter_passes(&filter, getpid(), cmdline));
	assert_true(filter_set_user(&filter, uid, NULL));
	assert_true(filter_set_match(&filter, "^app", NULL));
	assert_false(filter_passes(&filter, getpid(), cmdline));
	assert_true(filter_set_match(&filter, "", NULL));
	assert_true(filter_set_cgroup(&filter, "/no/such/group", NULL));
	assert_false(filter_passes(&filter, getpid(), cmdline));
	filter_clear(&filter);
}

static void what_cannot_be_a_filter_is_refused(void **state)
{
	g_autoptr(GError) match = NULL, user = NULL, cgroup = NULL;
	struct filter filter = { 0 };

	(void)state;
	assert_false(filter_set_match(&filter, "a(", &match));
	assert_int_equal(match->code, PYLEAK_ERROR_USAGE);
	assert_false(filter_set_user(&filter, "12x", &user));
	assert_int_equal(user->code, PYLEAK_ERROR_USAGE);
	assert_false(filter_set_cgroup(&filter, "", &cgroup));
	assert_int_equal(cgroup->code, PYLEAK_ERROR_USAGE);
	filter_clear(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreters_are_told_by_their_name),
		cmocka_unit_test(programs_with_a_libpython_are_python),
		cmocka_unit_test(processes_are_what_they_are),
		cmocka_unit_test(groups_are_found_in_any_hierarchy_with_what_is_below),
		cmocka_unit_test(the_filter_asks_for_all_that_is_set),
		cmocka_unit_test(what_cannot_be_a_filter_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
