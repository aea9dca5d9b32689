// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/report_begin.h"

#include <string.h>

double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / 1e9 : 0;
}

struct report *report_begin(const struct snapshot *snapshot, uint64_t previous_taken_ns)
{
	struct report *report = g_new0(struct report, 1);
	uint64_t since = MAX(previous_taken_ns, snapshot->attached_ns);
	size_t i;

	report->sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	report->notes = g_ptr_array_new_with_free_func(g_free);
	report->time_us = snapshot->time_us;
	report->elapsed_s = seconds_between(snapshot->attached_ns, snapshot->taken_ns);
	report->interval_s = seconds_between(since, snapshot->taken_ns);
	report->rss_bytes = snapshot->rss_bytes;
	report->rss_growth_bytes = (int64_t)(snapshot->rss_bytes - snapshot->rss_at_attach_bytes);
	report->memory = snapshot->memory;
	report->threads = snapshot->threads;
	report->overhead_pct = snapshot->overhead_pct;
	report->budget_scale = snapshot->budget_scale;
	if (snapshot->budget_scale < 1)
		g_ptr_array_add(report->notes,
				g_strdup_printf("The host is short of processor time: tracing is "
						"held back to %.0f %% of its budget.",
						100 * snapshot->budget_scale));
	report->heap_fraction = 1.0 / (1u << MIN(snapshot->heap_level, 31));
	if (snapshot->heap_level)
		g_ptr_array_add(report->notes,
				g_strdup_printf("The heap is too large for --max-memory: one pool "
						"in %u is remembered, what is new in the others "
						"is estimated.",
						1u << MIN(snapshot->heap_level, 31)));
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
