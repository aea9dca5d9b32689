// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/analysis.h"

#include <math.h>
#include <string.h>

#include "analyse/group.h"
#include "analyse/history.h"
#include "analyse/lead.h"
#include "analyse/rank.h"
#include "analyse/trend.h"
#include "analyse/verdict.h"

struct analysis {
	struct analysis_options options;
	struct history *history;
	/* Site ids by context id: hashing 10,000 stacks anew for each report would be most of its
	 * cost. */
	GHashTable *site_ids;
	uint64_t previous_taken_ns;
	int64_t unresolved_blocks;
};

/* A context's site, once its stack is known. */
struct known_site {
	uint64_t site_id, seen_in_snapshot;
};

struct analysis *analysis_new(const struct analysis_options *options)
{
	struct analysis *analysis = g_new0(struct analysis, 1);

	analysis->options = *options;
	analysis->options.include = g_strdupv(options->include);
	analysis->options.exclude = g_strdupv(options->exclude);
	analysis->history = history_new();
	analysis->site_ids = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	return analysis;
}

void analysis_free(struct analysis *analysis)
{
	if (!analysis)
		return;
	g_strfreev(analysis->options.include);
	g_strfreev(analysis->options.exclude);
	history_free(analysis->history);
	g_hash_table_unref(analysis->site_ids);
	g_free(analysis);
}

static uint32_t lead_of(const struct analysis *analysis, const struct stack *stack)
{
	return stack ? stack_lead(stack, analysis->options.include, analysis->options.exclude) : 0;
}

static uint64_t site_id_of(struct analysis *analysis, const struct snapshot_context *context,
			   const struct analysis_sources *sources)
{
	void *key = GUINT_TO_POINTER(context->id);
	struct known_site *known = g_hash_table_lookup(analysis->site_ids, key);
	const struct stack *stack;

	if (!known) {
		stack = sources->stack ? sources->stack(sources->context, context->id) : NULL;
		if (!stack) {
			analysis->unresolved_blocks =
				saturating_add(analysis->unresolved_blocks, context->live_blocks);
			return group_site_id(analysis->options.group_by, context->family, NULL, 0);
		}
		known = g_new0(struct known_site, 1);
		known->site_id = group_site_id(analysis->options.group_by, context->family, stack,
					       lead_of(analysis, stack));
		g_hash_table_insert(analysis->site_ids, key, known);
	}
	known->seen_in_snapshot = analysis->history->snapshots;
	return known->site_id;
}

static gboolean is_gone(void *key, void *value, void *data)
{
	const struct known_site *known = value;

	(void)key;
	return known->seen_in_snapshot != *(const uint64_t *)data;
}

static void site_add(struct site_sums *sums, const struct snapshot_context *context)
{
	enum family family = (unsigned int)context->family < FAMILY_COUNT ? context->family : 0;

	sums->bytes = saturating_add(sums->bytes, context->live_bytes);
	sums->blocks = saturating_add(sums->blocks, context->live_blocks);
	sums->family_bytes[family] =
		saturating_add(sums->family_bytes[family], context->live_bytes);
	if (context->oldest_born_ns &&
	    (!sums->oldest_born_ns || context->oldest_born_ns < sums->oldest_born_ns))
		sums->oldest_born_ns = context->oldest_born_ns;
	if (context->estimated) {
		double error = (context->live_bytes_high - context->live_bytes_low) / 2;

		sums->estimated = true;
		sums->error_squares += error * error;
	}
	sums->old_alloc_blocks += context->old_alloc_blocks;
	sums->old_live_blocks += context->old_live_blocks;
	if (!sums->contexts++ || context->live_bytes > sums->largest_bytes) {
		sums->largest_context = context->id;
		sums->largest_bytes = context->live_bytes;
	}
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / 1e9 : 0;
}

static double per_second(int64_t bytes, double seconds)
{
	return seconds > 0 ? bytes / seconds : 0;
}

static void fill_survival(struct site *site, const struct site_history *history,
			  const struct snapshot *snapshot, double held_blocks)
{
	const struct site_sums *now = &history->now;

	site->survival_age_s = snapshot->survival_age_ns / 1e9;
	site->survival = -1;
	site->retention = -1;
	if (now->old_alloc_blocks)
		site->survival = MIN(1, (double)now->old_live_blocks / now->old_alloc_blocks);
	if (now->old_alloc_blocks && held_blocks > 0)
		site->retention = MIN(1, now->old_live_blocks / held_blocks);
}

static void fill_verdict(struct site *site, const struct analysis *analysis,
			 const struct site_history *history, double elapsed_s)
{
	const GArray *axis = analysis->history->times;
	const double *times = (const double *)(void *)axis->data;
	g_autofree double *values = history_bytes(analysis->history, history);
	struct theil_sen slope = theil_sen(times, values, axis->len);
	struct verdict_evidence evidence = {
		.times = times,
		.values = values,
		.count = axis->len,
		.intervals = site->intervals,
		.intervals_grown = site->intervals_grown,
		.outstanding_blocks = site->outstanding_blocks,
		.survival_age_s = site->survival_age_s,
		.held_blocks = history_blocks_at(analysis->history, history,
						 elapsed_s - site->survival_age_s),
		.old_live_blocks = history->now.old_live_blocks,
		.survival_known = history->now.old_alloc_blocks > 0,
		.estimated = history->now.estimated,
	};
	struct verdict_result result = verdict_decide(&evidence);

	site->verdict = result.verdict;
	site->confidence = result.confidence;
	site->growth_bytes_per_s_low = MIN(slope.low, site->growth_bytes_per_s);
	site->growth_bytes_per_s_high = MAX(slope.high, site->growth_bytes_per_s);
	if (history->now.estimated && elapsed_s > 0) {
		double error = sqrt(history->now.error_squares) / elapsed_s;

		site->growth_bytes_per_s_low =
			MIN(site->growth_bytes_per_s_low, site->growth_bytes_per_s - error);
		site->growth_bytes_per_s_high =
			MAX(site->growth_bytes_per_s_high, site->growth_bytes_per_s + error);
	}
}

static enum family main_family(const struct site_sums *sums)
{
	enum family family, best = FAMILY_PYMALLOC;

	for (family = FAMILY_PYMALLOC; family < FAMILY_COUNT; family++) {
		if (sums->family_bytes[family] > sums->family_bytes[best])
			best = family;
	}
	return best;
}

static void fill_stack(struct site *site, const struct analysis *analysis,
		       const struct site_history *history, const struct analysis_sources *sources)
{
	const struct stack *stack = NULL;
	const struct frame *lead;
	uint32_t index;

	if (sources->stack)
		stack = sources->stack(sources->context, history->now.largest_context);
	index = lead_of(analysis, stack);
	site->stack = group_site_stack(analysis->options.group_by, stack, index);
	site->lead = analysis->options.group_by == GROUP_BY_STACK ? index : 0;
	lead = site->lead < site->stack.count ? &site->stack.frames[site->lead] : NULL;
	if (!lead || !lead->file || lead->line <= 0 || !sources->source_line)
		return;
	site->source = sources->source_line(sources->context, lead->file, lead->line);
	if (site->source)
		g_strstrip(site->source);
	if (site->source && !*site->source)
		g_clear_pointer(&site->source, g_free);
}

static void add_site(struct report *report, const struct analysis *analysis,
		     const struct snapshot *snapshot, const struct site_history *history,
		     const struct analysis_sources *sources)
{
	const struct site_sums *now = &history->now;
	double held_blocks = history_blocks_at(analysis->history, history,
					       report->elapsed_s - snapshot->survival_age_ns / 1e9);
	struct site site = {
		.id = history->id,
		.family = main_family(now),
		.outstanding_bytes = now->bytes,
		.outstanding_blocks = now->blocks,
		.growth_bytes = now->bytes, /* everything counted began at 0 at attach */
		.interval_growth_bytes = history->interval_growth_bytes,
		.growth_bytes_per_s = per_second(now->bytes, report->elapsed_s),
		.intervals_grown = history->intervals_grown,
		.intervals = MIN(analysis->history->snapshots, UINT32_MAX),
	};

	site.estimated = now->estimated;
	if (now->oldest_born_ns && now->blocks)
		site.oldest_age_s = seconds_between(now->oldest_born_ns, snapshot->taken_ns);
	fill_survival(&site, history, snapshot, held_blocks);
	fill_verdict(&site, analysis, history, report->elapsed_s);
	fill_stack(&site, analysis, history, sources);
	g_array_append_val(report->sites, site);
}

/*
 * What a site has grown by, if it grew all the time as in the later half: what was taken once,
 * while the program warmed up, must not stand before a leak.
 */
static int64_t lasting_growth(const struct history *history, const struct site_history *site,
			      double elapsed_s)
{
	double late = site->now.bytes - history_bytes_at(history, site, elapsed_s / 2);

	return MIN((double)site->now.bytes, 2 * late);
}

static void add_ranked_sites(struct report *report, const struct analysis *analysis,
			     const struct snapshot *snapshot,
			     const struct analysis_sources *sources)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct rank_entry));
	struct site_history *site;
	GHashTableIter iter;
	guint i;

	g_hash_table_iter_init(&iter, analysis->history->sites);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&site)) {
		struct rank_entry entry = {
			.site = site,
			.id = site->id,
			.growth_bytes = lasting_growth(analysis->history, site, report->elapsed_s),
			.bytes = site->now.bytes,
			.blocks = site->now.blocks,
			.rate = per_second(site->now.bytes, report->elapsed_s),
		};

		if (entry.bytes || entry.blocks)
			g_array_append_val(entries, entry);
	}
	rank_sort(entries, analysis->options.sort_by);
	report->sites_total = entries->len;
	for (i = 0; i < entries->len && i < analysis->options.top; i++)
		add_site(report, analysis, snapshot,
			 g_array_index(entries, struct rank_entry, i).site, sources);
}

static struct report *report_new(const struct analysis *analysis, const struct snapshot *snapshot)
{
	struct report *report = g_new0(struct report, 1);
	uint64_t since = MAX(analysis->previous_taken_ns, snapshot->attached_ns);
	size_t i;

	report->sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	report->notes = g_ptr_array_new_with_free_func(g_free);
	report->time_us = snapshot->time_us;
	report->elapsed_s = seconds_between(snapshot->attached_ns, snapshot->taken_ns);
	report->interval_s = seconds_between(since, snapshot->taken_ns);
	report->rss_bytes = snapshot->rss_bytes;
	report->rss_growth_bytes = (int64_t)(snapshot->rss_bytes - snapshot->rss_at_attach_bytes);
	report->threads = snapshot->threads;
	report->overhead_pct = snapshot->overhead_pct;
	report->coverage = snapshot->coverage;
	report->coverage_blocks = snapshot->coverage_blocks;
	memcpy(report->lost, snapshot->lost, sizeof(report->lost));
	for (i = 0; i < FAMILY_COUNT; i++) {
		report->families[i].mode = snapshot->families[i].mode;
		report->families[i].observed_fraction = snapshot->families[i].observed_fraction;
		report->families[i].windows = snapshot->families[i].windows;
		report->families[i].allocs = snapshot->families[i].allocs;
		report->families[i].frees = snapshot->families[i].frees;
	}
	return report;
}

struct report *analysis_add(struct analysis *analysis, const struct snapshot *snapshot,
			    const struct analysis_sources *sources)
{
	struct report *report = report_new(analysis, snapshot);
	uint64_t snapshots = analysis->history->snapshots;
	/* Of a target that has exited, the last look from before is reported once more. */
	bool same_snapshot = snapshots && snapshot->taken_ns == analysis->previous_taken_ns;
	guint i;

	analysis->unresolved_blocks = 0;
	history_begin(analysis->history);
	for (i = 0; i < snapshot->contexts->len; i++) {
		const struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);
		uint64_t id = site_id_of(analysis, context, sources);

		site_add(&history_site(analysis->history, id)->now, context);
		report->outstanding_bytes =
			saturating_add(report->outstanding_bytes, context->live_bytes);
		report->outstanding_blocks =
			saturating_add(report->outstanding_blocks, context->live_blocks);
	}
	g_hash_table_foreach_remove(analysis->site_ids, is_gone, &snapshots);
	if (same_snapshot)
		history_commit_again(analysis->history);
	else
		history_commit(analysis->history, report->elapsed_s);
	report->growth_bytes = report->outstanding_bytes;
	report->growth_bytes_per_s = per_second(report->growth_bytes, report->elapsed_s);
	add_ranked_sites(report, analysis, snapshot, sources);
	if (analysis->unresolved_blocks > 0)
		g_ptr_array_add(report->notes,
				g_strdup_printf("%" G_GINT64_FORMAT " blocks have a stack whose "
						"names are not known yet.",
						analysis->unresolved_blocks));
	analysis->previous_taken_ns = snapshot->taken_ns;
	return report;
}
