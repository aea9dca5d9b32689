/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pyleak -a: every Python process of the host that passes the filter. All are watched from outside;
 * those whose memory grows are traced, the fastest first, and left alone again when they do not
 * grow any more. One budget for the host: pyleak's own CPU time stays within a share of the
 * machine's, whatever it takes.
 */
#ifndef PYLEAK_CLI_HOST_H
#define PYLEAK_CLI_HOST_H

#include <stdbool.h>
#include <glib.h>

#include "analyse/model.h"
#include "cli/targets.h"

struct host;

/* Finds what is there. All arguments are borrowed. NULL and @error as in arrivals_new(). */
struct host *host_new(struct kernel_side *kernel, struct targets *targets,
		      const struct options *options, GError **error);
void host_free(struct host *host);

/* Who they are, for a header: a GPtrArray of struct report_target *, in the order of pids. */
GPtrArray *host_headers(const struct host *host);

/* Takes note of who came and went, looks at memory, starts and ends tracing. To be called every
 * tenth of a second or so, after targets_refresh(). */
void host_handle(struct host *host);

/*
 * Completes the @reports of those that are traced and adds one for each process that is not, the
 * last one of those that have gone. The overview is of them all, and borrows them.
 */
struct report_overview host_report(struct host *host, bool last, GPtrArray *reports);

#endif
