/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens and closes windows so that tracing stays within its budget. Each family has a thread of its
 * own: it waits until its bucket holds enough for a window and a random time has passed, arms the
 * family, and closes it again after at most a burst. A window that costs less than its bucket gains
 * stays open: light processes are traced exactly. Where the bucket runs dry the kernel side stops
 * counting at once and the thread removes the probes.
 */
#ifndef PYLEAK_TRACE_GOVERNOR_H
#define PYLEAK_TRACE_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "trace/burst.h"
#include "trace/tracer.h"

struct governor;

struct governor_options {
	double overhead_pct;
	double burst_ms;
	double trap_ns; /* what a bare trap costs, calibrate_trap() */
	/* How many times as long as usual is waited between looks at buckets and open windows: more
	 * than 1 where there are many targets, and pyleak's own time counts. */
	double calm;
};

/* Told, in a thread of the governor's, as soon as a window has closed; of one that stayed open, of
 * its last births. */
typedef void (*burst_handler)(void *context, const struct ended_burst *burst);

/* @traced is borrowed; nobody else arms or disarms it until governor_free(). */
struct governor *governor_new(struct traced *traced, const struct governor_options *options);
/* Starts opening windows. @pressure_pct: as of governor_set_pressure(). @handler may be NULL;
 * @context must outlive the governor. */
void governor_start(struct governor *governor, double pressure_pct, burst_handler handler,
		    void *context);
/* Closes every window, waits for the threads and frees. NULL is allowed. */
void governor_free(struct governor *governor);

/* What was seen of one family so far. */
struct observation {
	uint64_t windows;
	/*
	 * Time of the target's own, in ns, during which its allocations were seen: the windows'
	 * length less what tracing took of it, times the fraction of the sites that were armed.
	 */
	double observed_ns; /* focused windows (focus.h) are not in it */
	double whole_ns;    /* that part of it during which windows stayed open */
	double kept_share;  /* of the births in bursts, the fraction that counts; 1: no burst */
	double own_share;   /* of the target's processor time in bursts, the fraction that was not
			       tracing; 1: no burst */
	/*
	 * The latest stretch during which it was seen without a gap, in CLOCK_MONOTONIC; 0, 0:
	 * none. @whole_until_ns is UINT64_MAX while it lasts.
	 */
	uint64_t whole_since_ns, whole_until_ns;
	bool always; /* seen without a gap since the first window opened */
};
void governor_observe(struct governor *governor, enum family family,
		      struct observation *observation);

/* While the table of live blocks is nearly full no window stays open: what sampling keeps is
 * little. */
void governor_set_crowded(struct governor *governor, bool crowded);

/* Spends more where memory grows: see budget_set_growth(). */
void governor_set_growth(struct governor *governor, double pymalloc_bytes, double malloc_bytes);

/* Which of pymalloc's size classes grow: see focus_set_growth(). */
void governor_set_class_growth(struct governor *governor, const int64_t bytes[FOCUS_CLASSES]);

/* Another allowance from now on: at most options.overhead_pct. Any thread may call. */
void governor_set_overhead(struct governor *governor, double overhead_pct);

/* What part of the processor time that pyleak's own work for windows may take this process has,
 * above 0 to 1; all of it at first. */
void governor_set_own_part(struct governor *governor, double part);

/* How saturated the host is: see budget_set_pressure(). Returns the part of the budget that is left
 * to spend, 0 to 1. */
double governor_set_pressure(struct governor *governor, double percent);

/* What tracing has cost the target so far, in ns of its time, estimated. */
double governor_spent_ns(struct governor *governor);

#endif
