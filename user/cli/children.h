/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Following the children of the processes that the user named: each that runs Python, and theirs,
 * becomes a target of its own. What it has from its parent is not counted as new, for its heap is
 * remembered as it stands when its tracing begins.
 */
#ifndef PYLEAK_CLI_CHILDREN_H
#define PYLEAK_CLI_CHILDREN_H

#include <stdbool.h>
#include <glib.h>

#include "cli/targets.h"

struct children;

/* All arguments are borrowed. NULL and @error as in arrivals_new(). */
struct children *children_new(struct kernel_side *kernel, struct targets *targets,
			      const struct options *options, GError **error);
void children_free(struct children *children);

/* Follows @pid; the children that it has already come as if they were new. */
void children_follow(struct children *children, pid_t pid);
/* Adds children that have settled to the targets. To be called every tenth of a second or so. */
void children_handle(struct children *children);
/* A child has come that has not settled yet. */
bool children_expected(const struct children *children);

#endif
