/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tracing may cost, as one bucket of nanoseconds of the target's time for each family. They
 * fill with wall time; what one cannot hold goes to the others. Pure: no kernel, no clock.
 */
#ifndef PYLEAK_TRACE_BUDGET_H
#define PYLEAK_TRACE_BUDGET_H

#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"

struct budget {
	double share;		    /* of wall time that may be spent, 0 to 1 */
	double scale;		    /* of that, what is spent: see budget_set_pressure() */
	double parts[FAMILY_COUNT]; /* how it is split while every family could use more */
	double cap_ns;		    /* of each bucket: the most that is spent in one go */
	uint64_t filled_ns;	    /* up to when */
};

/* @overhead_pct: what the user allows; a margin is kept for what cannot be measured. @cap_ns as in
 * the struct. */
void budget_init(struct budget *budget, double overhead_pct, double cap_ns, uint64_t now_ns);

/* What the margin leaves of 10 seconds' allowance, less on a saturated host: it may be spent once
 * without going over that. */
double budget_spare_ns(const struct budget *budget);

/*
 * What a bucket may hold at least: it goes no further below nothing than it may go above. Costs are
 * estimates, which on a crowded host can be far too high, and what is owed keeps windows closed.
 */
double budget_least_ns(const struct budget *budget);

/*
 * From the opening of a window to that of the family's next one, in ns. Where the target has time
 * to spare for windows, pyleak may not: arming the sites, removing them and looking at what was
 * born, which takes @own_ns of its processor time, shall take no more of a core than a part of what
 * the target may be slowed by.
 * @chance: 0 to 1, at random, which makes it half of that rest up to half as much again.
 */
double budget_rest_ns(enum family family, double own_ns, double overhead_pct, double chance);

/* Another allowance from now on. */
void budget_set_overhead(struct budget *budget, double overhead_pct);

/*
 * Backs off on a saturated host, where what tracing takes is taken from somebody: all of the budget
 * up to a pressure of 60 %, half of it at 100 %. @percent: of the time some task waits for a
 * processor (proc/pressure.h).
 */
void budget_set_pressure(struct budget *budget, double percent);

/*
 * Half of what pymalloc and malloc have together goes where memory grows, by what each has grown
 * since tracing began (in bytes; may be negative): leaks are there. Growth that is little in all
 * says nothing.
 */
void budget_set_growth(struct budget *budget, double pymalloc_bytes, double malloc_bytes);

/*
 * Adds to @added what each bucket is to gain at @now_ns, given what each holds (@left, may be
 * negative). @wanted: the families that are traced at all.
 */
void budget_fill(struct budget *budget, uint64_t now_ns, const int64_t left[FAMILY_COUNT],
		 uint32_t wanted, int64_t added[FAMILY_COUNT]);

#endif
