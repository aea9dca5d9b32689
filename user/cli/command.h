/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pyleak -- CMD: starts a program and holds it, by ptrace, at the moment when its interpreter and
 * its malloc are mapped and nothing has been allocated yet. Only a program that pyleak starts
 * itself is ever held; a running process never is.
 */
#ifndef PYLEAK_CLI_COMMAND_H
#define PYLEAK_CLI_COMMAND_H

#include <sys/types.h>
#include <glib.h>

/*
 * Starts @argv (searched in PATH). Returns its pid, held, or -1 and @error: NO_TARGET when it
 * cannot be started, ends, or turns out not to be Python (then it is killed).
 */
pid_t command_start(char **argv, GError **error);
/* Lets the held program run on, no longer traced by ptrace. */
void command_release(pid_t pid);
/* Ends a program that was started, with SIGTERM, unless it has ended by itself, and reaps it. */
void command_finish(pid_t pid);

#endif
