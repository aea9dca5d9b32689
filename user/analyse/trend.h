/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a series going up, and how fast: two tests that assume no distribution and shrug at outliers.
 * Pure functions on arrays of (time, value) with finite values; times do not decrease.
 */
#ifndef PYLEAK_ANALYSE_TREND_H
#define PYLEAK_ANALYSE_TREND_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Mann-Kendall (Mann 1945, Kendall 1975): the probability that a series without a trend looks at
 * least as upward (@p_up) or as downward (@p_down) as this one. One-sided, 0 to 1. Exact up to 10
 * values without ties, else the normal approximation with correction for ties and continuity. Fewer
 * than 3 values, or all equal, tell nothing: both are 1.
 */
struct mann_kendall {
	double p_up, p_down;
};
struct mann_kendall mann_kendall(const double *values, size_t count);

/*
 * Theil-Sen (Sen 1968): the median of the slopes of all pairs, in values per unit of time, and its
 * 95 % interval; low <= slope <= high, all finite. Pairs at the same time are left out; without any
 * pair all three are 0. Takes O(count^2) memory and O(count^2 log count) time.
 */
struct theil_sen {
	double slope, low, high;
};
struct theil_sen theil_sen(const double *times, const double *values, size_t count);

/* Of @count values, at least one, which it sorts; of an even number the mean of the middle two. */
double median(double *values, size_t count);

/*
 * Whether equidistant values fall along a line, by Student's test of the slope of their regression
 * at 2.5 %: of few values that hardly scatter it is sure when ranks cannot be. Fewer than 4 values,
 * or all on one level: false.
 */
bool falls_evenly(const double *values, size_t count);

#endif
