// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/cost.h"

#include <glib.h>

static const double SHORTEST_NS = 1e9;

void cost_init(struct cost *cost, const struct process *process, double trap_ns, uint64_t now_ns)
{
	struct process_usage usage;

	*cost = (struct cost){ .trap_ns = trap_ns, .began_ns = now_ns, .before_began_ns = now_ns };
	if (process_usage_read(process, &usage)) {
		cost->rss_at_attach = usage.rss_bytes;
		cost->private_at_attach = usage.private_bytes;
	}
}

double cost_of_events(const struct cost *cost, const struct target *record)
{
	double program_ns =
		record->timed_events ? (double)record->timed_ns / record->timed_events : 0;
	uint64_t events = 0, sent_ns = 0;

	for (int family = 0; family < FAMILY_COUNT; family++) {
		events += record->events[family] + record->idle_traps[family];
		sent_ns += record->sent_ns[family];
	}
	return events * (cost->trap_ns + program_ns) + sent_ns;
}

void cost_fill(const struct cost *cost, const struct process *process, uint64_t now_ns,
	       double spent_ns, struct snapshot *snapshot)
{
	struct process_usage usage;
	double wall = now_ns - cost->began_ns, spent = spent_ns - cost->spent_ns;

	if (wall < SHORTEST_NS) {
		wall = now_ns - cost->before_began_ns;
		spent = spent_ns - cost->before_spent_ns;
	}
	snapshot->rss_at_attach_bytes = cost->rss_at_attach;
	if (!process_usage_read(process, &usage))
		return;
	snapshot->rss_bytes = usage.rss_bytes;
	snapshot->private_growth_bytes = (int64_t)(usage.private_bytes - cost->private_at_attach);
	snapshot->memory.rss_bytes = usage.rss_bytes;
	snapshot->memory.private_bytes = usage.private_bytes;
	snapshot->threads = usage.threads;
	/* Beyond 20x the difference is all error. */
	if (wall > 0)
		snapshot->overhead_pct = 100 * spent / MAX(wall - spent, wall / 20);
}

void cost_begin_interval(struct cost *cost, uint64_t now_ns, double spent_ns)
{
	cost->before_began_ns = cost->began_ns;
	cost->before_spent_ns = cost->spent_ns;
	cost->began_ns = now_ns;
	cost->spent_ns = spent_ns;
}
