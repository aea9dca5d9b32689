/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a process runs right now. */
#ifndef PYLEAK_PROC_RUNNING_H
#define PYLEAK_PROC_RUNNING_H

#include <sys/types.h>

/*
 * The processor that the process runs on, or ran on last; of one with several threads that of one
 * that runs right now, among the first 64. -1: none does, it has gone, or it is one that other
 * programs may have to wait for as long as it likes (a real-time policy).
 */
int running_on(pid_t pid);

#endif
