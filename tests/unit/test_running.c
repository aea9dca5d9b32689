// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a process runs: asked of real ones. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "proc/running.h"

enum { PATIENCE_MS = 60000 };

static void stay_on(int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		_exit(1);
}

static void *spin(void *data)
{
	stay_on(GPOINTER_TO_INT(data));
	for (;;)
		__asm__ volatile("");
	return data;
}

static void *sleep_for_good(void *data)
{
	for (;;)
		pause();
	return data;
}

/* The first and the last processor that this process may run on. */
static void processors(int found[2])
{
	cpu_set_t all;

	found[0] = -1;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			found[0] = found[0] < 0 ? i : found[0];
			found[1] = i;
		}
}

/* A process that spins on @processor, in a second thread where @threads. */
static pid_t spinning(int processor, bool threads)
{
	pid_t pid = fork();
	pthread_t thread;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (!threads)
		spin(GINT_TO_POINTER(processor));
	if (pthread_create(&thread, NULL, spin, GINT_TO_POINTER(processor)))
		_exit(1);
	for (;;)
		pause();
}

static bool comes_to_run_on(pid_t pid, int processor)
{
	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		if (running_on(pid) == processor)
			return true;
		usleep(1000);
	}
	return false;
}

static void the_processor_of_a_process_is_told(void **state)
{
	int on[2];

	(void)state;
	processors(on);
	for (int i = 0; i < 4; i++) {
		pid_t pid = spinning(on[i / 2], i % 2);
		bool told = comes_to_run_on(pid, on[i / 2]);

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_true(told);
		assert_int_equal(running_on(pid), -1);
	}
}

static void of_threads_that_all_sleep_none_is_told(void **state)
{
	pid_t pid;
	int pipes[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		pthread_t thread;

		close(pipes[0]);
		if (pthread_create(&thread, NULL, sleep_for_good, NULL) ||
		    write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_true(comes_to_run_on(pid, -1));
	assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_processor_of_a_process_is_told),
		cmocka_unit_test(of_threads_that_all_sleep_none_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
