/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process's memory over the trace: is it growing at all, and is it the program that uses more,
 * or the allocators that hold what they do not use? Pure.
 */
#ifndef PYLEAK_ANALYSE_CURVE_H
#define PYLEAK_ANALYSE_CURVE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* 240 moments are two minutes of looks half a second apart; of more, every second is dropped. */
enum { CURVE_MAX_POINTS = 240 };

struct curve_point {
	double elapsed_s;
	double rss_bytes, in_use_bytes, unused_bytes; /* memory_use.h */
	double traced_bytes;			      /* outstanding: traced growth since attach */
};

enum curve_trend {
	CURVE_UNKNOWN,	  /* too early, or nothing could be measured */
	CURVE_GROWING,	  /* what is in use grows, also of late */
	CURVE_FRAGMENTED, /* what is in use does not, and much is held besides */
	CURVE_SHRINKING,  /* what is in use falls */
	CURVE_FLAT,	  /* none of these */
};

struct curve_summary {
	enum curve_trend trend;
	struct curve_point first, last;
	double rise_bytes;  /* of what is in use: the slope over the whole trace times its length */
	double bytes_per_s; /* that slope, by Theil and Sen */
	double peak_bytes;  /* the most that was in use */
	/* By how much the least that was in use is more in the later half of the time than in the
	 * first, twice: what is left of a rise once garbage has gone. INFINITY: unknown. */
	double floor_rise_bytes;
	uint32_t points;
	/* How sure and lasting a rise is, for verdicts; nothing while the trend is unknown. */
	bool lasting; /* p_up below 0.01, for 45 s or longer, of late at 35 % of the first
			 half's pace or more, by as much as growing asks for */
	double p_up;  /* Mann-Kendall's over all points */
	double most_bytes_per_s; /* the upper end of the slope's 95 % interval */
	uint32_t spans_grown;	 /* spans of 5 s whose median is above that of the span before */
};

struct curve;
struct curve *curve_new(void);
void curve_free(struct curve *curve);

/* Adds a moment; one not after the last takes its place. The last is always kept as it is. */
void curve_add(struct curve *curve, const struct curve_point *point);

/*
 * What the curve says. Growing: by the Mann-Kendall test (p < 0.05) and by 1 % of what is private,
 * or 1 MiB if that is more, and in the later half at a quarter of the pace or more. Shrinking:
 * likewise, down. Fragmented: neither, and a tenth of the private memory, and 4 MiB, is unused.
 */
struct curve_summary curve_summarise(const struct curve *curve);

/* The points, of struct curve_point: g_array_unref(). */
GArray *curve_points(const struct curve *curve);

const char *curve_trend_name(enum curve_trend trend); /* "unknown", "growing", ... */

#endif
