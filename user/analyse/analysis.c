// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/analysis.h"

#include <string.h>

#include "analyse/curve.h"
#include "analyse/group.h"
#include "analyse/history.h"
#include "analyse/judge.h"
#include "analyse/lead.h"
#include "analyse/rank.h"
#include "analyse/report_begin.h"
#include "analyse/site_types.h"
#include "analyse/trend.h"

/* What growth counts in the ranking that young blocks alone hold: a table that is moved whenever it
 * grows, or a temporary. */
static const double YOUNG_GROWTH = 0.1;
/* The same of what malloc's sites claim and memory in use has not kept: there may be a leak in it,
 * for other memory may have been freed meanwhile. */
static const double UNKEPT_GROWTH = 0.1;

struct analysis {
	struct analysis_options options;
	struct history *history;
	struct curve *curve;
	struct history *lines; /* of whole lines, whatever the sites are */
	/* Site ids by context id: hashing 10,000 stacks anew for each report would be most of its
	 * cost. */
	GHashTable *site_ids;
	struct known_frames *frames;
	uint64_t previous_taken_ns;
	int64_t unresolved_blocks;
};

/* A context's site, once its stack is known. */
struct known_site {
	uint64_t site_id, line_id, seen_in_snapshot;
};

struct analysis *analysis_new(const struct analysis_options *options)
{
	struct analysis *analysis = g_new0(struct analysis, 1);

	analysis->options = *options;
	analysis->options.include = g_strdupv(options->include);
	analysis->options.exclude = g_strdupv(options->exclude);
	analysis->history = history_new();
	analysis->curve = curve_new();
	analysis->lines = history_new();
	analysis->frames = known_frames_new(analysis->options.include, analysis->options.exclude);
	analysis->site_ids = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	return analysis;
}

void analysis_free(struct analysis *analysis)
{
	if (!analysis)
		return;
	known_frames_free(analysis->frames);
	g_strfreev(analysis->options.include);
	g_strfreev(analysis->options.exclude);
	history_free(analysis->history);
	curve_free(analysis->curve);
	history_free(analysis->lines);
	g_hash_table_unref(analysis->site_ids);
	g_free(analysis);
}

static uint32_t lead_of(const struct analysis *analysis, const struct stack *stack)
{
	return stack ? stack_lead(stack, analysis->frames) : 0;
}

/* The context's site and line; ids of unknown ones while its stack is not known. */
static struct known_site site_of(struct analysis *analysis, const struct snapshot_context *context,
				 const struct analysis_sources *sources)
{
	void *key = GUINT_TO_POINTER(context->id);
	struct known_site *known = g_hash_table_lookup(analysis->site_ids, key), made;
	enum group_by group_by = analysis->options.group_by;
	const struct stack *stack;
	uint32_t lead;

	if (!known) {
		stack = sources->stack ? sources->stack(sources->context, context->id) : NULL;
		lead = lead_of(analysis, stack);
		made.site_id =
			group_site_id(group_by, context->family, stack, lead, analysis->frames);
		made.line_id = group_site_id(GROUP_BY_LINE, context->family, stack, lead,
					     analysis->frames);
		made.seen_in_snapshot = 0;
		if (!stack) {
			analysis->unresolved_blocks =
				saturating_add(analysis->unresolved_blocks, context->live_blocks);
			return made;
		}
		known = g_memdup2(&made, sizeof(made));
		g_hash_table_insert(analysis->site_ids, key, known);
	}
	known->seen_in_snapshot = analysis->history->snapshots;
	return *known;
}

static gboolean is_gone(void *key, void *value, void *data)
{
	const struct known_site *known = value;

	(void)key;
	return known->seen_in_snapshot != *(const uint64_t *)data;
}

/* Allocations are counted in windows only: each stands for 1 / (fraction of the time seen). */
static void add_allocations(struct site_sums *sums, const struct snapshot_context *context,
			    enum family family, const struct snapshot *snapshot)
{
	double fraction = snapshot->families[family].observed_fraction, scale = 1;

	if (snapshot->families[family].mode == FAMILY_MODE_SAMPLED && fraction > 0)
		scale = 1 / fraction;
	sums->alloc_bytes += scale * context->alloc_bytes;
	sums->alloc_blocks += scale * context->alloc_blocks;
}

static void site_add(struct site_sums *sums, const struct snapshot_context *context,
		     const struct snapshot *snapshot, uint64_t line_id)
{
	enum family family = (unsigned int)context->family < FAMILY_COUNT ? context->family : 0;

	add_allocations(sums, context, family, snapshot);

	sums->bytes = saturating_add(sums->bytes, context->live_bytes);
	sums->blocks = saturating_add(sums->blocks, context->live_blocks);
	sums->family_bytes[family] =
		saturating_add(sums->family_bytes[family], context->live_bytes);
	if (context->oldest_born_ns &&
	    (!sums->oldest_born_ns || context->oldest_born_ns < sums->oldest_born_ns))
		sums->oldest_born_ns = context->oldest_born_ns;
	/*
	 * The windows that saw one context of a site saw the others too, so their errors do not
	 * even out: they add up.
	 */
	sums->estimated |= context->estimated;
	sums->bytes_low += context->estimated ? context->live_bytes_low : context->live_bytes;
	sums->bytes_high += context->estimated ? context->live_bytes_high : context->live_bytes;
	sums->stacks += context->live_blocks > 0;
	sums->old_alloc_blocks += context->old_alloc_blocks;
	sums->old_live_blocks += context->old_live_blocks;
	if (!sums->contexts++ || context->live_bytes > sums->largest_bytes) {
		sums->largest_context = context->id;
		sums->line_id = line_id;
		sums->largest_bytes = context->live_bytes;
	}
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
			 const struct site_history *history, const struct snapshot *snapshot,
			 const struct report *report)
{
	const GArray *axis = analysis->history->times;
	g_autofree double *values = history_bytes(analysis->history, history);
	struct theil_sen slope = theil_sen((const double *)(void *)axis->data, values, axis->len);
	struct verdict_result result =
		judge_site(analysis->history, analysis->lines, history, snapshot,
			   report->outstanding_bytes, &report->curve);
	site->verdict = result.verdict;
	site->confidence = result.confidence;
	site->with_memory = result.verdict == VERDICT_LEAK && result.with_memory;
	site->growth_bytes_per_s_low = MIN(slope.low, site->growth_bytes_per_s);
	site->growth_bytes_per_s_high = MAX(slope.high, site->growth_bytes_per_s);
	if (history->now.estimated && report->elapsed_s > 0) {
		site->growth_bytes_per_s_low = MIN(site->growth_bytes_per_s_low,
						   history->now.bytes_low / report->elapsed_s);
		site->growth_bytes_per_s_high = MAX(site->growth_bytes_per_s_high,
						    history->now.bytes_high / report->elapsed_s);
	}
}

static void fill_stack(struct site *site, const struct analysis *analysis,
		       const struct site_history *history, const struct analysis_sources *sources)
{
	const struct stack *stack = NULL;
	const struct frame *lead;
	uint32_t index = 0;

	if (sources->stack)
		stack = sources->stack(sources->context, history->now.largest_context);
	if (site->judged || analysis->options.group_by != GROUP_BY_STACK)
		index = lead_of(analysis, stack);
	site->stack = group_site_stack(analysis->options.group_by, stack, index);
	if (!site->judged)
		return;
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

/* What was not traced from its birth on, or is too much for the type, must not show as less. */
static int64_t allocated(double sum, int64_t outstanding)
{
	return sum < 0x1p62 ? MAX((int64_t)sum, outstanding) : INT64_MAX / 2;
}

static double share_of(double part, double whole)
{
	return whole > 0 ? CLAMP(part / whole, 0, 1) : -1;
}

static void add_site(struct report *report, const struct analysis *analysis,
		     const struct snapshot *snapshot, const struct site_history *history,
		     const struct analysis_sources *sources)
{
	const struct site_sums *now = &history->now;
	double held_blocks = history_blocks_at(analysis->history, history,
					       report->elapsed_s - snapshot->survival_age_ns / 1e9);
	uint32_t judged = analysis->options.judged;
	struct site site = {
		.id = history->id,
		.family = site_main_family(now),
		.outstanding_bytes = now->bytes,
		.outstanding_blocks = now->blocks,
		.verdict = VERDICT_STEADY,
		.judged = !judged || report->sites->len < judged,
		.alloc_bytes = allocated(now->alloc_bytes, now->bytes),
		.alloc_blocks = allocated(now->alloc_blocks, now->blocks),
		.growth_bytes = now->bytes, /* everything counted began at 0 at attach */
		.interval_growth_bytes = history->interval_growth_bytes,
		.growth_bytes_per_s = per_second(now->bytes, report->elapsed_s),
		.intervals_grown = history->intervals_grown,
		.intervals = MIN(analysis->history->snapshots, UINT32_MAX),
	};

	site.estimated = now->estimated;
	site.stacks = now->stacks;
	site.outstanding_share = share_of(now->bytes, report->outstanding_bytes);
	if (now->oldest_born_ns && now->blocks)
		site.oldest_age_s = seconds_between(now->oldest_born_ns, snapshot->taken_ns);
	fill_survival(&site, history, snapshot, held_blocks);
	if (site.judged)
		fill_verdict(&site, analysis, history, snapshot, report);
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

/*
 * What of @growth counts in the ranking. Large temporaries that happen to live at this moment must
 * not stand before a leak either: what is not held by old blocks counts for little. Of an estimate
 * the lower end counts, for one survivor may stand for hundreds that there never were.
 */
static int64_t sure_growth(const struct site_sums *now, int64_t growth)
{
	double old = 1, sure = 1;

	/* Of a steady leak half of the blocks are as old as half of the trace. */
	if (now->old_alloc_blocks && now->blocks > 0)
		old = CLAMP(2.0 * now->old_live_blocks / now->blocks, YOUNG_GROWTH, 1);
	if (now->estimated && now->bytes > 0)
		sure = CLAMP(now->bytes_low / now->bytes, 0, 1);
	return growth > 0 ? growth * old * sure : growth;
}

static bool is_malloc_estimate(const struct site_history *site)
{
	return site->now.estimated && site_main_family(&site->now) == FAMILY_MALLOC;
}

/*
 * Lessens the growth of malloc's estimates to what memory in use can have kept. @claimed: that of
 * all of them. Of malloc nothing but samples tells what a site holds, and a large temporary whose
 * place is taken by the next one like it passes for a survivor.
 */
static void lessen_unkept_growth(GArray *entries, double claimed, double kept)
{
	double part = claimed > kept ? MAX(kept / claimed, UNKEPT_GROWTH) : 1;

	for (guint i = 0; i < entries->len; i++) {
		struct rank_entry *entry = &g_array_index(entries, struct rank_entry, i);

		if (entry->growth_bytes > 0 && is_malloc_estimate(entry->site))
			entry->growth_bytes *= part;
	}
}

static void add_ranked_sites(struct report *report, const struct analysis *analysis,
			     const struct snapshot *snapshot,
			     const struct analysis_sources *sources)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct rank_entry));
	struct site_history *site;
	double growth = 0, claimed = 0;
	GHashTableIter iter;
	guint i;

	g_hash_table_iter_init(&iter, analysis->history->sites);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&site)) {
		int64_t lasting = lasting_growth(analysis->history, site, report->elapsed_s);
		struct rank_entry entry = {
			.site = site,
			.id = site->id,
			.growth_bytes = sure_growth(&site->now, lasting),
			.bytes = site->now.bytes,
			.blocks = site->now.blocks,
			.rate = per_second(site->now.bytes, report->elapsed_s),
		};

		if (is_malloc_estimate(site))
			claimed += MAX(lasting, 0);
		if (entry.bytes || entry.blocks)
			g_array_append_val(entries, entry);
		growth += MAX(lasting, 0);
	}
	lessen_unkept_growth(entries, claimed, report->curve.floor_rise_bytes);
	rank_sort(entries, analysis->options.sort_by);
	report->sites_total = entries->len;
	report->lasting_growth_bytes = growth;
	for (i = 0; i < entries->len && i < analysis->options.top; i++) {
		const struct rank_entry *entry = &g_array_index(entries, struct rank_entry, i);
		struct site *added;

		add_site(report, analysis, snapshot, entry->site, sources);
		added = &g_array_index(report->sites, struct site, i);
		added->sure_growth_bytes = entry->growth_bytes;
		added->growth_share = share_of(
			lasting_growth(analysis->history, entry->site, report->elapsed_s), growth);
	}
}

void analysis_look(struct analysis *analysis, const struct snapshot *snapshot)
{
	struct curve_point point = {
		.elapsed_s = seconds_between(snapshot->attached_ns, snapshot->taken_ns),
		.rss_bytes = snapshot->memory.rss_bytes,
		.in_use_bytes = memory_use_in_use(&snapshot->memory),
		.unused_bytes = memory_use_unused(&snapshot->memory),
	};
	guint i;

	if (!snapshot->memory.known)
		return;
	for (i = 0; i < snapshot->contexts->len; i++)
		point.traced_bytes +=
			g_array_index(snapshot->contexts, struct snapshot_context, i).live_bytes;
	curve_add(analysis->curve, &point);
}

struct report *analysis_add(struct analysis *analysis, const struct snapshot *snapshot,
			    const struct analysis_sources *sources)
{
	struct report *report = report_begin(snapshot, analysis->previous_taken_ns);
	g_autoptr(GArray) site_ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t snapshots = analysis->history->snapshots;
	/* Of a target that has exited, the last look from before is reported once more. */
	bool same_snapshot = snapshots && snapshot->taken_ns == analysis->previous_taken_ns;
	guint i;

	report->group_by = analysis->options.group_by;
	analysis->unresolved_blocks = 0;
	history_begin(analysis->history);
	history_begin(analysis->lines);
	for (i = 0; i < snapshot->contexts->len; i++) {
		const struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);
		struct known_site known = site_of(analysis, context, sources);

		g_array_append_val(site_ids, known.site_id);
		site_add(&history_site(analysis->history, known.site_id)->now, context, snapshot,
			 known.line_id);
		site_add(&history_site(analysis->lines, known.line_id)->now, context, snapshot,
			 known.line_id);
		report->outstanding_bytes =
			saturating_add(report->outstanding_bytes, context->live_bytes);
		report->outstanding_blocks =
			saturating_add(report->outstanding_blocks, context->live_blocks);
	}
	g_hash_table_foreach_remove(analysis->site_ids, is_gone, &snapshots);
	analysis_look(analysis, snapshot);
	report->curve = curve_summarise(analysis->curve);
	report->curve_points = curve_points(analysis->curve);
	if (same_snapshot) {
		history_commit_again(analysis->history);
		history_commit_again(analysis->lines);
	} else {
		history_commit(analysis->history, report->elapsed_s);
		history_commit(analysis->lines, report->elapsed_s);
	}
	report->growth_bytes = report->outstanding_bytes;
	report->growth_bytes_per_s = per_second(report->growth_bytes, report->elapsed_s);
	add_ranked_sites(report, analysis, snapshot, sources);
	site_types_fill(report->sites, snapshot, site_ids, sources);
	if (analysis->unresolved_blocks > 0)
		g_ptr_array_add(report->notes,
				g_strdup_printf("%" G_GINT64_FORMAT " blocks have a stack whose "
						"names are not known yet.",
						analysis->unresolved_blocks));
	analysis->previous_taken_ns = snapshot->taken_ns;
	return report;
}
