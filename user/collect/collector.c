// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/collector.h"

#include <stddef.h>
#include <time.h>

#include "base/error.h"
#include "collect/cost.h"
#include "collect/coverage.h"
#include "collect/heap_index.h"
#include "collect/heap_look.h"
#include "collect/live_scan.h"
#include "collect/sampling.h"
#include "collect/survival.h"
#include "collect/times.h"
#include "proc/maps.h"
#include "proc/pressure.h"

/* Dead entries are left in the table for quick reuse until it is this full. */
static const double ERASE_WHEN_FULL = 0.5;
/* From here on no more than sampling needs is kept. */
static const double CROWDED = 0.6;
/* Blocks that may be looked into: of a context and size, and of all (3 MiB). */
enum { BLOCKS_OF_SIZE = 256, BLOCKS_OF_ALL = 131072 };
/* In windows, younger blocks are mostly temporaries. */
static const uint64_t SETTLED_NS = 300000000;
/* Ages of places in the heap are counted in this, up to 25 s. */
static const uint64_t HEAP_AGE_UNIT_NS = 100000000;

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

/* One collector_take() on its way. */
struct take {
	struct collector *collector;
	const struct traced_context *totals;
	struct heap_look heap; /* its index is the collector's once it is followed */
	struct maps *maps;     /* NULL: cannot be read (any more) */
	const struct checkpoint *checkpoint;
	uint64_t now_ns;
	uint32_t began, young, checked_until, old; /* units of struct block's born */
	GArray *contexts;			   /* of struct snapshot_context, by id */
	struct block_sample *blocks;
	struct coverage coverage;
	uint8_t age_bounds[SURVIVOR_OLD]; /* of places in the heap: young, recent */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static uint32_t heap_age_units(uint64_t since_ns, uint64_t now_ns)
{
	uint64_t units = now_ns / HEAP_AGE_UNIT_NS - since_ns / HEAP_AGE_UNIT_NS;

	return since_ns < now_ns ? MIN(units, UINT32_MAX) : 0;
}

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
	collector->attached_ns = now_ns();
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

/* During a look there are two indexes. */
static struct heap_index *read_heap(const struct collector *collector, const struct maps *maps)
{
	if (!collector->interpreter || !traced_plan(collector->traced)->sites[FAMILY_PYMALLOC])
		return NULL;
	return heap_index_read(&collector->process->memory.base, maps, &collector->geometry,
			       collector->heap, collector->heap_bytes / 2);
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

	collector->attached_ns = now_ns();
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
	collector->heap = read_heap(collector, maps);
	collector->has_baseline = collector->heap;
	if (collector->heap) {
		heap_index_set_baseline(collector->heap);
		collector->baseline_pool_bytes = heap_index_pool_bytes(collector->heap);
	}
	maps_free(maps);
}

void collector_lose(struct collector *collector, enum lost_reason reason)
{
	collector->lost[reason]++;
}

/* How many bytes of [@address, @address + @size) are mapped. */
static uint64_t mapped_bytes(const struct maps *maps, uint64_t address, uint64_t size)
{
	uint64_t mapped = 0, end = address + size;

	for (size_t i = 0; i < maps->count && maps->items[i].start < end; i++)
		if (maps->items[i].end > address)
			mapped += MIN(maps->items[i].end, end) - MAX(maps->items[i].start, address);
	return mapped;
}

/* What a look tells of a block that lives. */
struct look {
	uint64_t size;	   /* what is left of it */
	uint8_t place_age; /* in the heap, where known */
	double window_ns;  /* as in struct survivor */
};

/* Whether the block still lives, by what the allocator says. @look->size is its size so far. */
static bool is_alive(struct take *take, enum family family, uint64_t address, uint64_t tag,
		     struct look *look)
{
	struct sampling *sampling = take->collector->sampling;
	uint32_t born = PYLEAK_TAG_BORN(tag);
	uint64_t born_ns = born_to_ns(born, take->now_ns);

	if (family == FAMILY_PYMALLOC && take->heap.index) {
		enum heap_block found =
			heap_look_at(&take->heap, address, tag,
				     heap_age_units(born_ns, take->now_ns), &look->place_age);

		if (found != HEAP_BLOCK_THERE)
			return found == HEAP_BLOCK_NOT_FOUND;
	}
	if (family == FAMILY_MMAP && take->maps && born_before(born, take->began)) {
		look->size = mapped_bytes(take->maps, address, look->size);
		return look->size;
	}
	return !sampling || !take->maps ||
	       sampling_is_same(sampling, family, address, tag, look->size, born_ns,
				&look->window_ns);
}

/*
 * What a place has been handed out for can only be longer than its block's life; if it is shorter,
 * the block was born between two looks.
 */
static void sample_block(const struct take *take, struct snapshot_context *context,
			 uint64_t born_ns, bool old, const struct look *look)
{
	struct sampling *sampling = take->collector->sampling;
	bool is_pymalloc = context->family == FAMILY_PYMALLOC;
	struct survivor survivor = {
		.context = context->id,
		.block_size = is_pymalloc ? look->size : 0,
		.size = look->size,
		.born_ns = born_ns,
		.age = sampling_age(sampling, born_ns),
		.window_ns = look->window_ns,
	};
	double weight;

	if (is_pymalloc && look->place_age < take->age_bounds[SURVIVOR_YOUNG])
		survivor.age = SURVIVOR_YOUNG;
	else if (is_pymalloc && look->place_age < take->age_bounds[SURVIVOR_RECENT])
		survivor.age = MIN(survivor.age, SURVIVOR_RECENT);
	weight = sampling_count(sampling, context->family, &survivor);
	context->live_weight += weight;
	context->old_live_weight += old ? weight : 0;
}

static bool visit_block(void *data, uint64_t key, const struct block *block)
{
	struct take *take = data;
	uint32_t id = PYLEAK_TAG_CONTEXT(block->tag), born = PYLEAK_TAG_BORN(block->tag);
	struct snapshot_context *context;
	struct look look = { block->size, HEAP_AGE_MOST, -1 };
	uint64_t born_ns;
	bool old;

	if (!block->tag)
		return false;
	if (PYLEAK_KEY_TARGET(key) != traced_index(take->collector->traced) ||
	    id >= take->contexts->len)
		return true;
	context = &g_array_index(take->contexts, struct snapshot_context, id);
	if (!is_alive(take, context->family, PYLEAK_KEY_ADDRESS(key), block->tag, &look))
		return false;
	if (!take->maps && take->collector->taken_ns && !born_before(born, take->checked_until)) {
		take->collector->unchecked++;
		return true;
	}
	if (!born_before(born, take->young))
		return true;
	context->live_blocks++;
	context->live_bytes += look.size;
	old = take->checkpoint && born_before(born, take->old);
	context->old_live_blocks += old;
	born_ns = born_to_ns(born, take->now_ns);
	if (!context->oldest_born_ns || born_ns < context->oldest_born_ns)
		context->oldest_born_ns = born_ns;
	if (take->collector->sampling)
		sample_block(take, context, born_ns, old, &look);
	if (!take->collector->sampling || born_ns + SETTLED_NS < take->now_ns)
		block_sample_add(take->blocks, id, context->family, PYLEAK_KEY_ADDRESS(key),
				 block->tag, look.size);
	return true;
}

/* The last allocation by pymalloc's slow path is accounted for at the next event; until then its
 * block is found here. */
static void visit_pending(struct take *take)
{
	struct pending_slow_path pending = traced_record(take->collector->traced)->pending;
	struct block entry = { .tag = PYLEAK_TAG(pending.context, pending.born) };
	uint32_t size = 0;
	uint64_t block = take->heap.index ? heap_look_pending(&take->heap, &pending, &size) : 0;

	if (!block)
		return;
	entry.size = size;
	visit_block(take, PYLEAK_BLOCK_KEY(traced_index(take->collector->traced), block), &entry);
	if (pending.context < take->contexts->len)
		g_array_index(take->contexts, struct snapshot_context, pending.context)
			.alloc_blocks++;
}

/* What can be told by comparing the heap with how it stood at attach. */
static void compare_heap(struct take *take, struct snapshot *snapshot)
{
	struct collector *collector = take->collector;

	snapshot->coverage = -1;
	if (!take->heap.index || !collector->has_baseline)
		return;
	snapshot->heap_level = heap_index_level(take->heap.index);
	if (collector->sampling) {
		G_STATIC_ASSERT((int)SNAPSHOT_MAX_CLASSES == (int)POOL_MAX_CLASSES);
		snapshot->class_step = collector->geometry.alignment;
		snapshot->pool_growth_bytes = (int64_t)(heap_index_pool_bytes(take->heap.index) -
							collector->baseline_pool_bytes);
		heap_index_count_new(take->heap.index, take->age_bounds, SURVIVOR_AGES,
				     snapshot->class_blocks);
	} else if (!snapshot->lost[LOST_LIVE_FULL] && !snapshot->lost[LOST_CONTEXTS_FULL]) {
		/* Blocks that did not fit into a table were seen and are counted as lost; they
		 * would pass as unseen here. */
		take->coverage.seen = take->heap.seen;
		coverage_measure(&take->coverage, collector->kernel,
				 traced_index(collector->traced), &collector->process->memory.base,
				 &collector->geometry, take->heap.index);
		snapshot->coverage_blocks = take->coverage.seen + take->coverage.unseen;
		if (snapshot->coverage_blocks)
			snapshot->coverage =
				(double)take->coverage.seen / snapshot->coverage_blocks;
	}
}

static void prepare_contexts(struct take *take)
{
	uint32_t count = kernel_side_context_count(take->collector->kernel) + 1;

	take->totals = kernel_side_contexts(take->collector->kernel);
	take->contexts = g_array_sized_new(false, true, sizeof(struct snapshot_context), count);
	g_array_set_size(take->contexts, count);
	for (uint32_t id = 0; id < count; id++) {
		struct snapshot_context *context =
			&g_array_index(take->contexts, struct snapshot_context, id);

		context->id = id;
		context->family = MIN(take->totals[id].family, FAMILY_COUNT - 1);
	}
	for (uint32_t i = 0; take->checkpoint && i < take->checkpoint->count; i++)
		if (take->checkpoint->allocs[i].context < count)
			g_array_index(take->contexts, struct snapshot_context,
				      take->checkpoint->allocs[i].context)
				.old_alloc_blocks = take->checkpoint->allocs[i].blocks;
}

/* Totals are read after the blocks: what lives was allocated. Contexts that never allocated are
 * dropped. */
static void finish_contexts(struct take *take, struct snapshot *snapshot)
{
	uint32_t target = traced_index(take->collector->traced);

	snapshot->contexts = g_array_new(false, false, sizeof(struct snapshot_context));
	for (uint32_t id = 1; id < take->contexts->len; id++) {
		struct snapshot_context *context =
			&g_array_index(take->contexts, struct snapshot_context, id);
		const struct traced_context *totals = &take->totals[id];

		if (totals->target != target || !totals->hash)
			continue;
		context->alloc_blocks += totals->alloc_blocks;
		context->alloc_bytes = totals->alloc_bytes;
		context->old_live_blocks = MIN(context->old_live_blocks, context->old_alloc_blocks);
		snapshot->families[context->family].allocs += context->alloc_blocks;
		snapshot->families[context->family].frees += totals->free_blocks;
		if (context->alloc_blocks)
			g_array_append_val(snapshot->contexts, *context);
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

static void read_target(struct take *take)
{
	const struct collector *collector = take->collector;
	const struct target *record = traced_record(collector->traced);

	if (!process_is_alive(collector->process) || record->image_gone)
		return;
	take->maps = maps_read(collector->process->pid, NULL);
	heap_look_begin(&take->heap, collector->process, record, &collector->geometry, take->began);
	/* exec may come at any moment: what was read then is of another program. */
	if (take->maps)
		take->heap.index = read_heap(collector, take->maps);
	if (record->image_gone || !process_is_alive(collector->process)) {
		g_clear_pointer(&take->maps, maps_free);
		g_clear_pointer(&take->heap.index, heap_index_free);
	}
}

/* Ages of places go on from the last look; the index of this one takes its place. */
static void follow_heap(struct take *take)
{
	struct collector *collector = take->collector;
	uint64_t before = MAX(collector->followed_ns, collector->attached_ns);

	if (!take->heap.index)
		return;
	if (collector->sampling)
		for (int age = SURVIVOR_YOUNG; age < SURVIVOR_OLD; age++)
			take->age_bounds[age] =
				MIN((age + 1) * sampling_young_ns(collector->sampling) /
					    HEAP_AGE_UNIT_NS,
				    HEAP_AGE_MOST);
	if (collector->heap)
		heap_index_follow(take->heap.index, collector->heap,
				  heap_age_units(before, take->now_ns));
	collector->heap = take->heap.index;
	collector->followed_ns = take->now_ns;
}

struct snapshot *collector_take(struct collector *collector, double min_age_s, GError **error)
{
	struct take take = { .collector = collector };
	struct snapshot *snapshot = g_new0(struct snapshot, 1);
	uint64_t began = now_ns();
	uint32_t capacity = kernel_side_live_capacity(collector->kernel);
	bool erase = collector->live_entries > capacity * ERASE_WHEN_FULL;
	struct live_scan_result result;

	take.now_ns = began;
	take.began = PYLEAK_BORN(began);
	take.young = min_age_s > 0 ? PYLEAK_BORN(began - (uint64_t)(min_age_s * 1e9))
				   : PYLEAK_BORN(began) + INT32_MAX / 2;
	take.checked_until = PYLEAK_BORN(collector->taken_ns);
	take.checkpoint = survival_checkpoint(collector->survival, collector->attached_ns, began);
	take.old = take.checkpoint ? PYLEAK_BORN(take.checkpoint->time_ns) : 0;
	collector->unchecked = 0;
	if (collector->sampling)
		sampling_begin(collector->sampling, began);
	read_target(&take);
	follow_heap(&take);
	prepare_contexts(&take);
	take.blocks = block_sample_new(BLOCKS_OF_SIZE, BLOCKS_OF_ALL);
	if (!live_scan(collector->kernel, erase, visit_block, &take, &result, error)) {
		snapshot_free(snapshot);
		snapshot = NULL;
		goto out;
	}
	visit_pending(&take);
	snapshot->blocks = g_steal_pointer(&take.blocks);
	snapshot->taken_ns = began;
	snapshot->attached_ns = collector->attached_ns;
	snapshot->time_us = g_get_real_time();
	snapshot->survival_age_ns = take.checkpoint ? began - take.checkpoint->time_ns : 0;
	for (int reason = 0; reason < LOST_COUNT; reason++)
		snapshot->lost[reason] =
			traced_record(collector->traced)->lost[reason] + collector->lost[reason];
	compare_heap(&take, snapshot);
	finish_contexts(&take, snapshot);
	cost_fill(&collector->cost, collector->process, began, spent_ns(collector), snapshot);
	if (take.maps)
		memory_meter_read(&collector->meter, &collector->process->memory.base, take.maps,
				  take.heap.index ? heap_index_totals(take.heap.index) : NULL,
				  traced_plan(collector->traced)->malloc_is_glibc, began,
				  &snapshot->memory);
	snapshot->malloc_free_growth_bytes = memory_meter_free_growth(&collector->meter);
	fill_families(collector, snapshot);
	if (collector->sampling)
		sampling_finish(collector->sampling, snapshot);
	survival_remember(collector->survival, began, take.totals, take.contexts->len,
			  traced_index(collector->traced));
	collector->live_entries = result.entries;
	snapshot->budget_scale = 1;
	if (collector->governor) {
		governor_set_crowded(collector->governor, result.entries > capacity * CROWDED);
		governor_set_growth(collector->governor, snapshot->pool_growth_bytes,
				    snapshot->private_growth_bytes - snapshot->pool_growth_bytes);
		snapshot->budget_scale = governor_set_pressure(collector->governor, pressure_cpu());
	}
	collector->taken_ns = began;
	collector->seconds = (now_ns() - began) / 1e9;
out:
	block_sample_free(take.blocks);
	heap_look_end(&take.heap);
	g_array_unref(take.contexts);
	maps_free(take.maps);
	return snapshot;
}

struct sampling *collector_sampling(const struct collector *collector)
{
	return collector->sampling;
}

void collector_begin_interval(struct collector *collector)
{
	cost_begin_interval(&collector->cost, now_ns(), spent_ns(collector));
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
