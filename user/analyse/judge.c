// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/judge.h"

#include <math.h>

/* A site with less of its line's bytes than this does not speak for itself. */
static const double PART_OF_LINE = 0.5;
/* Nor is one with less than this what its line is about. */
static const double TELLING_PART = 0.1;

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

static struct verdict_result judge(const struct history *history, const struct site_history *site,
				   const struct snapshot *snapshot, int64_t all_bytes)
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
		.survival_known = site->now.old_alloc_blocks > 0,
		.estimated = site->now.estimated,
		.observed_fraction =
			snapshot->families[site_main_family(&site->now)].observed_fraction,
		.uncollected = uncollected_objects(snapshot),
		.collected_ago_s = collected_ago_s(snapshot),
		.all_bytes = all_bytes,
	};

	return verdict_decide(&evidence);
}

struct verdict_result judge_site(const struct history *history, const struct history *lines,
				 const struct site_history *site, const struct snapshot *snapshot,
				 int64_t all_bytes)
{
	const struct site_history *line = g_hash_table_lookup(lines->sites, &site->now.line_id);
	struct verdict_result result = judge(history, site, snapshot, all_bytes), whole;

	if (!line ||
	    (result.verdict == VERDICT_LEAK && site->now.bytes >= PART_OF_LINE * line->now.bytes))
		return result;
	if (result.verdict == VERDICT_LEAK) {
		if (judge(lines, line, snapshot, all_bytes).verdict != VERDICT_LEAK)
			result.verdict = VERDICT_GROWING;
	} else if (site->now.estimated && result.verdict == VERDICT_GROWING &&
		   site->now.bytes >= TELLING_PART * line->now.bytes) {
		whole = judge(lines, line, snapshot, all_bytes);
		if (whole.verdict == VERDICT_LEAK)
			result = whole;
	}
	return result;
}
