/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which births of a burst count. Of those near its end it is not known whether they are more than
 * temporaries, so the first part counts: by time, not by number. Programs are busy at times; what
 * comes before they are would else count more often than what comes after. Pure.
 */
#ifndef PYLEAK_TRACE_BURST_H
#define PYLEAK_TRACE_BURST_H

#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"

struct burst_part {
	uint32_t births; /* the first so many count */
	double time;	 /* they were born in this part of the burst, 0 to 1 */
};

/*
 * Of a burst that lasted from @from_ns to @until_ns (CLOCK_MONOTONIC) and saw @births, the first
 * PYLEAK_BIRTHS of which are in @log, in the order of time.
 */
struct burst_part burst_part_that_counts(const struct birth *log, uint32_t births, uint64_t from_ns,
					 uint64_t until_ns);

/*
 * How much of the target's own time there was in the first part of a burst of @wall_ns, in ns.
 * @traced: the part of it that went into tracing, 0 to 1, in proportion to births. @births: the
 * part of all births that were born by then. Above 0, for it is divided by.
 */
double burst_own_ns(double wall_ns, double traced, double time, double births);

#endif
