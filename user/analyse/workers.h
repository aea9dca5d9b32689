/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --merge-children: which processes are identical workers, and one report for each lot of them.
 * Pure.
 *
 * Identical are processes of one executable, Python version and command line, in one container: a
 * server and the workers that it forks, or the replicas of a service. Of a process that
 * multiprocessing has spawned, whose command line has the numbers of its pipes, the parent counts
 * instead. A worker that has changed its title (setproctitle) is identical to those with the same.
 *
 * What a worker that has exited held is given back: it leaves the sums. What was seen and missed in
 * it stays in them.
 */
#ifndef PYLEAK_ANALYSE_WORKERS_H
#define PYLEAK_ANALYSE_WORKERS_H

#include "analyse/model.h"

struct workers;

struct workers *workers_new(enum sort_by sort_by);
/* NULL is allowed. */
void workers_free(struct workers *workers);

/*
 * Takes the @reports (of struct report *) of a round, one for each process, and puts one for each
 * lot in their place: under the pid of the one that the others are children of, or that has the
 * lowest. @targets: of const struct report_target *, whose report each is; NULL: not known, such a
 * one stays alone. When all of a lot have exited, what they held last is shown once more.
 */
void workers_merge(struct workers *workers, GPtrArray *reports, const GPtrArray *targets);

/* Of int32_t: the pids that the last call put another in the place of. */
const GArray *workers_replaced(const struct workers *workers);

#endif
