/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that are traced at the moment: they come and go while pyleak runs. */
#ifndef PYLEAK_CLI_TARGETS_H
#define PYLEAK_CLI_TARGETS_H

#include <stdbool.h>
#include <sys/types.h>
#include <linux/types.h>
#include <glib.h>

#include "analyse/model.h"
#include "cli/options.h"
#include "cli/traced_process.h"
#include "trace/kernel_side.h"

struct targets;

/* @kernel and @options are borrowed. @trap_ns: calibrate_trap(). */
struct targets *targets_new(struct kernel_side *kernel, const struct options *options,
			    double trap_ns);
/* Ends the tracing of all. NULL is allowed. */
void targets_free(struct targets *targets);

/*
 * Looks at @pid, attaches nothing yet. @parent: the pid of the process that made it, 0 for one that
 * the user named. The result belongs to @targets. NULL and @error as in traced_process_new().
 */
struct traced_process *targets_add(struct targets *targets, pid_t pid, pid_t parent,
				   GError **error);
/* The traced process with this pid, or NULL. */
struct traced_process *targets_find(const struct targets *targets, pid_t pid);
guint targets_count(const struct targets *targets);
/* Attaches all that have been added. False and @error when one of them cannot be. */
bool targets_attach(struct targets *targets, GError **error);
/* Who they are, for a header: a GPtrArray of struct report_target *. */
GPtrArray *targets_headers(const struct targets *targets);
/* Ends the tracing of one that goes on running; targets_report() will say @why. */
bool targets_retire(struct targets *targets, struct traced_process *target, const char *why,
		    GError **error);
/* Which part of the usual work is to be done, up to 1: windows, and looks at heaps. */
void targets_set_effort(struct targets *targets, double effort);
/* Ends the tracing of one. */
void targets_remove(struct targets *targets, struct traced_process *target);

/* For a new stack of any of them. */
void targets_add_stack(struct targets *targets, const struct context_event *event,
		       const struct raw_frame *frames);
/* For a part of the native stack of one that is about to come. */
void targets_add_piece(struct targets *targets, const struct stack_piece *piece);
/*
 * Looks at each, as traced_process_refresh() says, and ends the tracing of those that have exited:
 * their last reports are kept for targets_report(). Stacks on their way must have been added
 * before. To be called every tenth of a second or so. False and @error when the kernel's tables
 * cannot be read.
 */
bool targets_refresh(struct targets *targets, GError **error);

/*
 * Appends to @reports (of struct report *) the last ones of processes that have exited since the
 * previous call, then one on each that runs. @last: these are their last as well. Errors as above.
 */
bool targets_report(struct targets *targets, bool last, GPtrArray *reports, GError **error);

#endif
