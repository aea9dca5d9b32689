/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fields of /proc/PID/stat that pyleak needs: proc_pid_stat(5). Used inside proc/. */
#ifndef PYLEAK_PROC_STAT_H
#define PYLEAK_PROC_STAT_H

#include <stdbool.h>
#include <stdint.h>

struct process_stat {
	char state; /* 'R', 'S', ...; 'Z' and 'X' have exited */
	bool kernel_thread;
	uint32_t parent; /* pid */
	uint32_t threads;
	uint64_t start_time; /* clock ticks since boot */
	uint64_t start_code; /* addresses; 0 where this user may not know */
	uint64_t start_stack;
	uint32_t processor; /* that it runs on, or ran on last */
	uint32_t policy;    /* SCHED_OTHER and so on */
};

/* Parses the text of a stat file. False where it is not one. */
bool process_stat_parse(const char *text, struct process_stat *stat);

#endif
