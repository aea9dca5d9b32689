// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/block_look.h"

#include <stddef.h>

#include "collect/live_scan.h"
#include "collect/times.h"

/* Blocks that may be looked into: of a context and size, and of all (3 MiB). */
enum { BLOCKS_OF_SIZE = 256, BLOCKS_OF_ALL = 131072 };
/* In windows, younger blocks are mostly temporaries. */
static const uint64_t SETTLED_NS = 300000000;
/* Ages of places in the heap are counted in this, up to 25 s. */
static const uint64_t HEAP_AGE_UNIT_NS = 100000000;

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

void block_look_begin(struct block_look *look, double min_age_s)
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

bool block_look_scan(struct block_look *look, bool erase, GError **error)
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
void block_look_fill(struct block_look *look, struct snapshot *snapshot)
{
	uint32_t target = traced_index(look->traced);

	snapshot->blocks = g_steal_pointer(&look->blocks);
	snapshot->contexts = g_array_new(false, false, sizeof(struct snapshot_context));
	for (uint32_t id = 1; id < look->contexts->len; id++) {
		struct snapshot_context *context =
			&g_array_index(look->contexts, struct snapshot_context, id);
		const struct traced_context *totals = &look->totals[id];
		uint64_t allocs;

		if (totals->target != target || !totals->hash)
			continue;
		allocs = context->alloc_blocks + totals->alloc_blocks;
		context->alloc_blocks = allocs - totals->focused_blocks;
		context->alloc_bytes = totals->alloc_bytes - totals->focused_bytes;
		context->old_live_blocks = MIN(context->old_live_blocks, context->old_alloc_blocks);
		snapshot->families[context->family].allocs += allocs;
		snapshot->families[context->family].frees += totals->free_blocks;
		if (allocs)
			g_array_append_val(snapshot->contexts, *context);
	}
}

void block_look_end(struct block_look *look)
{
	block_sample_free(look->blocks);
	heap_look_end(&look->heap);
	g_array_unref(look->contexts);
	maps_free(look->maps);
}
