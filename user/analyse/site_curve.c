// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/site_curve.h"

#include <math.h>
#include <glib.h>

#include "analyse/significance.h"

/* Fewer gains than this cannot be said to fall, or to have an early and a late end. */
enum { MIN_RECENT_INTERVALS = 3, MIN_GAINS = 5, MIN_GAINS_OF_TWO_ENDS = 4 };
/* Of the rise: within this of the lowest it has not begun. */
static const double ONSET = 0.1;
/* Of the usual length: what is shorter is no interval to tell by. */
static const double TELLING_INTERVAL = 0.5;

/*
 * bytes/s from moment to moment, from the first on; returns how many. By the second, and without
 * what is too short: the last report comes when the trace ends, soon after the one before.
 */
static size_t take_gains(const double *times, const double *values, size_t count, double usual_s,
			 double *gains)
{
	size_t kept = 0;

	for (size_t i = 1; i < count; i++) {
		double seconds = times[i] - times[i - 1];

		if (seconds >= TELLING_INTERVAL * usual_s && seconds > 0)
			gains[kept++] = (values[i] - values[i - 1]) / seconds;
	}
	return kept;
}

static double usual_interval(const double *times, size_t count)
{
	return (times[count - 1] - times[0]) / (count - 1);
}

/* Whether it has just stopped: before the rise began there was little to gain, either. */
static void measure_last_gain(struct site_curve *curve, const double *times, const double *values,
			      size_t count, double usual_s)
{
	g_autofree double *gains = g_new(double, count);
	size_t kept = take_gains(times, values, count, usual_s, gains);

	if (kept < 2)
		return;
	curve->last_gain = gains[kept - 1];
	curve->usual_gain = median(gains, kept - 1); /* which sorts them */
	curve->least_gain = gains[0];
}

/* Since when the curve rises: the last time it was within a tenth of its rise from its lowest. */
static void measure_rise(struct site_curve *curve, const double *times, const double *values,
			 size_t count)
{
	double last = values[count - 1], lowest = values[0];
	size_t onset, i;

	for (i = 0; i < count; i++)
		lowest = MIN(lowest, values[i]);
	for (onset = count - 1; onset > 0; onset--)
		if (values[onset] <= lowest + ONSET * (last - lowest))
			break;
	curve->rise_s = times[count - 1] - times[onset];
	curve->rise_count = count - 1 - onset;
	for (i = onset + 1; i < count; i++)
		curve->rise_grown += values[i] > values[i - 1];
	onset = MAX(onset, 1); /* what came with the attach is no gain */
	measure_last_gain(curve, times + onset, values + onset, count - onset,
			  usual_interval(times + 1, count - 1));
}

static void measure_gains(struct site_curve *curve, const double *times, const double *values,
			  size_t count)
{
	g_autofree double *gains = g_new(double, count);
	double usual_s = usual_interval(times, count);
	size_t kept = take_gains(times, values, count, usual_s, gains);

	if (!kept)
		return;
	/* Of few nobody can tell: until then it is as if they did. */
	curve->gains_p_down = mann_kendall(gains, kept).p_down;
	curve->gains_fall =
		kept < MIN_GAINS || falls_evenly(gains, kept) || curve->gains_p_down < SIGNIFICANT;
	if (kept >= MIN_GAINS_OF_TWO_ENDS) {
		curve->early_gain = (gains[0] + gains[1]) / 2;
		curve->gains_s = 2 * usual_s;
		curve->late_gain = (gains[kept - 2] + gains[kept - 1]) / 2;
	}
}

static struct site_curve measure_without_attach(const double *times, const double *values,
						size_t count)
{
	size_t middle = (count - 1) / 2, recent = MAX(MIN_RECENT_INTERVALS, (count - 1) / 3), i;
	struct site_curve curve = { 0 };
	double highest = values[0];

	recent = MIN(recent, count - 1);
	curve.whole = mann_kendall(values, count);
	curve.last_half = mann_kendall(values + middle, count - middle);
	curve.slope = theil_sen(times, values, count).slope;
	curve.first_slope = theil_sen(times, values, middle + 1).slope;
	curve.last_slope = theil_sen(times + middle, values + middle, count - middle).slope;
	curve.rise = curve.slope * (times[count - 1] - times[0]);
	curve.recent_gain = values[count - 1] - values[count - 1 - recent];
	curve.recent_s = times[count - 1] - times[count - 1 - recent];
	for (i = 0; i < count; i++) {
		highest = MAX(highest, values[i]);
		curve.largest_fall = MAX(curve.largest_fall, highest - values[i]);
		if (i)
			curve.largest_gain = MAX(curve.largest_gain, values[i] - values[i - 1]);
	}
	measure_gains(&curve, times, values, count);
	curve.peak = highest;
	curve.gain = values[count - 1] - values[0];
	return curve;
}

struct site_curve site_curve_measure(const double *times, const double *values, size_t count)
{
	struct site_curve curve = measure_without_attach(times + 1, values + 1, count - 1);

	measure_rise(&curve, times, values, count);
	return curve;
}
