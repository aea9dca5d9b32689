// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/collector.h"

#include <stddef.h>

#include "base/clock.h"
#include "collect/block_look.h"
#include "collect/cost.h"
#include "collect/coverage.h"
#include "collect/heap_index.h"
#include "collect/memory_use.h"
#include "collect/sampling.h"
#include "collect/survival.h"
#include "proc/maps.h"
#include "proc/pressure.h"

/* Dead entries are left in the table for quick reuse until it is this full. */
static const double ERASE_WHEN_FULL = 0.5;
/* From here on no more than sampling needs is kept. */
static const double CROWDED = 0.6;

struct collector {
	struct kernel_side *kernel;
	struct traced *traced;
	const struct process *process;
	const struct interpreter *interpreter;
	struct pool_geometry geometry;
	struct cost cost;
	struct heap_index *heap; /* as of the last look; NULL: never read */
	uint64_t heap_bytes;	 /* that indexes may take */
	uint64_t baseline_pool_bytes;
	struct survival *survival;
	struct memory_meter meter;
	struct governor *governor; /* NULL: everything is traced */
	struct sampling *sampling; /* NULL: the same */
	uint64_t lost[LOST_COUNT];
	uint64_t attached_ns;
	uint64_t followed_ns; /* when @heap was read */
	bool has_baseline;    /* the heap could be read at attach */
	uint64_t taken_ns;    /* of the last snapshot; 0: none yet */
	uint64_t unchecked, live_entries;
	double seconds;
};

struct collector *collector_new(struct kernel_side *kernel, struct traced *traced,
				const struct process *process,
				const struct interpreter *interpreter, double trap_ns)
{
	struct collector *collector = g_new0(struct collector, 1);

	collector->kernel = kernel;
	collector->traced = traced;
	collector->process = process;
	collector->interpreter = interpreter;
	collector->survival = survival_new();
	if (interpreter)
		collector->geometry = (struct pool_geometry){ interpreter->layout.pool_size,
							      interpreter->layout.pool_alignment };
	collector->heap_bytes = UINT64_MAX;
	collector->attached_ns = clock_now_ns();
	cost_init(&collector->cost, process, trap_ns, collector->attached_ns);
	return collector;
}

void collector_free(struct collector *collector)
{
	if (!collector)
		return;
	sampling_free(collector->sampling);
	heap_index_free(collector->heap);
	survival_free(collector->survival);
	g_free(collector);
}

/* Of the heap's pools; NULL: blocks of pymalloc are not traced. */
static const struct pool_geometry *heap_geometry(const struct collector *collector)
{
	return collector->interpreter && traced_plan(collector->traced)->sites[FAMILY_PYMALLOC]
		       ? &collector->geometry
		       : NULL;
}

/* What an index may take: during a look there are two. */
static uint64_t index_bytes(const struct collector *collector)
{
	return collector->heap_bytes / 2;
}

void collector_set_governor(struct collector *collector, struct governor *governor)
{
	collector->governor = governor;
}

void collector_set_heap_bytes(struct collector *collector, uint64_t bytes)
{
	collector->heap_bytes = bytes;
}

void collector_set_baseline(struct collector *collector)
{
	struct maps *maps = maps_read(collector->process->pid, NULL);
	const struct pool_geometry *geometry = heap_geometry(collector);

	collector->attached_ns = clock_now_ns();
	if (collector->governor) {
		sampling_free(collector->sampling);
		collector->sampling = sampling_new(
			collector->governor, &collector->process->memory.base,
			traced_plan(collector->traced)->malloc_is_glibc,
			kernel_side_live_capacity(collector->kernel), collector->attached_ns);
	}
	if (!maps)
		return;
	g_clear_pointer(&collector->heap, heap_index_free);
	if (geometry)
		collector->heap = heap_index_read(&collector->process->memory.base, maps, geometry,
						  NULL, index_bytes(collector));
	collector->has_baseline = collector->heap;
	if (collector->heap) {
		heap_index_set_baseline(collector->heap);
		collector->baseline_pool_bytes = heap_index_pool_bytes(collector->heap);
	}
	maps_free(maps);
	/* A look costs more, so the first one comes late where the heap is large. */
	collector->seconds = (clock_now_ns() - collector->attached_ns) / 1e9;
}

void collector_lose(struct collector *collector, enum lost_reason reason)
{
	collector->lost[reason]++;
}

/* What can be told by comparing the heap with how it stood at attach. */
static void compare_heap(const struct collector *collector, const struct block_look *look,
			 struct snapshot *snapshot)
{
	struct coverage coverage = { .seen = look->heap.seen };

	snapshot->coverage = -1;
	if (!look->heap.index || !collector->has_baseline)
		return;
	snapshot->heap_level = heap_index_level(look->heap.index);
	if (collector->sampling) {
		G_STATIC_ASSERT((int)SNAPSHOT_MAX_CLASSES == (int)POOL_MAX_CLASSES);
		snapshot->class_step = collector->geometry.alignment;
		snapshot->pool_growth_bytes = (int64_t)(heap_index_pool_bytes(look->heap.index) -
							collector->baseline_pool_bytes);
		heap_index_count_new(look->heap.index, look->age_bounds, SURVIVOR_AGES,
				     snapshot->class_blocks);
	} else if (!snapshot->lost[LOST_LIVE_FULL] && !snapshot->lost[LOST_CONTEXTS_FULL]) {
		/* Blocks that did not fit into a table were seen and are counted as lost; they
		 * would pass as unseen here. */
		coverage_measure(&coverage, collector->kernel, traced_index(collector->traced),
				 &collector->process->memory.base, &collector->geometry,
				 look->heap.index);
		snapshot->coverage_blocks = coverage.seen + coverage.unseen;
		if (snapshot->coverage_blocks)
			snapshot->coverage = (double)coverage.seen / snapshot->coverage_blocks;
	}
}

/* What tracing has cost the target so far, in ns of its time. */
static double spent_ns(const struct collector *collector)
{
	return collector->governor
		       ? governor_spent_ns(collector->governor)
		       : cost_of_events(&collector->cost, traced_record(collector->traced));
}

/* As if everything were traced: sampling_finish() corrects those that are not. */
static void fill_families(const struct collector *collector, struct snapshot *snapshot)
{
	const struct probe_plan *plan = traced_plan(collector->traced);

	for (int family = 0; family < FAMILY_COUNT; family++) {
		bool traced = plan->sites[family];

		snapshot->families[family].mode = traced ? FAMILY_MODE_EXACT : FAMILY_MODE_OFF;
		snapshot->families[family].observed_fraction = traced;
		snapshot->families[family].windows = traced;
	}
}

static void fill_snapshot(struct collector *collector, struct block_look *look,
			  struct snapshot *snapshot)
{
	snapshot->taken_ns = look->now_ns;
	snapshot->attached_ns = collector->attached_ns;
	snapshot->time_us = g_get_real_time();
	snapshot->survival_age_ns = look->checkpoint ? look->now_ns - look->checkpoint->time_ns : 0;
	for (int reason = 0; reason < LOST_COUNT; reason++)
		snapshot->lost[reason] =
			traced_record(collector->traced)->lost[reason] + collector->lost[reason];
	compare_heap(collector, look, snapshot);
	block_look_fill(look, snapshot);
	cost_fill(&collector->cost, collector->process, look->now_ns, spent_ns(collector),
		  snapshot);
	if (look->maps)
		memory_meter_read(&collector->meter, &collector->process->memory.base, look->maps,
				  look->heap.index ? heap_index_totals(look->heap.index) : NULL,
				  traced_plan(collector->traced)->malloc_is_glibc, look->now_ns,
				  &snapshot->memory);
	snapshot->malloc_free_growth_bytes = memory_meter_free_growth(&collector->meter);
	fill_families(collector, snapshot);
	if (collector->sampling)
		sampling_finish(collector->sampling, snapshot);
}

static void tell_governor(const struct collector *collector, const struct block_look *look,
			  struct snapshot *snapshot)
{
	uint32_t capacity = kernel_side_live_capacity(collector->kernel);
	int64_t classes[POOL_MAX_CLASSES];

	snapshot->budget_scale = 1;
	if (!collector->governor)
		return;
	governor_set_crowded(collector->governor, look->entries > capacity * CROWDED);
	governor_set_growth(collector->governor, snapshot->pool_growth_bytes,
			    snapshot->private_growth_bytes - snapshot->pool_growth_bytes);
	if (look->heap.index) {
		G_STATIC_ASSERT((int)FOCUS_CLASSES == (int)POOL_MAX_CLASSES);
		heap_index_class_growth(look->heap.index, classes);
		governor_set_class_growth(collector->governor, classes);
	}
	snapshot->budget_scale = governor_set_pressure(collector->governor, pressure_cpu());
}

/* What the next look goes on from. */
static void remember(struct collector *collector, const struct block_look *look)
{
	survival_remember(collector->survival, look->now_ns, look->totals, look->contexts->len,
			  traced_index(collector->traced));
	collector->live_entries = look->entries;
	collector->taken_ns = look->now_ns;
}

struct snapshot *collector_take(struct collector *collector, double min_age_s, GError **error)
{
	uint64_t began = clock_now_ns();
	struct block_look look = {
		.kernel = collector->kernel,
		.traced = collector->traced,
		.process = collector->process,
		.geometry = heap_geometry(collector),
		.sampling = collector->sampling,
		.checkpoint =
			survival_checkpoint(collector->survival, collector->attached_ns, began),
		.last_heap = collector->heap,
		.last_heap_ns = MAX(collector->followed_ns, collector->attached_ns),
		.heap_bytes = index_bytes(collector),
		.now_ns = began,
		.last_ns = collector->taken_ns,
	};
	uint32_t capacity = kernel_side_live_capacity(collector->kernel);
	bool erase = collector->live_entries > capacity * ERASE_WHEN_FULL;
	struct snapshot *snapshot = NULL;

	if (collector->sampling)
		sampling_begin(collector->sampling, began);
	block_look_begin(&look, min_age_s);
	/* Now, for a scan that fails must not lose it. */
	if (look.heap.index) {
		collector->heap = look.heap.index;
		collector->followed_ns = began;
	}
	if (block_look_scan(&look, erase, error)) {
		snapshot = g_new0(struct snapshot, 1);
		fill_snapshot(collector, &look, snapshot);
		remember(collector, &look);
		tell_governor(collector, &look, snapshot);
		collector->seconds = (clock_now_ns() - began) / 1e9;
	}
	collector->unchecked = look.unchecked;
	block_look_end(&look);
	return snapshot;
}

void collector_look_at_growth(struct collector *collector)
{
	int64_t classes[POOL_MAX_CLASSES];
	struct maps *maps;

	if (!collector->governor || !collector->heap)
		return;
	maps = maps_read(collector->process->pid, NULL);
	if (maps && heap_index_class_growth_now(collector->heap, &collector->process->memory.base,
						maps, classes))
		governor_set_class_growth(collector->governor, classes);
	maps_free(maps);
}

struct sampling *collector_sampling(const struct collector *collector)
{
	return collector->sampling;
}

void collector_begin_interval(struct collector *collector)
{
	cost_begin_interval(&collector->cost, clock_now_ns(), spent_ns(collector));
}

uint64_t collector_unchecked_blocks(const struct collector *collector)
{
	return collector->unchecked;
}

uint64_t collector_live_entries(const struct collector *collector)
{
	return collector->live_entries;
}

double collector_seconds(const struct collector *collector)
{
	return collector->seconds;
}
