// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of processes, and who made whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "proc/descendants.h"
#include "proc/pids.h"

static bool has_pid(const GArray *pids, pid_t pid)
{
	for (guint i = 0; i < pids->len; i++)
		if (g_array_index(pids, pid_t, i) == pid)
			return true;
	return false;
}

static void the_list_is_ascending_and_has_this_process(void **state)
{
	g_autoptr(GArray) pids = pids_of_host();

	(void)state;
	assert_true(has_pid(pids, getpid()));
	for (guint i = 1; i < pids->len; i++)
		assert_true(g_array_index(pids, pid_t, i - 1) < g_array_index(pids, pid_t, i));
}

/* A child with a child of its own; both wait to be killed. */
static pid_t fork_twice(pid_t *grandchild)
{
	int ready[2];
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		pid_t pid = fork();

		if (pid && write(ready[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], grandchild, sizeof(*grandchild)), sizeof(*grandchild));
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void children_and_theirs_are_found_with_their_parents(void **state)
{
	pid_t grandchild, child = fork_twice(&grandchild);
	g_autoptr(GArray) found = descendants_of(getpid());
	const struct descendant *each = (const struct descendant *)(void *)found->data;

	(void)state;
	assert_int_equal(found->len, 2);
	assert_int_equal(each[0].pid, child);
	assert_int_equal(each[0].parent, getpid());
	assert_int_equal(each[1].pid, grandchild);
	assert_int_equal(each[1].parent, child);
	kill(grandchild, SIGKILL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void nobody_has_no_descendants(void **state)
{
	g_autoptr(GArray) found = descendants_of(1 << 30);

	(void)state;
	assert_int_equal(found->len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_is_ascending_and_has_this_process),
		cmocka_unit_test(children_and_theirs_are_found_with_their_parents),
		cmocka_unit_test(nobody_has_no_descendants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
