/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of one site's curve: what verdict.h asks of it. Pure.
 *
 * The value at attach is left out, for the first step up means nothing (verdict.h), but for when
 * the rise began.
 */
#ifndef PYLEAK_ANALYSE_SITE_CURVE_H
#define PYLEAK_ANALYSE_SITE_CURVE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyse/trend.h"

struct site_curve {
	struct mann_kendall whole, last_half;
	double rise; /* bytes: the slope of the whole times its duration */
	double slope, first_slope, last_slope; /* bytes/s */
	double recent_gain, recent_s;
	double peak, largest_fall;
	double gain, largest_gain;    /* of the whole; in one interval */
	bool gains_fall;	      /* those of the intervals become smaller, surely */
	double gains_p_down;	      /* Mann-Kendall's of the gains */
	double early_gain, late_gain; /* bytes/s, the means of the first two and the last two */
	double gains_s;		      /* how long two of them last */
	double rise_s;		      /* since it was last as low as at the beginning, or nearly */
	size_t rise_count;	      /* intervals since then */
	size_t rise_grown;	      /* of these, how many grew */
	/* Of these, bytes/s; usual, their median, and least are of those before the last. 0, 0, 0:
	 * there is none before. */
	double last_gain, usual_gain, least_gain;
};

/* @count values, at least 3, in bytes at @times in seconds, which do not decrease; the first is the
 * attach. */
struct site_curve site_curve_measure(const double *times, const double *values, size_t count);

#endif
