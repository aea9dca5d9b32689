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
	MIN_GROWN = 4,
	MIN_GAINS = 5,
};
static const double SIGNIFICANT = 0.05, BEYOND_DOUBT = 0.001, SIGNIFICANT_OF_ESTIMATES = 0.01;
static const double LARGE_RISE = 0.25;
static const double PLATEAU_SLOPE = 0.1, SLOWING_SLOPE = 0.6, SLOWING_GAIN = 0.25;
static const double LET_GO = 0.3, SHRUNK = 0.05, SMALL_STEP = 0.02;
static const double KEPT = 0.8;
static const double LEAST_PACE = 0.45, MOST_PACE = 2, SAME_PACE = 1.4, NEARLY_ALL = 0.9,
		    LARGEST_STEP = 0.6;
static const double SLOW_PACE = 0.7, SLOWING_PACE = 0.85;
static const double FADING = 0.65, FADING_OF_KNOWN = 0.75, BLOCKS_AT_ONCE = 20;
/* Of a normal distribution, one-sided 1 %. */
static const double QUANTILE_99 = 2.326;
static const double LEAST_RISE_S = 45, ONSET = 0.1, GROWN_SHARE = 0.4;
static const double TELLING_INTERVAL = 0.5, PAUSE = 0.2, TELLING_BLOCKS = 8;
static const double RISE_COLLECTED = 0.25, COLLECTED = 0.05, FEW_OBJECTS = 5, BLOCKS_OF_OBJECT = 50,
		    LONGEST_WAIT_S = 300;
static const double LEAST_SHARE = 0.01, LEAST_RISE_BYTES = 16 << 10, SURE_ENOUGH = 0.9;

/* What the curve says, the attach left out. */
struct curve {
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
	double last_gain, least_gain; /* bytes/s; the least of those before the last */
	double rise_s;		      /* since it was last as low as at the beginning, or nearly */
	size_t rise_count;	      /* intervals since then */
	size_t rise_grown;	      /* of these, how many grew */
};

/* Since when the curve rises: the last time it was within a tenth of its rise from its lowest. */
static void measure_rise(struct curve *curve, const double *times, const double *values,
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
}

/* By the second: the last report comes when the trace ends, soon after the one before. */
static void measure_gains(struct curve *curve, const double *times, const double *values,
			  size_t count)
{
	g_autofree double *gains = g_new(double, count);
	double usual_s = (times[count - 1] - times[0]) / (count - 1);
	size_t kept = 0;

	for (size_t i = 1; i < count; i++) {
		double seconds = times[i] - times[i - 1];

		if (seconds >= TELLING_INTERVAL * usual_s && seconds > 0)
			gains[kept++] = (values[i] - values[i - 1]) / seconds;
	}
	if (!kept)
		return;
	/* Of few nobody can tell: until then it is as if they did. */
	curve->gains_p_down = mann_kendall(gains, kept).p_down;
	curve->gains_fall =
		kept < MIN_GAINS || falls_evenly(gains, kept) || curve->gains_p_down < SIGNIFICANT;
	if (kept >= MIN_GROWN) {
		curve->early_gain = (gains[0] + gains[1]) / 2;
		curve->gains_s = 2 * usual_s;
		curve->late_gain = (gains[kept - 2] + gains[kept - 1]) / 2;
	}
	curve->last_gain = gains[kept - 1];
	curve->least_gain = INFINITY;
	for (size_t i = 0; i + 1 < kept; i++)
		curve->least_gain = MIN(curve->least_gain, gains[i]);
}

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
	measure_gains(&curve, times, values, count);
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
 * How fast blocks that are still there came since survival_age_s ago, over how fast they came
 * before that. Both are of one look at the same blocks, whose ages are known: what makes the curve
 * of an estimate uncertain cancels out. @deviation: the standard error of its logarithm, were
 * blocks independent.
 */
static double survivors_pace(const struct verdict_evidence *evidence, double *deviation)
{
	double late_s = evidence->survival_age_s;
	double early_s = evidence->times[evidence->count - 1] - late_s;
	double late = evidence->outstanding_blocks - evidence->old_live_blocks;

	*deviation = INFINITY;
	if (late_s <= 0 || early_s <= 0)
		return 0;
	if (evidence->old_live_blocks <= 0)
		return INFINITY;
	if (late > 0)
		*deviation = sqrt(1 / late + 1 / evidence->old_live_blocks);
	return late / late_s / (evidence->old_live_blocks / early_s);
}

/*
 * By the curve alone: the gains become smaller by more than chance would have it, were blocks
 * allocated 20 at a time. Holds where blocks come and go, or too few were seen, for
 * survivors_pace(). Estimates are rough for other reasons, so of these they must fall one after
 * the other.
 */
static bool gains_fade(const struct verdict_evidence *evidence, const struct curve *curve)
{
	bool known = !evidence->estimated && evidence->survival_known;
	double last = evidence->values[evidence->count - 1];
	double early = curve->early_gain, late = MAX(curve->late_gain, 0), blocks;

	if (late >= (known ? FADING_OF_KNOWN : FADING) * early || last <= 0 ||
	    (!known && curve->gains_p_down >= SIGNIFICANT))
		return false;
	if (late <= 0)
		return true;
	/* That late_gain stands for; early_gain for early / late times as many. */
	blocks = evidence->outstanding_blocks / last * late * curve->gains_s / BLOCKS_AT_ONCE;
	return log(late / early) < -QUANTILE_99 * sqrt((1 + late / early) / MAX(blocks, 1));
}

/* Ever fewer stay, interval by interval: what a cache does whose keys come back. */
static bool fills_up(const struct verdict_evidence *evidence, const struct curve *curve)
{
	double deviation, pace = survivors_pace(evidence, &deviation);

	if (gains_fade(evidence, curve))
		return true;
	return evidence->survival_known && pace < SLOWING_PACE &&
	       log(pace) < -QUANTILE_99 * deviation && curve->gains_fall;
}

/* Of what is known block by block: fewer stay than before, and not by chance. */
static bool slows_down_surely(const struct verdict_evidence *evidence, const struct curve *curve)
{
	double deviation, pace = survivors_pace(evidence, &deviation);
	double expected = (double)evidence->outstanding_blocks / MAX(curve->rise_count, 1);

	if (curve->recent_gain < SLOWING_GAIN * curve->first_slope * curve->recent_s)
		return true;
	/* It may have stopped just now. */
	if (expected >= TELLING_BLOCKS && curve->last_gain < PAUSE * curve->slope &&
	    curve->last_gain < curve->least_gain)
		return true;
	return pace < SLOW_PACE && log(pace) < -QUANTILE_99 * deviation;
}

static bool slows_down(const struct curve *curve)
{
	return curve->last_slope < SLOWING_SLOPE * curve->first_slope ||
	       curve->recent_gain < SLOWING_GAIN * curve->first_slope * curve->recent_s;
}

/* What is asked of estimates, whose curves are too rough for slows_down(). */
static bool is_leak_by_sample(const struct verdict_evidence *evidence, const struct curve *curve)
{
	double deviation;

	return evidence->survival_known &&
	       evidence->values[evidence->count - 1] >= LEAST_SHARE * evidence->all_bytes &&
	       evidence->intervals >= MIN_INTERVALS_OF_ESTIMATES &&
	       curve->whole.p_up <= SIGNIFICANT_OF_ESTIMATES &&
	       survivors_pace(evidence, &deviation) >= LEAST_PACE &&
	       curve->largest_gain <= LARGEST_STEP * curve->gain;
}

/*
 * As much as the site holds may be garbage in cycles, which the collector has not looked at yet. It
 * has where it ran after a good part of the rise, and nothing went.
 */
static bool may_be_garbage(const struct verdict_evidence *evidence, const struct curve *curve)
{
	bool left = evidence->collected_ago_s <= (1 - RISE_COLLECTED) * curve->rise_s &&
		    curve->largest_fall <= COLLECTED * curve->peak;

	return !left && evidence->uncollected >= FEW_OBJECTS &&
	       evidence->uncollected * BLOCKS_OF_OBJECT >= evidence->outstanding_blocks &&
	       evidence->times[evidence->count - 1] < LONGEST_WAIT_S;
}

static bool is_leak(const struct verdict_evidence *evidence, const struct curve *curve,
		    double *confidence)
{
	double last = evidence->values[evidence->count - 1], p = curve->whole.p_up;
	bool known = evidence->survival_known && evidence->held_blocks > 0;
	double kept = known ? kept_share(evidence, curve) : 1, deviation;

	if (curve->rise_s < LEAST_RISE_S || curve->rise_grown < MIN_GROWN ||
	    curve->rise_grown < GROWN_SHARE * curve->rise_count || curve->rise < LEAST_RISE_BYTES)
		return false;
	if (!(curve->rise >= LARGE_RISE * last) && !(p < BEYOND_DOUBT))
		return false;
	if (curve->largest_fall > LET_GO * curve->peak || may_be_garbage(evidence, curve))
		return false;
	if (fills_up(evidence, curve))
		return false;
	if (evidence->estimated) {
		if (!is_leak_by_sample(evidence, curve))
			return false;
		/* As many old ones as if none had gone. */
		if (survivors_pace(evidence, &deviation) <
		    (evidence->observed_fraction < NEARLY_ALL ? MOST_PACE : SAME_PACE))
			kept = 1;
	} else if (known ? slows_down_surely(evidence, curve) : slows_down(curve)) {
		return false;
	}
	if (known ? kept < KEPT
		  : evidence->intervals < MIN_INTERVALS_WITHOUT_SURVIVAL || !(p < BEYOND_DOUBT))
		return false;
	*confidence = (1 - p) * kept * (1 - exp2(-(double)evidence->intervals_grown));
	*confidence = CLAMP(*confidence, 0, known ? 0.99 : SURE_ENOUGH);
	return *confidence >= SURE_ENOUGH;
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
	measure_rise(&curve, evidence->times, evidence->values, evidence->count);
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
