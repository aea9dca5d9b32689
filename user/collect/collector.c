// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/collector.h"

#include <stddef.h>
#include <time.h>
#include <bpf/bpf.h>

#include "base/error.h"
#include "collect/epochs.h"
#include "collect/heap_index.h"
#include "collect/live_scan.h"
#include "collect/survival.h"
#include "proc/maps.h"

/* Dead entries are left in the table for quick reuse until it is this full. */
static const double ERASE_WHEN_FULL = 0.7;
/* Blocks that no site saw are looked at a second time, up to this many: a heap read while it changes shows some that are not there. */
enum { MAX_SECOND_LOOKS = 200000 };

struct collector {
	struct kernel_side *kernel;
	struct traced *traced;
	const struct process *process;
	const struct interpreter *interpreter;
	struct pool_geometry geometry;
	double trap_ns;
	struct heap_index *baseline;
	struct survival *survival;
	struct governor *governor; /* NULL: everything is traced */
	struct epochs *epochs[FAMILY_COUNT];
	struct observation observed[FAMILY_COUNT]; /* up to the last take */
	double spent_ns, sampled_spent_ns;
	uint64_t lost[LOST_COUNT];
	uint64_t attached_ns, rss_at_attach;
	uint64_t taken_ns; /* of the last snapshot; 0: none yet */
	uint64_t cpu_ns;
	uint64_t unchecked, live_entries;
	double seconds;
};

/* One collector_take() on its way. */
struct take {
	struct collector *collector;
	const struct traced_context *totals;
	struct heap_index *heap; /* NULL: cannot be read (any more), or no pymalloc */
	struct maps *maps;	 /* NULL: cannot be read (any more) */
	const struct checkpoint *checkpoint;
	uint64_t now_ns;
	uint32_t began, young, checked_until, old; /* units of struct block's born */
	GArray *contexts; /* of struct snapshot_context, by id */
	GHashTable *cells; /* of struct sample_cell, by cell_key(); NULL: everything is traced */
	uint64_t seen, unseen, second_looks;
	struct pool pool; /* of the last second look */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Times of birth wrap after 52 days, so they are compared by their difference. */
static bool born_before(uint32_t born, uint32_t moment)
{
	return (int32_t)(born - moment) < 0;
}

static uint64_t born_to_ns(uint32_t born, uint64_t now)
{
	uint64_t age = (uint32_t)(PYLEAK_BORN(now) - born);

	return age > INT32_MAX ? now : now - (age << 20);
}

struct collector *collector_new(struct kernel_side *kernel, struct traced *traced, const struct process *process,
				const struct interpreter *interpreter, double trap_ns)
{
	struct collector *collector = g_new0(struct collector, 1);
	struct process_usage usage;

	collector->kernel = kernel;
	collector->traced = traced;
	collector->process = process;
	collector->interpreter = interpreter;
	collector->trap_ns = trap_ns;
	collector->survival = survival_new();
	if (interpreter)
		collector->geometry = (struct pool_geometry){ interpreter->layout.pool_size,
							      interpreter->layout.pool_alignment };
	collector->attached_ns = now_ns();
	if (process_usage_read(process, &usage)) {
		collector->rss_at_attach = usage.rss_bytes;
		collector->cpu_ns = usage.cpu_ns;
	}
	return collector;
}

void collector_free(struct collector *collector)
{
	if (!collector)
		return;
	for (int family = 0; family < FAMILY_COUNT; family++)
		epochs_free(collector->epochs[family]);
	heap_index_free(collector->baseline);
	survival_free(collector->survival);
	g_free(collector);
}

static struct heap_index *read_heap(const struct collector *collector, const struct maps *maps)
{
	if (!collector->interpreter || !traced_plan(collector->traced)->sites[FAMILY_PYMALLOC])
		return NULL;
	return heap_index_read(&collector->process->memory.base, maps, &collector->geometry);
}

void collector_set_governor(struct collector *collector, struct governor *governor)
{
	collector->governor = governor;
}

void collector_set_baseline(struct collector *collector)
{
	struct maps *maps = maps_read(collector->process->pid, NULL);

	collector->attached_ns = now_ns();
	for (int family = 0; family < FAMILY_COUNT; family++) {
		epochs_free(collector->epochs[family]);
		collector->epochs[family] = epochs_new(collector->attached_ns);
	}
	if (!maps)
		return;
	heap_index_free(collector->baseline);
	collector->baseline = read_heap(collector, maps);
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

/* Whether the block still lives, by what the allocator says. @size becomes what is left of it. */
static bool is_alive(struct take *take, enum family family, uint64_t address, uint32_t born, uint64_t *size)
{
	if (family == FAMILY_PYMALLOC && take->heap) {
		if (heap_index_mark(take->heap, address)) {
			take->seen++;
			return true;
		}
		return !born_before(born, take->began);
	}
	if (family == FAMILY_MMAP && take->maps && born_before(born, take->began)) {
		*size = mapped_bytes(take->maps, address, *size);
		return *size;
	}
	return true;
}

/* Temporaries that were alive when a window closed are not survivors: their places are taken by others before anybody looks. */
static const uint64_t SURVIVOR_AGE_NS = 300000000;

static void add_to_cell(struct take *take, const struct snapshot_context *context, uint64_t size, uint64_t born)
{
	const struct collector *collector = take->collector;
	uint32_t block_size = context->family == FAMILY_PYMALLOC ? size : 0;
	uint64_t key = (uint64_t)context->id << 32 | block_size;
	double weight = epochs_weight(collector->epochs[context->family], born);
	struct sample_cell *cell = g_hash_table_lookup(take->cells, &key);

	if (!cell) {
		uint64_t *stored = g_new(uint64_t, 1);

		*stored = key;
		cell = g_new0(struct sample_cell, 1);
		cell->context = context->id;
		cell->block_size = block_size;
		g_hash_table_insert(take->cells, stored, cell);
	}
	cell->blocks++;
	cell->weight += weight;
	cell->weight_squares += weight * weight;
	cell->bytes += weight * size;
	cell->byte_squares += weight * size * weight * size;
}

static bool visit_block(void *data, uint64_t key, const struct block *block)
{
	struct take *take = data;
	uint32_t id = PYLEAK_TAG_CONTEXT(block->tag), born = PYLEAK_TAG_BORN(block->tag);
	struct snapshot_context *context;
	uint64_t size = block->size, born_ns;

	if (!block->tag)
		return false;
	if (PYLEAK_KEY_TARGET(key) != traced_index(take->collector->traced) || id >= take->contexts->len)
		return true;
	context = &g_array_index(take->contexts, struct snapshot_context, id);
	if (!is_alive(take, context->family, PYLEAK_KEY_ADDRESS(key), born, &size))
		return false;
	if (!take->maps && take->collector->taken_ns && !born_before(born, take->checked_until)) {
		take->collector->unchecked++;
		return true;
	}
	if (!born_before(born, take->young))
		return true;
	context->live_blocks++;
	context->live_bytes += size;
	if (take->checkpoint && born_before(born, take->old))
		context->old_live_blocks++;
	born_ns = born_to_ns(born, take->now_ns);
	if (!context->oldest_born_ns || born_ns < context->oldest_born_ns)
		context->oldest_born_ns = born_ns;
	if (take->cells && (born_ns + SURVIVOR_AGE_NS < take->now_ns ||
			    take->collector->observed[context->family].always))
		add_to_cell(take, context, size, born_ns);
	return true;
}

/*
 * The last allocation by pymalloc's slow path is accounted for at the next event; until then its block is found here, in the
 * way bpf/pymalloc.h says.
 */
static void visit_pending(struct take *take)
{
	const struct collector *collector = take->collector;
	struct pending_slow_path pending = traced_record(collector->traced)->pending;
	uint64_t index = traced_index(collector->traced), address;
	struct pool pool;

	/* prevpool is the fourth word of struct pool_header. */
	if (!take->heap || !pending.sentinel ||
	    !memory_read_u64(&collector->process->memory.base, pending.sentinel + 24, &address) ||
	    address == pending.sentinel ||
	    !pool_read(&collector->process->memory.base, &collector->geometry, address, &pool) || pool.used != 1)
		return;
	for (uint32_t i = 0; i < pool.capacity; i++) {
		uint64_t block = pool.address + PYLEAK_POOL_HEADER_SIZE + (uint64_t)i * pool.block_size;
		struct block entry = { .tag = PYLEAK_TAG(pending.context, pending.born), .size = pool.block_size };

		if (!pool_block_is_live(&pool, block))
			continue;
		visit_block(take, PYLEAK_BLOCK_KEY(index, block), &entry);
		if (pending.context < take->contexts->len)
			g_array_index(take->contexts, struct snapshot_context, pending.context).alloc_blocks++;
	}
}

/* A live block without an entry: unless it was just being born or freed while the heap was read, no site saw it. */
static void visit_unseen(void *data, uint64_t address, uint32_t block_size)
{
	struct take *take = data;
	const struct collector *collector = take->collector;
	uint64_t key = PYLEAK_BLOCK_KEY(traced_index(collector->traced), address);
	uint64_t pool = address & ~((uint64_t)collector->geometry.pool_size - 1);
	struct block block;

	if (take->second_looks++ > MAX_SECOND_LOOKS) {
		take->unseen++;
		return;
	}
	if (!bpf_map_lookup_elem(kernel_side_live_fd(collector->kernel), &key, &block) && block.tag) {
		take->seen++;
		return;
	}
	if (take->pool.address != pool &&
	    !pool_read(&collector->process->memory.base, &collector->geometry, pool, &take->pool)) {
		take->pool.address = 0;
		return;
	}
	if (take->pool.block_size == block_size && pool_block_is_live(&take->pool, address))
		take->unseen++;
}

static void measure_coverage(struct take *take, struct snapshot *snapshot)
{
	struct collector *collector = take->collector;

	snapshot->coverage = -1;
	if (collector->governor)
		return;
	/* Blocks that did not fit into a table were seen and are counted as lost; they would pass as unseen here. */
	if (!take->heap || !collector->baseline || snapshot->lost[LOST_LIVE_FULL] || snapshot->lost[LOST_CONTEXTS_FULL])
		return;
	heap_index_each_unmarked(take->heap, collector->baseline, visit_unseen, take);
	heap_index_intersect(collector->baseline, take->heap);
	snapshot->coverage_blocks = take->seen + take->unseen;
	if (snapshot->coverage_blocks)
		snapshot->coverage = (double)take->seen / snapshot->coverage_blocks;
}

static void prepare_contexts(struct take *take)
{
	uint32_t count = kernel_side_context_count(take->collector->kernel) + 1;

	take->totals = kernel_side_contexts(take->collector->kernel);
	take->contexts = g_array_sized_new(false, true, sizeof(struct snapshot_context), count);
	g_array_set_size(take->contexts, count);
	for (uint32_t id = 0; id < count; id++) {
		struct snapshot_context *context = &g_array_index(take->contexts, struct snapshot_context, id);

		context->id = id;
		context->family = MIN(take->totals[id].family, FAMILY_COUNT - 1);
		if (take->checkpoint && id < take->checkpoint->count)
			context->old_alloc_blocks = take->checkpoint->allocs[id];
	}
}

/* Totals are read after the blocks: what lives was allocated. Contexts that never allocated are dropped. */
static void finish_contexts(struct take *take, struct snapshot *snapshot)
{
	uint32_t target = traced_index(take->collector->traced);

	snapshot->contexts = g_array_new(false, false, sizeof(struct snapshot_context));
	for (uint32_t id = 1; id < take->contexts->len; id++) {
		struct snapshot_context *context = &g_array_index(take->contexts, struct snapshot_context, id);
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

/* What tracing cost the target since it began, in ns of its time. */
static double spent_ns(const struct collector *collector)
{
	const struct target *record = traced_record(collector->traced);
	uint64_t timed = record->timed_events, events = record->idle_traps;

	if (collector->governor)
		return governor_spent_ns(collector->governor);
	for (int family = 0; family < FAMILY_COUNT; family++)
		events += record->events[family];
	return events * (collector->trap_ns + (timed ? (double)record->timed_ns / timed : 0));
}

static void finish_process(struct collector *collector, struct snapshot *snapshot)
{
	struct process_usage usage;
	double spent = spent_ns(collector), cost = spent - collector->spent_ns;

	snapshot->rss_at_attach_bytes = collector->rss_at_attach;
	if (process_usage_read(collector->process, &usage)) {
		double cpu = usage.cpu_ns - collector->cpu_ns;

		snapshot->rss_bytes = usage.rss_bytes;
		snapshot->threads = usage.threads;
		/* On top of what the program would have used without; beyond 20x the difference is all error. */
		if (cpu > 0)
			snapshot->overhead_pct = 100 * cost / MAX(cpu - cost, cpu / 20);
		collector->cpu_ns = usage.cpu_ns;
	}
	collector->spent_ns = spent;
}

static void finish_families(struct collector *collector, struct snapshot *snapshot)
{
	const struct probe_plan *plan = traced_plan(collector->traced);

	for (int family = 0; family < FAMILY_COUNT; family++) {
		const struct observation *observed = &collector->observed[family];
		double length = snapshot->taken_ns - collector->attached_ns;
		bool exact = plan->sites[family] && (!collector->governor || observed->always);

		snapshot->families[family].mode = !plan->sites[family] ? FAMILY_MODE_OFF :
						  exact		       ? FAMILY_MODE_EXACT :
									 FAMILY_MODE_SAMPLED;
		snapshot->families[family].observed_fraction = exact ? 1 : MIN(observed->observed_ns / length, 1);
		snapshot->families[family].windows = collector->governor ? observed->windows : exact;
	}
}

/* Before the blocks are visited: what those born up to now stand for. */
static void update_epochs(struct collector *collector, uint64_t now)
{
	uint64_t since = collector->taken_ns ? collector->taken_ns : collector->attached_ns;
	double spent = spent_ns(collector), own = (double)(now - since) - (spent - collector->sampled_spent_ns);

	for (int family = 0; family < FAMILY_COUNT; family++) {
		struct observation *known = &collector->observed[family], observed;

		governor_observe(collector->governor, family, &observed);
		epochs_add(collector->epochs[family], now, own, observed.observed_ns - known->observed_ns,
			   observed.windows - known->windows);
		*known = observed;
	}
	collector->sampled_spent_ns = spent;
}

static void finish_cells(struct take *take, struct snapshot *snapshot)
{
	const struct collector *collector = take->collector;
	GHashTableIter iterator;
	void *cell;

	if (!take->cells)
		return;
	snapshot->cells = g_array_new(false, false, sizeof(struct sample_cell));
	g_hash_table_iter_init(&iterator, take->cells);
	while (g_hash_table_iter_next(&iterator, NULL, &cell))
		g_array_append_vals(snapshot->cells, cell, 1);
	if (!take->heap)
		return;
	snapshot->class_step = collector->geometry.alignment;
	G_STATIC_ASSERT((int)SNAPSHOT_MAX_CLASSES == (int)POOL_MAX_CLASSES);
	heap_index_count_new(take->heap, collector->baseline, snapshot->class_blocks);
	heap_index_intersect(collector->baseline, take->heap);
}

static void read_target(struct take *take)
{
	const struct collector *collector = take->collector;

	if (!process_is_alive(collector->process) || traced_record(collector->traced)->image_gone)
		return;
	take->maps = maps_read(collector->process->pid, NULL);
	/* exec may come at any moment: what was read then is of another program. */
	if (take->maps)
		take->heap = read_heap(collector, take->maps);
	if (traced_record(collector->traced)->image_gone || !process_is_alive(collector->process)) {
		maps_free(take->maps);
		heap_index_free(take->heap);
		take->maps = NULL;
		take->heap = NULL;
	}
}

struct snapshot *collector_take(struct collector *collector, double min_age_s, GError **error)
{
	struct take take = { .collector = collector };
	struct snapshot *snapshot = g_new0(struct snapshot, 1);
	uint64_t began = now_ns();
	bool erase = collector->live_entries > kernel_side_live_capacity(collector->kernel) * ERASE_WHEN_FULL;
	struct live_scan_result result;

	take.now_ns = began;
	take.began = PYLEAK_BORN(began);
	take.young = min_age_s > 0 ? PYLEAK_BORN(began - (uint64_t)(min_age_s * 1e9)) : PYLEAK_BORN(began) + INT32_MAX / 2;
	take.checked_until = PYLEAK_BORN(collector->taken_ns);
	take.checkpoint = survival_checkpoint(collector->survival, collector->attached_ns, began);
	take.old = take.checkpoint ? PYLEAK_BORN(take.checkpoint->time_ns) : 0;
	collector->unchecked = 0;
	if (collector->governor) {
		update_epochs(collector, began);
		take.cells = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	}
	read_target(&take);
	prepare_contexts(&take);
	if (!live_scan(collector->kernel, erase, visit_block, &take, &result, error)) {
		snapshot_free(snapshot);
		snapshot = NULL;
		goto out;
	}
	visit_pending(&take);
	snapshot->taken_ns = began;
	snapshot->attached_ns = collector->attached_ns;
	snapshot->time_us = g_get_real_time();
	snapshot->survival_age_ns = take.checkpoint ? began - take.checkpoint->time_ns : 0;
	for (int reason = 0; reason < LOST_COUNT; reason++)
		snapshot->lost[reason] = traced_record(collector->traced)->lost[reason] + collector->lost[reason];
	measure_coverage(&take, snapshot);
	finish_cells(&take, snapshot);
	finish_contexts(&take, snapshot);
	finish_process(collector, snapshot);
	finish_families(collector, snapshot);
	survival_remember(collector->survival, began, take.totals, take.contexts->len);
	collector->live_entries = result.entries;
	collector->taken_ns = began;
	collector->seconds = (now_ns() - began) / 1e9;
out:
	g_array_unref(take.contexts);
	if (take.cells)
		g_hash_table_unref(take.cells);
	heap_index_free(take.heap);
	maps_free(take.maps);
	return snapshot;
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
