// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/merge_reports.h"

#include "analyse/history.h"
#include "analyse/merge_sites.h"

static void add_family(struct family_report *to, const struct family_report *from, guint reports)
{
	if (from->mode == FAMILY_MODE_SAMPLED || to->mode == FAMILY_MODE_OFF)
		to->mode = from->mode;
	to->observed_fraction += from->observed_fraction / reports;
	to->windows += from->windows;
	to->allocs += from->allocs;
	to->frees += from->frees;
}

static void add_tracing(struct report *to, const struct report *from, guint traced)
{
	uint64_t blocks = to->coverage_blocks + from->coverage_blocks;

	to->overhead_pct = MAX(to->overhead_pct, from->overhead_pct);
	to->budget_scale = MIN(to->budget_scale, from->budget_scale);
	to->heap_fraction = MIN(to->heap_fraction, from->heap_fraction);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		add_family(&to->families[i], &from->families[i], traced);
	for (size_t i = 0; i < LOST_COUNT; i++)
		to->lost[i] += from->lost[i];
	if (from->coverage < 0 || !blocks)
		return;
	to->coverage = (MAX(to->coverage, 0) * to->coverage_blocks +
			from->coverage * from->coverage_blocks) /
		       blocks;
	to->coverage_blocks = blocks;
}

static void add_process(struct report *to, const struct report *from)
{
	to->missed_events = MAX(to->missed_events, from->missed_events);
	to->time_us = MAX(to->time_us, from->time_us);
	to->elapsed_s = MAX(to->elapsed_s, from->elapsed_s);
	to->interval_s = MAX(to->interval_s, from->interval_s);
	to->rss_bytes += from->rss_bytes;
	to->rss_growth_bytes = saturating_add(to->rss_growth_bytes, from->rss_growth_bytes);
	to->threads += from->threads;
	to->trend_bytes_per_s += from->trend_bytes_per_s;
	to->outstanding_bytes = saturating_add(to->outstanding_bytes, from->outstanding_bytes);
	to->outstanding_blocks = saturating_add(to->outstanding_blocks, from->outstanding_blocks);
	to->growth_bytes = saturating_add(to->growth_bytes, from->growth_bytes);
	to->growth_bytes_per_s += from->growth_bytes_per_s;
	to->lasting_growth_bytes += from->lasting_growth_bytes;
	/* Sites beyond those listed may be the same ones or not: the least there can be. */
	to->sites_total = MAX(to->sites_total, from->sites_total);
	to->last &= from->last;
	to->exited &= from->exited;
	to->watched_only &= from->watched_only;
}

/* Each once: what is so in all workers is said so in all. */
static void add_notes(struct report *to, const struct report *from)
{
	for (guint i = 0; i < from->notes->len; i++)
		if (!g_ptr_array_find_with_equal_func(to->notes, from->notes->pdata[i], g_str_equal,
						      NULL))
			g_ptr_array_add(to->notes, g_strdup(from->notes->pdata[i]));
}

static gint by_number(gconstpointer a, gconstpointer b)
{
	const int32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

struct report *merge_reports(const GPtrArray *reports, enum sort_by sort_by)
{
	const struct report *first = reports->pdata[0];
	struct report *merged = g_new0(struct report, 1);
	guint traced = 0;

	*merged = (struct report){
		.seq = first->seq,
		.group_by = first->group_by,
		.pid = first->pid,
		.parent_pid = first->parent_pid,
		.host = first->host,
		.target = first->target ? report_target_copy(first->target) : NULL,
		.last = true,
		.exited = true,
		.watched_only = true,
		.budget_scale = 1,
		.heap_fraction = 1,
		.coverage = -1,
		.notes = g_ptr_array_new_with_free_func(g_free),
		.pids = g_array_new(FALSE, FALSE, sizeof(int32_t)),
	};
	for (guint i = 0; i < reports->len; i++)
		traced += !((const struct report *)reports->pdata[i])->watched_only;
	for (guint i = 0; i < reports->len; i++) {
		const struct report *report = reports->pdata[i];

		g_array_append_val(merged->pids, report->pid);
		add_process(merged, report);
		if (!report->watched_only)
			add_tracing(merged, report, traced);
		add_notes(merged, report);
	}
	g_array_sort(merged->pids, by_number);
	merged->sites = merge_sites(reports, sort_by);
	merged->sites_total = MAX(merged->sites_total, merged->sites->len);
	return merged;
}
