// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/verdict.h"

#include <math.h>

#include "analyse/significance.h"
#include "analyse/site_curve.h"

/* The rule is in the header; these are its numbers. */
enum {
	MIN_INTERVALS = 4,
	MIN_INTERVALS_OF_ESTIMATES = 6,
	MIN_INTERVALS_WITHOUT_SURVIVAL = 8,
	MANY_INTERVALS = 8,
	MIN_GROWN = 4,
	MIN_INTERVALS_WITH_MEMORY = 5,
	MIN_GROWN_WITH_MEMORY = 3,
};
static const double BEYOND_DOUBT = 0.001, SIGNIFICANT_OF_ESTIMATES = 0.01;
static const double LARGE_RISE = 0.25;
static const double PLATEAU_SLOPE = 0.1, SLOWING_SLOPE = 0.6, SLOWING_GAIN = 0.25;
static const double LET_GO = 0.3, SHRUNK = 0.05, SMALL_STEP = 0.02;
static const double KEPT = 0.8;
static const double LEAST_PACE = 0.45, MOST_PACE = 2, SAME_PACE = 1.4, NEARLY_ALL = 0.9,
		    LARGEST_STEP = 0.6;
static const double SLOW_PACE = 0.7, SLOWING_PACE = 0.85;
static const double FADING = 0.65, FADING_OF_KNOWN = 0.75, BLOCKS_AT_ONCE = 20;
/* Where memory in use helps out, and where it contradicts. */
static const double LEADING_SHARE = 0.05, LARGEST_STEP_WITH_MEMORY = 0.8, CONTRADICTING = 0.25;
/* Of a normal distribution, one-sided 1 %. */
static const double QUANTILE_99 = 2.326;
static const double LEAST_RISE_S = 45, LEAST_RISE_UNTESTED_S = 90, TESTED = 0.1, GROWN_SHARE = 0.4;
static const double PAUSE = 0.2, TELLING_BLOCKS = 8;
static const double RISE_COLLECTED = 0.25, COLLECTED = 0.05, FEW_OBJECTS = 5, BLOCKS_OF_OBJECT = 50,
		    LONGEST_WAIT_S = 300;
static const double ROUGH = 0.5, SMALL_SHARE = 0.1, LEAST_SHARE = 0.05, LEAST_RISE_BYTES = 16 << 10;
static const double SURE = 0.95, SURE_ENOUGH = 0.9, MOST_SURE = 0.99,
		    MOST_SURE_WITHOUT_SURVIVAL = 0.9;

static struct verdict_result few_intervals(const struct verdict_evidence *evidence)
{
	struct verdict_result result = { .verdict = VERDICT_STEADY };
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

static bool is_shrinking(const struct site_curve *curve, double last)
{
	return MIN(curve->whole.p_down, curve->last_half.p_down) < SIGNIFICANT &&
	       curve->peak - last > SHRUNK * curve->peak;
}

static bool memory_rises(const struct verdict_evidence *evidence)
{
	return evidence->memory && evidence->memory->lasting;
}

/* An estimate also stands still where no window came by. */
static bool is_growing(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	if (curve->whole.p_up >= SIGNIFICANT)
		return false;
	return (evidence->estimated && memory_rises(evidence)) ||
	       (curve->last_slope > 0 && curve->last_slope > PLATEAU_SLOPE * curve->first_slope &&
		curve->recent_gain > PLATEAU_SLOPE * curve->first_slope * curve->recent_s);
}

/* The share of the old blocks that stayed, 0 to 1, by the kinder of the two measures. */
static double kept_share(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	double last = evidence->values[evidence->count - 1];
	double now = evidence->times[evidence->count - 1], expected = evidence->held_blocks;

	/* Between two moments what was outstanding is a guess; of few blocks a poor one. */
	if (evidence->old_alloc_blocks > 0)
		expected = MIN(expected, evidence->old_alloc_blocks);
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

/* How many independent events the newest value is the sum of, at most. */
static double independent_events(const struct verdict_evidence *evidence)
{
	double events = evidence->outstanding_blocks / BLOCKS_AT_ONCE;

	if (evidence->relative_error > 0)
		events = MIN(events, 1 / (evidence->relative_error * evidence->relative_error));
	return events;
}

/*
 * By the curve alone: the gains become smaller by more than chance would have it, were blocks
 * allocated 20 at a time. Holds where blocks come and go, or too few were seen, for
 * survivors_pace(). Estimates are rough for other reasons, so of these they must fall one after
 * the other. A small part of what is outstanding, as a cache's keys, has few blocks to go by: there
 * it is enough that they fall.
 */
static bool gains_fade(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	bool known = !evidence->estimated && evidence->survival_known;
	double last = evidence->values[evidence->count - 1];
	double early = curve->early_gain, late = MAX(curve->late_gain, 0), late_events;

	if (last < SMALL_SHARE * evidence->all_bytes && curve->gains_fall &&
	    late < FADING_OF_KNOWN * early)
		return true;
	if (late >= (known ? FADING_OF_KNOWN : FADING) * early || last <= 0 ||
	    (!known && curve->gains_p_down >= SIGNIFICANT))
		return false;
	if (late <= 0 || (!known && curve->gains_p_down < SIGNIFICANT_OF_ESTIMATES))
		return true;
	/* That late_gain stands for; early_gain for early / late times as many. */
	late_events = independent_events(evidence) * late * curve->gains_s / last;
	return log(late / early) < -QUANTILE_99 * sqrt((1 + late / early) / MAX(late_events, 1));
}

/* Ever fewer stay, interval by interval: what a cache does whose keys come back. */
static bool fills_up(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	double deviation, pace = survivors_pace(evidence, &deviation);

	if (gains_fade(evidence, curve))
		return true;
	return evidence->survival_known && pace < SLOWING_PACE &&
	       log(pace) < -QUANTILE_99 * deviation && curve->gains_fall;
}

/* Of what is known block by block: fewer stay than before, and not by chance. */
static bool slows_down_surely(const struct verdict_evidence *evidence,
			      const struct site_curve *curve)
{
	double deviation, pace = survivors_pace(evidence, &deviation);
	double expected = (double)evidence->outstanding_blocks / MAX(curve->rise_count, 1);

	if (curve->recent_gain < SLOWING_GAIN * curve->first_slope * curve->recent_s)
		return true;
	/* It may have stopped just now. */
	if (expected >= TELLING_BLOCKS && curve->last_gain < PAUSE * curve->usual_gain &&
	    curve->last_gain < curve->least_gain)
		return true;
	return pace < SLOW_PACE && log(pace) < -QUANTILE_99 * deviation;
}

static bool slows_down(const struct site_curve *curve)
{
	return curve->last_slope < SLOWING_SLOPE * curve->first_slope ||
	       curve->recent_gain < SLOWING_GAIN * curve->first_slope * curve->recent_s;
}

static bool old_are_known(const struct verdict_evidence *evidence)
{
	return evidence->survival_known && evidence->held_blocks > 0;
}

/* What is asked of estimates, whose curves are too rough for slows_down(). */
static bool is_leak_by_sample(const struct verdict_evidence *evidence,
			      const struct site_curve *curve)
{
	double deviation;

	return old_are_known(evidence) && evidence->relative_error < ROUGH &&
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
static bool may_be_garbage(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	bool left = evidence->collected_ago_s <= (1 - RISE_COLLECTED) * curve->rise_s &&
		    curve->largest_fall <= COLLECTED * curve->peak;

	return !left && evidence->uncollected >= FEW_OBJECTS &&
	       evidence->uncollected * BLOCKS_OF_OBJECT >= evidence->outstanding_blocks &&
	       evidence->times[evidence->count - 1] < LONGEST_WAIT_S;
}

/* The process's memory does not grow, or not by what the site claims nor by a good part of it. */
static bool is_contradicted(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	const struct curve_summary *memory = evidence->memory;

	if (!memory || memory->trend == CURVE_UNKNOWN)
		return false;
	return !(memory->trend == CURVE_GROWING || memory->lasting) ||
	       memory->most_bytes_per_s < CONTRADICTING * curve->slope;
}

/*
 * The site leads in a process whose memory rises lastingly, and nothing that was seen of it speaks
 * against its part in that.
 */
static bool is_leak_with_memory(const struct verdict_evidence *evidence,
				const struct site_curve *curve)
{
	double last = evidence->values[evidence->count - 1], old = evidence->old_live_blocks;
	double young = evidence->outstanding_blocks - old, deviation;
	double pace = survivors_pace(evidence, &deviation);

	if (!memory_rises(evidence) || !evidence->survival_known || old <= 0 || young <= 0 ||
	    last < LEADING_SHARE * MIN(evidence->all_bytes, evidence->memory->rise_bytes) ||
	    evidence->intervals < MIN_INTERVALS_WITH_MEMORY ||
	    curve->rise_grown < MIN_GROWN_WITH_MEMORY || gains_fade(evidence, curve) ||
	    curve->largest_gain > LARGEST_STEP_WITH_MEMORY * curve->gain)
		return false;
	/* The totals of pymalloc are known, and with them the curve of what holds most of a size
	 * class; how old its blocks are only a few windows say. */
	if (!curve->gains_fall && curve->late_gain >= SLOWING_PACE * curve->early_gain)
		return true;
	/* Blocks of an estimate are more than were seen: as few as its error says. */
	deviation = MAX(deviation, evidence->relative_error *
					   sqrt((old + young) / old + (old + young) / young));
	return log(pace / SLOWING_PACE) >= -QUANTILE_99 * deviation &&
	       log(pace / LEAST_PACE) >= -deviation;
}

/* That both tests' results are chance (Fisher 1932). */
static double both_by_chance(double p, double q)
{
	double both = MAX(p * q, 1e-12);

	return both * (1 - log(both));
}

/* What is known of old blocks says little where hardly any of what is outstanding was there then:
 * the rise began after that. */
static double least_rise_s(const struct verdict_evidence *evidence)
{
	bool tested = evidence->held_blocks >= TESTED * evidence->outstanding_blocks;

	return evidence->estimated || tested ? LEAST_RISE_S : LEAST_RISE_UNTESTED_S;
}

/* It has risen for long enough, and most of the time; if need be without knowing of old blocks. */
static bool rises_long(const struct verdict_evidence *evidence, const struct site_curve *curve)
{
	if (!old_are_known(evidence) && (evidence->intervals < MIN_INTERVALS_WITHOUT_SURVIVAL ||
					 curve->whole.p_up >= BEYOND_DOUBT))
		return false;
	return curve->rise_s >= least_rise_s(evidence) && curve->rise_grown >= MIN_GROWN &&
	       curve->rise_grown >= GROWN_SHARE * curve->rise_count && !fills_up(evidence, curve);
}

/* Early on, and of the many small sites, more look like a leak by chance. */
static double least_sure(const struct verdict_evidence *evidence)
{
	double last = evidence->values[evidence->count - 1];

	return evidence->intervals >= MANY_INTERVALS && last >= SMALL_SHARE * evidence->all_bytes
		       ? SURE_ENOUGH
		       : SURE;
}

static bool is_leak(const struct verdict_evidence *evidence, const struct site_curve *curve,
		    struct verdict_result *result)
{
	double last = evidence->values[evidence->count - 1], p = curve->whole.p_up;
	bool known = old_are_known(evidence);
	double kept = known ? kept_share(evidence, curve) : 1, deviation, sure;
	uint32_t grown = evidence->intervals_grown;

	if (curve->rise < LEAST_RISE_BYTES ||
	    (!(curve->rise >= LARGE_RISE * last) && !(p < BEYOND_DOUBT)))
		return false;
	if (curve->largest_fall > LET_GO * curve->peak || may_be_garbage(evidence, curve))
		return false;
	if (!evidence->estimated) {
		if (!rises_long(evidence, curve) ||
		    (known ? slows_down_surely(evidence, curve) : slows_down(curve)))
			return false;
	} else if (is_contradicted(evidence, curve)) {
		return false;
	} else if (is_leak_with_memory(evidence, curve)) {
		p = both_by_chance(p, evidence->memory->p_up);
		grown = MAX(grown, evidence->memory->spans_grown);
		result->with_memory = true;
	} else if (!rises_long(evidence, curve) || !is_leak_by_sample(evidence, curve)) {
		return false;
	}
	/* As many old ones as if none had gone. */
	if (evidence->estimated &&
	    survivors_pace(evidence, &deviation) <
		    (evidence->observed_fraction < NEARLY_ALL ? MOST_PACE : SAME_PACE))
		kept = 1;
	if (known && kept < KEPT)
		return false;
	sure = (1 - p) * kept * (1 - exp2(-(double)grown));
	result->confidence = MIN(sure, known ? MOST_SURE : MOST_SURE_WITHOUT_SURVIVAL);
	return sure >= least_sure(evidence);
}

struct verdict_result verdict_decide(const struct verdict_evidence *evidence)
{
	struct verdict_result result = { 0 };
	struct site_curve curve;
	double p, last;

	if (evidence->intervals < MIN_INTERVALS || evidence->count < MIN_INTERVALS + 1)
		return few_intervals(evidence);
	last = evidence->values[evidence->count - 1];
	curve = site_curve_measure(evidence->times, evidence->values, evidence->count);
	if (is_shrinking(&curve, last)) {
		result.verdict = VERDICT_SHRINKING;
		p = MIN(curve.whole.p_down, curve.last_half.p_down);
	} else if (is_growing(evidence, &curve)) {
		if (is_leak(evidence, &curve, &result)) {
			result.verdict = VERDICT_LEAK;
			return result;
		}
		result.verdict = VERDICT_GROWING;
		result.fades = gains_fade(evidence, &curve);
		p = curve.whole.p_up;
	} else {
		result.verdict = VERDICT_STEADY;
		p = 1 - MAX(curve.last_half.p_up, curve.last_half.p_down);
	}
	result.confidence = CLAMP(1 - p, 0.5, 0.99);
	return result;
}
