/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a process grows, from its size alone, looked at now and then: what costs nothing, for
 * processes that are not traced. What counts is lasting growth: the least of the latest third of a
 * span less the least of its first third, so that what comes and goes does not.
 */
#ifndef PYLEAK_ANALYSE_MEMORY_TREND_H
#define PYLEAK_ANALYSE_MEMORY_TREND_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* The latest minute or so in full, and an hour or so of minima. */
enum { TREND_RECENT = 32, TREND_PAST = 64 };

struct trend_point {
	double time_s;
	uint64_t bytes;
};

struct memory_trend {
	struct trend_point recent[TREND_RECENT], past[TREND_PAST]; /* oldest first */
	uint32_t recent_count, past_count;
	struct trend_point
		least; /* of the minute that is not in @past yet; time_s: when it began */
	bool minute_begun;
};

struct lasting_growth {
	int64_t bytes;	/* 0 when there are too few points */
	double seconds; /* in which it came */
};

/* @time_s never goes back. A zeroed struct has no points. */
void memory_trend_add(struct memory_trend *trend, double time_s, uint64_t bytes);
/* Over the last minute or so; over the last hour. */
struct lasting_growth memory_trend_recent(const struct memory_trend *trend);
struct lasting_growth memory_trend_past(const struct memory_trend *trend);

/* Growth that makes a process worth tracing. */
bool memory_trend_grows(const struct memory_trend *trend);
/* Bytes a second, of whichever of the two is larger; 0 where nothing lasting grows. */
double memory_trend_rate(const struct memory_trend *trend);

#endif
