// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/watched.h"

#include "base/clock.h"
#include "cli/traced_process.h"
#include "cpython/interpreter.h"
#include "proc/maps.h"

/* Objects are summed up this often: what grows inside of memory that was resident already shows
 * only there, and such leaks are not fast. */
static const int64_t OBJECTS_US = 60 * G_USEC_PER_SEC;
/* A process that could not be traced is tried again after this. */
static const int64_t REFUSED_US = 300 * G_USEC_PER_SEC;

struct watched *watched_new(pid_t pid, pid_t parent, GError **error)
{
	struct process *process = process_open(pid, error);
	struct interpreter *interpreter = process ? interpreter_discover(process, error) : NULL;
	struct watched *watched = NULL;

	if (interpreter) {
		watched = g_new0(struct watched, 1);
		watched->pid = pid;
		watched->parent = parent;
		watched->start_time = process->start_time;
		watched->target = describe_target(process, interpreter);
		if (!interpreter->free_threaded && interpreter->allocator != ALLOCATOR_MIMALLOC)
			watched->geometry =
				(struct pool_geometry){ interpreter->layout.pool_size,
							interpreter->layout.pool_alignment };
		watched->since_us = g_get_monotonic_time();
		watched->reported_us = watched->objects_read_us = watched->since_us;
		process_usage_read(process, &watched->usage);
		watched->rss_at_first = watched->usage.rss_bytes;
	}
	interpreter_free(interpreter);
	process_free(process);
	return watched;
}

void watched_free(void *data)
{
	struct watched *watched = data;

	if (!watched)
		return;
	report_target_free(watched->target);
	g_free(watched->refusal);
	g_free(watched);
}

static double seconds(int64_t from_us, int64_t to_us)
{
	return (to_us - from_us) / 1e6;
}

bool watched_look(struct watched *watched)
{
	watched->seen_us = g_get_monotonic_time();
	if (!process_usage_of(watched->pid, watched->start_time, &watched->usage))
		return false;
	memory_trend_add(&watched->resident, seconds(watched->since_us, watched->seen_us),
			 watched->usage.private_bytes);
	if (memory_trend_grows(&watched->resident) || memory_trend_grows(&watched->objects))
		watched->grew_us = watched->seen_us;
	return true;
}

static bool next_pool(const struct pool *pool, void *context)
{
	(void)pool;
	(void)context;
	return true;
}

uint64_t watched_read_objects(struct watched *watched)
{
	int64_t now = g_get_monotonic_time();
	uint64_t began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct process_memory memory;
	struct pools_totals totals;
	struct maps *maps;

	if (!watched->geometry.pool_size || now - watched->objects_read_us < OBJECTS_US)
		return 0;
	watched->objects_read_us = now;
	maps = maps_read(watched->pid, NULL);
	process_memory_init(&memory, watched->pid);
	if (maps && pools_walk_totals(&memory.base, maps, &watched->geometry, next_pool, NULL,
				      &totals) >= 0)
		memory_trend_add(&watched->objects, seconds(watched->since_us, now),
				 totals.used_bytes);
	maps_free(maps);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
}

double watched_growth(const struct watched *watched)
{
	return MAX(memory_trend_rate(&watched->resident), memory_trend_rate(&watched->objects));
}

struct candidate watched_candidate(struct watched *watched)
{
	int64_t now = g_get_monotonic_time();

	return (struct candidate){
		.growth = watched_growth(watched),
		.traced = watched->traced_us,
		.traced_s = watched->traced_us ? seconds(watched->traced_us, now) : 0,
		.idle_s = seconds(MAX(watched->grew_us, watched->traced_us), now),
		.refused = watched->refused_us && now - watched->refused_us < REFUSED_US,
		.context = watched,
	};
}

void watched_complete(struct watched *watched, struct report *report)
{
	report->seq = ++watched->reports;
	report->parent_pid = watched->parent;
	report->host = true;
	report->trend_bytes_per_s = watched_growth(watched);
	if (!report->target)
		report->target = report_target_copy(watched->target);
	watched->reported_us = g_get_monotonic_time();
}

struct report *watched_report(struct watched *watched)
{
	struct report *report = g_new0(struct report, 1);
	int64_t now = g_get_monotonic_time();

	report->time_us = g_get_real_time();
	report->pid = watched->pid;
	report->watched_only = true;
	report->elapsed_s = seconds(watched->since_us, now);
	report->interval_s = seconds(watched->reported_us, now);
	report->rss_bytes = watched->usage.rss_bytes;
	report->rss_growth_bytes = (int64_t)(watched->usage.rss_bytes - watched->rss_at_first);
	report->threads = watched->usage.threads;
	report->coverage = -1;
	report->heap_fraction = 1;
	report->sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	report->notes = g_ptr_array_new_with_free_func(g_free);
	if (watched->refusal)
		g_ptr_array_add(report->notes,
				g_strdup_printf("cannot be traced: %s", watched->refusal));
	watched_complete(watched, report);
	return report;
}
