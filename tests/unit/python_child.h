/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests: the interpreters of this machine, and running one as a child that talks through pipes.
 * Failures fail the test. */
#ifndef PYLEAK_TESTS_PYTHON_CHILD_H
#define PYLEAK_TESTS_PYTHON_CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <cmocka.h>
#include <glib.h>

/* An interpreter of the matrix; strings are interned. */
struct test_python {
	const char *version; /* as the interpreter says */
	const char *program;
	const char *library; /* NULL: static */
	int major, minor;
};

/* Debian's is the last. A missing one is a failure: the matrix is what pyleak promises. */
enum { TEST_PYTHONS = 10 };

/*
 * The one of number @index, oldest first. Builds of pyenv are looked for in $PYLEAK_PYENV_ROOT,
 * $PYENV_ROOT or /root/.pyenv, as in tests/e2e.
 */
struct test_python test_python(size_t index);

struct child {
	pid_t pid;
	int in, out; /* its standard input and its standard output, which is its standard error too
		      */
};

/* Starts @argv with @environment ("NAME=value", NULL-terminated, or NULL) added to a fixed one. */
struct child child_start(const char *const *argv, const char *const *environment);
/* Kills and reaps it. */
void child_stop(struct child *child);

/* Reads what the child writes until a line that is @last; NULL at its end. g_free() it. */
char *child_read_until(const struct child *child, const char *last);
/* Waits until a thread of the child is in read(0, ...). What it wrote precedes that; only then its
 * stack stands still. */
void child_wait_until_it_reads(const struct child *child);
/* Writes it a byte. */
void child_go_on(const struct child *child);

/* Runs a command of the test's own to its end, which must be a good one. */
void run_command(const char *const *argv);

#endif
