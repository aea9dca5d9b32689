/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: the interpreters of this machine, and running one as a child that talks through pipes.
 */
#ifndef PYLEAK_TESTS_PYTHON_CHILD_H
#define PYLEAK_TESTS_PYTHON_CHILD_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include <cmocka.h>
#include <glib.h>

struct test_python {
	const char *version; /* as the interpreter says */
	const char *program;
	const char *library; /* NULL: static */
};

#define PYENV(version, short_version, abi)                                                         \
	{                                                                                          \
		version, "/root/.pyenv/versions/" version "/bin/python",                           \
			"/root/.pyenv/versions/" version "/lib/libpython" short_version abi        \
			".so.1.0"                                                                  \
	}

/* A missing one is a failure: the matrix is what pyleak promises. */
static const struct test_python test_pythons[] = {
	PYENV("2.7.18", "2.7", ""),  PYENV("3.6.15", "3.6", "m"),
	PYENV("3.7.16", "3.7", "m"), PYENV("3.8.18", "3.8", ""),
	PYENV("3.9.18", "3.9", ""),  PYENV("3.10.13", "3.10", ""),
	PYENV("3.11.7", "3.11", ""), PYENV("3.12.1", "3.12", ""),
	PYENV("3.13.0", "3.13", ""), { "3.11.2", "/usr/bin/python3.11", NULL },
};

struct child {
	pid_t pid;
	int in, out; /* its standard input and its standard output, which is its standard error too
		      */
};

/* Starts @argv with @environment ("NAME=value", NULL-terminated, or NULL) added to a fixed one. */
static inline struct child child_start(const char *const *argv, const char *const *environment)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	struct child child;
	int in[2], out[2];

	g_ptr_array_add(all, "LC_ALL=C.UTF-8");
	g_ptr_array_add(all, "PATH=/usr/bin:/bin");
	for (size_t i = 0; environment && environment[i]; i++)
		g_ptr_array_add(all, (char *)environment[i]);
	g_ptr_array_add(all, NULL);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]);
		execve(argv[0], (char *const *)argv, (char *const *)all->pdata);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child.in = in[1];
	child.out = out[0];
	return child;
}

/* Reads what the child writes until a line that is @last; NULL at its end. g_free() it. */
static inline char *child_read_until(const struct child *child, const char *last)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *needle = g_strconcat("\n", last, "\n", NULL);
	char byte;

	g_string_append_c(text, '\n');
	while (read(child->out, &byte, 1) == 1) {
		g_string_append_c(text, byte);
		if (byte == '\n' && g_str_has_suffix(text->str, needle))
			return g_strdup(text->str + 1);
	}
	if (text->len > 1)
		print_error("the child ended with: %s", text->str);
	return NULL;
}

/* True when a thread of @pid is in read(0, ...): /proc/PID/task/TID/syscall, call number first. */
static inline bool child_reads(pid_t pid)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d/task", pid);
	GDir *tasks = g_dir_open(folder, 0, NULL);
	const char *task;
	bool reads = false;

	while (tasks && !reads && (task = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("%s/%s/syscall", folder, task);
		g_autofree char *text = NULL;

		reads = g_file_get_contents(path, &text, NULL, NULL) &&
			g_str_has_prefix(text, "0 0x0 ");
	}
	if (tasks)
		g_dir_close(tasks);
	return reads;
}

/* What the child wrote precedes its wait; only in the wait its stack stands still. */
static inline void child_wait_until_it_reads(const struct child *child)
{
	for (unsigned int i = 0; i < 10000; i++) {
		if (child_reads(child->pid))
			return;
		g_usleep(200);
	}
	fail_msg("the child does not wait");
}

static inline void child_go_on(const struct child *child)
{
	assert_int_equal(write(child->in, "x", 1), 1);
}

static inline void child_stop(struct child *child)
{
	close(child->in);
	close(child->out);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

/* Runs a command of the test's own to its end. */
static inline void run_command(const char *const *argv)
{
	int status;

	assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				 NULL, &status, NULL));
	assert_int_equal(status, 0);
}

#endif
