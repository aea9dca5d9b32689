/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tracing costs the target, and what the target itself is doing. */
#ifndef PYLEAK_COLLECT_COST_H
#define PYLEAK_COLLECT_COST_H

#include <linux/types.h>

#include "bpf/abi.h"
#include "collect/snapshot.h"
#include "proc/process.h"

struct cost {
	double trap_ns;
	uint64_t rss_at_attach, private_at_attach;
	uint64_t began_ns; /* the interval, CLOCK_MONOTONIC */
	double spent_ns;   /* when it began */
	/* The same of the interval before. */
	uint64_t before_began_ns;
	double before_spent_ns;
};

void cost_init(struct cost *cost, const struct process *process, double trap_ns, uint64_t now_ns);

/* What all events so far have cost, in ns of the target's time: traps and programs, as @record
 * counts them. */
double cost_of_events(const struct cost *cost, const struct target *record);

/*
 * Fills in the process's figures and the overhead since the interval began: the time that tracing
 * took of what the target would have had for itself, a process that is always busy with one thread
 * taken as the measure. Less than a second, as the last interval often has, says nothing: the
 * interval before is then counted in. @spent_ns: what tracing has cost so far.
 */
void cost_fill(const struct cost *cost, const struct process *process, uint64_t now_ns,
	       double spent_ns, struct snapshot *snapshot);
/* Begins a new interval. */
void cost_begin_interval(struct cost *cost, uint64_t now_ns, double spent_ns);

#endif
