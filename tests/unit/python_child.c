// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/python_child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>

static const struct {
	const char *version, *abi; /* ABI flags in the library's name */
} builds[] = {
	{ "2.7.18", "" },  { "3.6.15", "m" }, { "3.7.16", "m" }, { "3.8.18", "" }, { "3.9.18", "" },
	{ "3.10.13", "" }, { "3.11.7", "" },  { "3.12.1", "" },	 { "3.13.0", "" },
};

static const char *intern(char *text)
{
	const char *interned = g_intern_string(text);

	g_free(text);
	return interned;
}

static const char *pyenv_root(void)
{
	const char *root = g_getenv("PYLEAK_PYENV_ROOT");

	if (!root)
		root = g_getenv("PYENV_ROOT");
	return root ? root : "/root/.pyenv";
}

struct test_python test_python(size_t index)
{
	struct test_python python = { .version = "3.11.2", .program = "/usr/bin/python3.11" };
	const char *root = pyenv_root();

	assert_true(index < TEST_PYTHONS);
	if (index < G_N_ELEMENTS(builds))
		python.version = builds[index].version;
	assert_int_equal(sscanf(python.version, "%d.%d", &python.major, &python.minor), 2);
	if (index < G_N_ELEMENTS(builds)) {
		python.program =
			intern(g_strdup_printf("%s/versions/%s/bin/python", root, python.version));
		python.library = intern(g_strdup_printf(
			"%s/versions/%s/lib/libpython%d.%d%s.so.1.0", root, python.version,
			python.major, python.minor, builds[index].abi));
	}
	if (access(python.program, X_OK) != 0)
		fail_msg("%s is missing: install it, or point PYLEAK_PYENV_ROOT to where it is",
			 python.program);
	return python;
}

struct child child_start(const char *const *argv, const char *const *environment)
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

char *child_read_until(const struct child *child, const char *last)
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
static bool child_reads(pid_t pid)
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

void child_wait_until_it_reads(const struct child *child)
{
	for (unsigned int i = 0; i < 10000; i++) {
		if (child_reads(child->pid))
			return;
		g_usleep(200);
	}
	fail_msg("the child does not wait");
}

void child_go_on(const struct child *child)
{
	assert_int_equal(write(child->in, "x", 1), 1);
}

void child_stop(struct child *child)
{
	close(child->in);
	close(child->out);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

void run_command(const char *const *argv)
{
	int status;

	assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				 NULL, &status, NULL));
	assert_int_equal(status, 0);
}
