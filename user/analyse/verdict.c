// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/verdict.h"

#include <math.h>

#include "analyse/trend.h"

/* The rule is in the header; these are its numbers. */
enum {
	MIN_INTERVALS = 4,
	MIN_INTERVALS_OF_ESTIMATES = 6,
	MIN_INTERVALS_WITHOUT_SURVIVAL = 8,
	MIN_RECENT_INTERVALS = 3,
};
static const double SIGNIFICANT = 0.05, BEYOND_DOUBT = 0.001, SIGNIFICANT_OF_ESTIMATES = 0.01;
static const double LARGE_RISE = 0.25;
static const double PLATEAU_SLOPE = 0.1, SLOWING_SLOPE = 0.6, SLOWING_GAIN = 0.25;
static const double LET_GO = 0.3, SHRUNK = 0.05, SMALL_STEP = 0.02;
static const double KEPT = 0.8;
static const double LEAST_PACE = 0.45, MOST_PACE = 2, LARGEST_STEP = 0.6;

/* What the curve says, the attach left out. */
struct curve {
	struct mann_kendall whole, last_half;
	double rise; /* bytes: the slope of the whole times its duration */
	double slope, first_slope, last_slope; /* bytes/s */
	double recent_gain, recent_s;
	double peak, largest_fall;
	double gain, largest_gain; /* of the whole; in one interval */
};

static struct curve curve_measure(const double *times, const double *values, size_t count)
{
	size_t middle = (count - 1) / 2, recent = MAX(MIN_RECENT_INTERVALS, (count - 1) / 3), i;
	struct curve curve = { 0 };
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
	curve.peak = highest;
	curve.gain = values[count - 1] - values[0];
	return curve;
}

static struct verdict_result few_intervals(const struct verdict_evidence *evidence)
{
	struct verdict_result result = { VERDICT_STEADY, 0 };
	double now, before;

	if (evidence->count < 2)
		return result;
	now = evidence->values[evidence->count - 1];
	before = evidence->values[evidence->count - 2];
	if (now - before > SMALL_STEP * fabs(before))
		result.verdict = VERDICT_GROWING;
	else if (before - now > SMALL_STEP * fabs(before))
		result.verdict = VERDICT_SHRINKING;
	result.confidence = MIN(0.45, 0.15 * evidence->intervals);
	return result;
}

static bool is_shrinking(const struct curve *curve, double last)
{
	return MIN(curve->whole.p_down, curve->last_half.p_down) < SIGNIFICANT &&
	       curve->peak - last > SHRUNK * curve->peak;
}

static bool is_growing(const struct curve *curve)
{
	return curve->whole.p_up < SIGNIFICANT && curve->last_slope > 0 &&
	       curve->last_slope > PLATEAU_SLOPE * curve->first_slope &&
	       curve->recent_gain > PLATEAU_SLOPE * curve->first_slope * curve->recent_s;
}

static bool slows_down(const struct curve *curve)
{
	return curve->last_slope < SLOWING_SLOPE * curve->first_slope ||
	       curve->recent_gain < SLOWING_GAIN * curve->first_slope * curve->recent_s;
}

/* The share of the old blocks that stayed, 0 to 1, by the kinder of the two measures. */
static double kept_share(const struct verdict_evidence *evidence, const struct curve *curve)
{
	double last = evidence->values[evidence->count - 1];
	double now = evidence->times[evidence->count - 1], expected = evidence->held_blocks;

	if (last > 0 && curve->slope > 0) {
		double blocks_per_byte = evidence->outstanding_blocks / last;
		double risen_by_then = curve->slope * (now - evidence->survival_age_s);

		if (risen_by_then > 0 && risen_by_then * blocks_per_byte < expected)
			expected = risen_by_then * blocks_per_byte;
	}
	return expected > 0 ? CLAMP(evidence->old_live_blocks / expected, 0, 1) : 0;
}

/*
 * Of estimates: how fast blocks that are still there came since survival_age_s ago, over how fast
 * they came before that. Both are of the same sample, which knows when each block was born: what
 * makes the curve of an estimate uncertain cancels out.
 */
static double survivors_pace(const struct verdict_evidence *evidence)
{
	double late_s = evidence->survival_age_s;
	double early_s = evidence->times[evidence->count - 1] - late_s;
	double late = evidence->outstanding_blocks - evidence->old_live_blocks;

	if (late_s <= 0 || early_s <= 0)
		return 0;
	if (evidence->old_live_blocks <= 0)
		return INFINITY;
	return late / late_s / (evidence->old_live_blocks / early_s);
}

/* What is asked of estimates, whose curves are too rough for slows_down(). */
static bool is_leak_by_sample(const struct verdict_evidence *evidence, const struct curve *curve)
{
	return evidence->intervals >= MIN_INTERVALS_OF_ESTIMATES &&
	       curve->whole.p_up <= SIGNIFICANT_OF_ESTIMATES &&
	       survivors_pace(evidence) >= LEAST_PACE &&
	       curve->largest_gain <= LARGEST_STEP * curve->gain;
}

static bool is_leak(const struct verdict_evidence *evidence, const struct curve *curve,
		    double *confidence)
{
	double last = evidence->values[evidence->count - 1], p = curve->whole.p_up;
	bool known = evidence->survival_known && evidence->held_blocks > 0;
	double kept = known ? kept_share(evidence, curve) : 1;

	if (!(curve->rise >= LARGE_RISE * last) && !(p < BEYOND_DOUBT))
		return false;
	if (curve->largest_fall > LET_GO * curve->peak)
		return false;
	if (evidence->estimated && known) {
		if (!is_leak_by_sample(evidence, curve))
			return false;
		/* As many old ones as if none had gone. */
		if (survivors_pace(evidence) < MOST_PACE)
			kept = 1;
	} else if (slows_down(curve)) {
		return false;
	}
	if (known ? kept < KEPT
		  : evidence->intervals < MIN_INTERVALS_WITHOUT_SURVIVAL || !(p < BEYOND_DOUBT))
		return false;
	*confidence = (1 - p) * kept * (1 - exp2(-(double)evidence->intervals_grown));
	*confidence = CLAMP(*confidence, 0, known ? 0.99 : 0.9);
	return true;
}

struct verdict_result verdict_decide(const struct verdict_evidence *evidence)
{
	struct verdict_result result;
	struct curve curve;
	double p, last;

	if (evidence->intervals < MIN_INTERVALS || evidence->count < MIN_INTERVALS + 1)
		return few_intervals(evidence);
	last = evidence->values[evidence->count - 1];
	curve = curve_measure(evidence->times + 1, evidence->values + 1, evidence->count - 1);
	if (is_shrinking(&curve, last)) {
		result.verdict = VERDICT_SHRINKING;
		p = MIN(curve.whole.p_down, curve.last_half.p_down);
	} else if (is_growing(&curve)) {
		if (is_leak(evidence, &curve, &result.confidence)) {
			result.verdict = VERDICT_LEAK;
			return result;
		}
		result.verdict = VERDICT_GROWING;
		p = curve.whole.p_up;
	} else {
		result.verdict = VERDICT_STEADY;
		p = 1 - MAX(curve.last_half.p_up, curve.last_half.p_down);
	}
	result.confidence = CLAMP(1 - p, 0.5, 0.99);
	return result;
}
