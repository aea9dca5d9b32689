// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/collector.h"

#include <stddef.h>
#include <time.h>

#include "collect/cost.h"
#include "collect/coverage.h"
#include "collect/heap_index.h"
#include "collect/heap_look.h"
#include "collect/live_scan.h"
#include "collect/memory_use.h"
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

/* One look at the traced blocks on its way. */
struct block_look {
	/* For the caller to fill in, borrowed; all else is 0. */
	const struct kernel_side *kernel;
	const struct traced *traced;
	const struct process *process;
	const struct pool_geometry *geometry; /* NULL: blocks of pymalloc are not traced */
	struct sampling *sampling;	      /* NULL: everything is traced */
	const struct checkpoint *checkpoint;  /* NULL: none yet */
	struct heap_index *last_heap;	      /* NULL: the heap has never been read */
	uint64_t last_heap_ns;		      /* when it was, or tracing began */
	uint64_t heap_bytes;		      /* that its index may take */
	uint64_t now_ns;		      /* when the look begins, CLOCK_MONOTONIC */
	uint64_t last_ns;		      /* when the last snapshot was taken; 0: none yet */

	/* What was found. */
	struct maps *maps;		  /* NULL: cannot be read (any more) */
	struct heap_look heap;		  /* its index is the caller's */
	uint8_t age_bounds[SURVIVOR_OLD]; /* of places in the heap: young, recent */
	uint64_t unchecked;		  /* blocks that could not be asked for, left out */
	uint64_t entries;		  /* in the kernel's table */
	const struct traced_context *totals;
	GArray *contexts; /* of struct snapshot_context, by id */
	struct block_sample *blocks;

	uint32_t began, young, checked_until, old; /* units of struct block's born */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
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
	if (geometry)
		collector->heap = heap_index_read(&collector->process->memory.base, maps, geometry,
						  NULL, index_bytes(collector));
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

static uint32_t heap_age_units(uint64_t since_ns, uint64_t now_ns)
{
	uint64_t units = now_ns / HEAP_AGE_UNIT_NS - since_ns / HEAP_AGE_UNIT_NS;

	return since_ns < now_ns ? MIN(units, UINT32_MAX) : 0;
}

static void read_target(struct block_look *look)
{
	const struct target *record = traced_record(look->traced);

	if (!process_is_alive(look->process) || record->image_gone)
		return;
	look->maps = maps_read(look->process->pid, NULL);
	heap_look_begin(&look->heap, look->process, record, look->geometry, look->began);
	/* exec may come at any moment: what was read then is of another program. */
	if (look->maps && look->geometry)
		look->heap.index =
			heap_index_read(&look->process->memory.base, look->maps, look->geometry,
					look->last_heap, look->heap_bytes);
	if (record->image_gone || !process_is_alive(look->process)) {
		g_clear_pointer(&look->maps, maps_free);
		g_clear_pointer(&look->heap.index, heap_index_free);
	}
}

/* Ages of places go on from the last look; the index of this one takes its place. */
static void follow_heap(struct block_look *look)
{
	if (!look->heap.index)
		return;
	if (look->sampling)
		for (int age = SURVIVOR_YOUNG; age < SURVIVOR_OLD; age++)
			look->age_bounds[age] = MIN((age + 1) * sampling_young_ns(look->sampling) /
							    HEAP_AGE_UNIT_NS,
						    HEAP_AGE_MOST);
	if (look->last_heap)
		heap_index_follow(look->heap.index, g_steal_pointer(&look->last_heap),
				  heap_age_units(look->last_heap_ns, look->now_ns));
}

static void prepare_contexts(struct block_look *look)
{
	uint32_t count = kernel_side_context_count(look->kernel) + 1;

	look->totals = kernel_side_contexts(look->kernel);
	look->contexts = g_array_sized_new(false, true, sizeof(struct snapshot_context), count);
	g_array_set_size(look->contexts, count);
	for (uint32_t id = 0; id < count; id++) {
		struct snapshot_context *context =
			&g_array_index(look->contexts, struct snapshot_context, id);

		context->id = id;
		context->family = MIN(look->totals[id].family, FAMILY_COUNT - 1);
	}
	for (uint32_t i = 0; look->checkpoint && i < look->checkpoint->count; i++)
		if (look->checkpoint->allocs[i].context < count)
			g_array_index(look->contexts, struct snapshot_context,
				      look->checkpoint->allocs[i].context)
				.old_alloc_blocks = look->checkpoint->allocs[i].blocks;
}

static void block_look_begin(struct block_look *look, double min_age_s)
{
	look->began = PYLEAK_BORN(look->now_ns);
	look->young = min_age_s > 0 ? PYLEAK_BORN(look->now_ns - (uint64_t)(min_age_s * 1e9))
				    : look->began + INT32_MAX / 2;
	look->checked_until = PYLEAK_BORN(look->last_ns);
	look->old = look->checkpoint ? PYLEAK_BORN(look->checkpoint->time_ns) : 0;
	read_target(look);
	follow_heap(look);
	prepare_contexts(look);
	look->blocks = block_sample_new(BLOCKS_OF_SIZE, BLOCKS_OF_ALL);
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
struct live_block {
	uint64_t size;	   /* what is left of it */
	uint8_t place_age; /* in the heap, where known */
	double window_ns;  /* as in struct survivor */
};

/* Whether the block still lives, by what the allocator says. @live->size is its size so far. */
static bool is_alive(struct block_look *look, enum family family, uint64_t address, uint64_t tag,
		     struct live_block *live)
{
	struct sampling *sampling = look->sampling;
	uint32_t born = PYLEAK_TAG_BORN(tag);
	uint64_t born_ns = born_to_ns(born, look->now_ns);

	if (family == FAMILY_PYMALLOC && look->heap.index) {
		enum heap_block found =
			heap_look_at(&look->heap, address, tag,
				     heap_age_units(born_ns, look->now_ns), &live->place_age);

		if (found != HEAP_BLOCK_THERE)
			return found == HEAP_BLOCK_NOT_FOUND;
	}
	if (family == FAMILY_MMAP && look->maps && born_before(born, look->began)) {
		live->size = mapped_bytes(look->maps, address, live->size);
		return live->size;
	}
	return !sampling || !look->maps ||
	       sampling_is_same(sampling, family, address, tag, live->size, born_ns,
				&live->window_ns);
}

/*
 * What a place has been handed out for can only be longer than its block's life; if it is shorter,
 * the block was born between two looks.
 */
static void sample_block(const struct block_look *look, struct snapshot_context *context,
			 uint64_t born_ns, bool old, const struct live_block *live)
{
	struct sampling *sampling = look->sampling;
	bool is_pymalloc = context->family == FAMILY_PYMALLOC;
	struct survivor survivor = {
		.context = context->id,
		.block_size = is_pymalloc ? live->size : 0,
		.size = live->size,
		.born_ns = born_ns,
		.age = sampling_age(sampling, born_ns),
		.window_ns = live->window_ns,
	};
	double weight;

	if (is_pymalloc && live->place_age < look->age_bounds[SURVIVOR_YOUNG])
		survivor.age = SURVIVOR_YOUNG;
	else if (is_pymalloc && live->place_age < look->age_bounds[SURVIVOR_RECENT])
		survivor.age = MIN(survivor.age, SURVIVOR_RECENT);
	weight = sampling_count(sampling, context->family, &survivor);
	context->live_weight += weight;
	context->old_live_weight += old ? weight : 0;
}

static bool visit_block(void *data, uint64_t key, const struct block *block)
{
	struct block_look *look = data;
	uint32_t id = PYLEAK_TAG_CONTEXT(block->tag), born = PYLEAK_TAG_BORN(block->tag);
	struct snapshot_context *context;
	struct live_block live = { block->size, HEAP_AGE_MOST, -1 };
	uint64_t born_ns;
	bool old;

	if (!block->tag)
		return false;
	if (PYLEAK_KEY_TARGET(key) != traced_index(look->traced) || id >= look->contexts->len)
		return true;
	context = &g_array_index(look->contexts, struct snapshot_context, id);
	if (!is_alive(look, context->family, PYLEAK_KEY_ADDRESS(key), block->tag, &live))
		return false;
	if (!look->maps && look->last_ns && !born_before(born, look->checked_until)) {
		look->unchecked++;
		return true;
	}
	if (!born_before(born, look->young))
		return true;
	context->live_blocks++;
	context->live_bytes += live.size;
	old = look->checkpoint && born_before(born, look->old);
	context->old_live_blocks += old;
	born_ns = born_to_ns(born, look->now_ns);
	if (!context->oldest_born_ns || born_ns < context->oldest_born_ns)
		context->oldest_born_ns = born_ns;
	if (look->sampling)
		sample_block(look, context, born_ns, old, &live);
	if (!look->sampling || born_ns + SETTLED_NS < look->now_ns)
		block_sample_add(look->blocks, id, context->family, PYLEAK_KEY_ADDRESS(key),
				 block->tag, live.size);
	return true;
}

/* The last allocation by pymalloc's slow path is accounted for at the next event; until then its
 * block is found here. */
static void visit_pending(struct block_look *look)
{
	struct pending_slow_path pending = traced_record(look->traced)->pending;
	struct block entry = { .tag = PYLEAK_TAG(pending.context, pending.born) };
	uint32_t size = 0;
	uint64_t block = look->heap.index ? heap_look_pending(&look->heap, &pending, &size) : 0;

	if (!block)
		return;
	entry.size = size;
	visit_block(look, PYLEAK_BLOCK_KEY(traced_index(look->traced), block), &entry);
	if (pending.context < look->contexts->len)
		g_array_index(look->contexts, struct snapshot_context, pending.context)
			.alloc_blocks++;
}

static bool block_look_scan(struct block_look *look, bool erase, GError **error)
{
	struct live_scan_result result;

	if (!live_scan(look->kernel, erase, visit_block, look, &result, error))
		return false;
	look->entries = result.entries;
	visit_pending(look);
	return true;
}

/* Totals are read after the blocks: what lives was allocated. Contexts that never allocated are
 * dropped. */
static void block_look_fill(struct block_look *look, struct snapshot *snapshot)
{
	uint32_t target = traced_index(look->traced);

	snapshot->blocks = g_steal_pointer(&look->blocks);
	snapshot->contexts = g_array_new(false, false, sizeof(struct snapshot_context));
	for (uint32_t id = 1; id < look->contexts->len; id++) {
		struct snapshot_context *context =
			&g_array_index(look->contexts, struct snapshot_context, id);
		const struct traced_context *totals = &look->totals[id];

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

static void block_look_end(struct block_look *look)
{
	block_sample_free(look->blocks);
	heap_look_end(&look->heap);
	g_array_unref(look->contexts);
	maps_free(look->maps);
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

	snapshot->budget_scale = 1;
	if (!collector->governor)
		return;
	governor_set_crowded(collector->governor, look->entries > capacity * CROWDED);
	governor_set_growth(collector->governor, snapshot->pool_growth_bytes,
			    snapshot->private_growth_bytes - snapshot->pool_growth_bytes);
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
	uint64_t began = now_ns();
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
		collector->seconds = (now_ns() - began) / 1e9;
	}
	collector->unchecked = look.unchecked;
	block_look_end(&look);
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
