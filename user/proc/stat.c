// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of fields, from 1, as proc_pid_stat(5) counts them. */
enum {
	FIELD_STATE = 3,
	FIELD_PARENT = 4,
	FIELD_FLAGS = 9,
	FIELD_THREADS = 20,
	FIELD_START_TIME = 22,
	FIELD_START_CODE = 26,
	FIELD_START_STACK = 28,
	FIELD_PROCESSOR = 39,
	FIELD_POLICY = 41,
};

/* include/linux/sched.h, Linux 6.18; in the flags field since 2.6 */
static const uint64_t flag_kernel_thread = 0x00200000;

bool process_stat_parse(const char *text, struct process_stat *stat)
{
	uint64_t fields[FIELD_POLICY + 1] = { 0 };
	/* The name in parentheses may hold anything, parentheses too, but nothing after it does. */
	const char *next = strrchr(text, ')');

	if (!next || next[1] != ' ' || next[2] == '\0')
		return false;
	stat->state = next[2];
	next += 3;
	for (int field = FIELD_STATE + 1; field <= FIELD_POLICY; field++) {
		char *end;
		errno = 0;
		/* Some are negative; those that matter here are not. */
		fields[field] = strtoull(next, &end, 10);
		if (end == next || errno)
			return false;
		next = end;
	}
	stat->kernel_thread = fields[FIELD_FLAGS] & flag_kernel_thread;
	stat->parent = fields[FIELD_PARENT];
	stat->threads = fields[FIELD_THREADS];
	stat->start_time = fields[FIELD_START_TIME];
	stat->start_code = fields[FIELD_START_CODE];
	stat->start_stack = fields[FIELD_START_STACK];
	stat->processor = fields[FIELD_PROCESSOR];
	stat->policy = fields[FIELD_POLICY];
	return true;
}
