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
#include "trace/focus.h"

/* A burst that is over, as far as its births are of interest. All is borrowed. */
struct ended_burst {
	enum family family;
	const struct birth *births; /* in their order; those that the log had room for */
	uint32_t count;
	uint32_t kept;	  /* the first so many count: see burst_part_that_counts() */
	double window_ns; /* of the target's own time, what it saw, times the fraction of the sites
			     and the part of the births that count; 0 of a window that stayed open
			   */
	const struct focus *focus; /* as it was drawn; NULL: windows see everything */
};

/* Of the target's own time what a burst like this one can be expected to see of births like
 * @birth, in ns; 0 of a window that stayed open. */
double burst_expected_ns(const struct ended_burst *burst, const struct birth *birth);

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
