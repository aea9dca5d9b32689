// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/judge.h"

#include <math.h>

#include "analyse/significance.h"

/* A site with less of its line's bytes than this does not speak for itself. */
static const double PART_OF_LINE = 0.5;
/* Nor is one with less than this what its line is about. */
static const double TELLING_PART = 0.03;
/* Nor one with less than this of all that is outstanding, if it is an estimate. */
static const double TELLING_SHARE = 0.03;
/* An estimate with such a standard error says little more than that there is something. */
static const double ROUGH = 0.5;

enum family site_main_family(const struct site_sums *sums)
{
	enum family family, best = FAMILY_PYMALLOC;

	for (family = FAMILY_PYMALLOC; family < FAMILY_COUNT; family++) {
		if (sums->family_bytes[family] > sums->family_bytes[best])
			best = family;
	}
	return best;
}

static double uncollected_objects(const struct snapshot *snapshot)
{
	return snapshot->gc_known && snapshot->gc_enabled ? snapshot->gc_young : 0;
}

static double collected_ago_s(const struct snapshot *snapshot)
{
	if (!snapshot->gc_collected_ns)
		return INFINITY;
	return (snapshot->taken_ns - MIN(snapshot->gc_collected_ns, snapshot->taken_ns)) / 1e9;
}

/* From the 95 % interval. */
static double relative_error(const struct site_sums *sums)
{
	double width = sums->bytes_high - sums->bytes_low;

	return sums->estimated && sums->bytes > 0 ? width / 2 / QUANTILE_95 / sums->bytes : 0;
}

static struct verdict_result judge(const struct history *history, const struct site_history *site,
				   const struct snapshot *snapshot, int64_t all_bytes,
				   const struct curve_summary *memory)
{
	const double *times = (const double *)(void *)history->times->data;
	double survival_age_s = snapshot->survival_age_ns / 1e9;
	g_autofree double *values = history_bytes(history, site);
	struct verdict_evidence evidence = {
		.times = times,
		.values = values,
		.count = history->times->len,
		.intervals = MIN(history->snapshots, UINT32_MAX),
		.intervals_grown = site->intervals_grown,
		.outstanding_blocks = site->now.blocks,
		.survival_age_s = survival_age_s,
		.held_blocks = history_blocks_at(history, site,
						 times[history->times->len - 1] - survival_age_s),
		.old_live_blocks = site->now.old_live_blocks,
		.old_alloc_blocks = site->now.old_alloc_blocks,
		.survival_known = site->now.old_alloc_blocks > 0,
		.estimated = site->now.estimated,
		.observed_fraction =
			snapshot->families[site_main_family(&site->now)].observed_fraction,
		.uncollected = uncollected_objects(snapshot),
		.collected_ago_s = collected_ago_s(snapshot),
		.all_bytes = all_bytes,
		.relative_error = relative_error(&site->now),
		.memory = memory,
	};

	return verdict_decide(&evidence);
}

/*
 * Whether the line that a leaking site is a part of is a leak, too. The estimate of a whole line
 * can be so rough, for one block that stands for hundreds, that it only must not speak against it.
 */
static bool line_agrees(const struct site_history *line, const struct verdict_result *whole)
{
	return whole->verdict == VERDICT_LEAK ||
	       (whole->verdict == VERDICT_GROWING && relative_error(&line->now) >= ROUGH);
}

struct verdict_result judge_site(const struct history *history, const struct history *lines,
				 const struct site_history *site, const struct snapshot *snapshot,
				 int64_t all_bytes, const struct curve_summary *memory)
{
	const struct site_history *line = g_hash_table_lookup(lines->sites, &site->now.line_id);
	struct verdict_result result = judge(history, site, snapshot, all_bytes, memory), whole;

	if (!line ||
	    (result.verdict == VERDICT_LEAK && site->now.bytes >= PART_OF_LINE * line->now.bytes))
		return result;
	if (result.verdict == VERDICT_LEAK) {
		whole = judge(lines, line, snapshot, all_bytes, memory);
		if (!line_agrees(line, &whole))
			result.verdict = VERDICT_GROWING;
	} else if (site->now.estimated && result.verdict == VERDICT_GROWING && !result.fades &&
		   site->now.bytes >= TELLING_SHARE * all_bytes &&
		   site->now.bytes >= TELLING_PART * line->now.bytes) {
		whole = judge(lines, line, snapshot, all_bytes, memory);
		if (whole.verdict == VERDICT_LEAK)
			result = whole;
	}
	return result;
}
