/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps pyleak's own CPU time within a limit, by telling how much of its usual work it may do. Pure
 * arithmetic: no clock.
 */
#ifndef PYLEAK_TRACE_THROTTLE_H
#define PYLEAK_TRACE_THROTTLE_H

#include <stdint.h>

struct throttle {
	double limit;  /* CPU time per wall time: 0.04 is 2 % of a machine with two processors */
	double factor; /* of the usual work, up to 1 */
	double used;   /* CPU time per wall time of late, a moving average */
	uint64_t cpu_ns, wall_ns; /* at the last update; wall 0: none yet */
};

void throttle_init(struct throttle *throttle, double limit);
/* @cpu_ns: used so far. @wall_ns: a monotonic clock. To be called every few seconds. */
void throttle_update(struct throttle *throttle, uint64_t cpu_ns, uint64_t wall_ns);

#endif
