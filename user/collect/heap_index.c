// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_index.h"

#include <string.h>

#include "collect/pool_sample.h"

struct heap_index {
	struct pool_geometry geometry;
	GHashTable *pools;  /* address (key inside the entry) to struct pool_entry */
	GHashTable *missed; /* the same, of pools that only the index before has; NULL: none */
	uint32_t level;
	uint64_t own_bytes, most_bytes; /* of the entries of both */
	uint64_t blocks, bytes;
	struct pools_totals totals;
	struct level_counts now, *baseline; /* NULL: there is none */
	bool looked_at[HEAP_AGE_MOST + 1];  /* so long ago there was a look */
};

static gboolean is_left_out(void *key, void *value, void *data)
{
	const struct pool_entry *entry = value;
	struct heap_index *index = data;

	(void)key;
	if (pool_level(entry->address) >= index->level)
		return false;
	index->own_bytes -= pool_entry_bytes(entry);
	return true;
}

static void thin_out(struct heap_index *index, uint32_t level)
{
	if (level <= index->level)
		return;
	index->level = level;
	g_hash_table_foreach_remove(index->pools, is_left_out, index);
	if (index->missed)
		g_hash_table_foreach_remove(index->missed, is_left_out, index);
}

static void keep_within_limit(struct heap_index *index)
{
	while (index->own_bytes > index->most_bytes && index->level < POOL_MAX_LEVEL)
		thin_out(index, index->level + 1);
}

/* Adds the pool's blocks that are handed out, and returns how many they are. */
static uint64_t count_by_level(struct level_counts *counts, const struct pool *pool,
			       const struct pool_geometry *geometry)
{
	uint32_t size_class = pool->block_size / geometry->alignment - 1;
	uint64_t live = 0;

	for (uint32_t i = 0; i < (pool->capacity + 63) / 64; i++)
		live += __builtin_popcountll(pool->live[i]);
	if (size_class < POOL_MAX_CLASSES)
		counts->blocks[pool_level(pool->address)][size_class] += live;
	return live;
}

static bool add_pool(const struct pool *pool, void *context)
{
	struct heap_index *index = context;
	uint32_t level = pool_level(pool->address);
	uint64_t live = count_by_level(&index->now, pool, &index->geometry);
	struct pool_entry *entry;

	index->blocks += live;
	index->bytes += live * pool->block_size;
	if (level < index->level)
		return true;
	entry = pool_entry_new(pool);
	g_hash_table_replace(index->pools, &entry->address, entry);
	index->own_bytes += pool_entry_bytes(entry);
	keep_within_limit(index);
	return true;
}

struct heap_index *heap_index_read(const struct memory *memory, const struct maps *maps,
				   const struct pool_geometry *geometry,
				   const struct heap_index *before, uint64_t most_bytes)
{
	struct heap_index *index = g_new0(struct heap_index, 1);

	index->geometry = *geometry;
	index->level = before ? before->level : 0;
	index->most_bytes = most_bytes;
	index->looked_at[0] = true;
	index->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, pool_entry_free);
	if (pools_walk_totals(memory, maps, geometry, add_pool, index, &index->totals) < 0) {
		heap_index_free(index);
		return NULL;
	}
	return index;
}

void heap_index_free(struct heap_index *index)
{
	if (!index)
		return;
	g_clear_pointer(&index->pools, g_hash_table_unref);
	g_clear_pointer(&index->missed, g_hash_table_unref);
	g_free(index->baseline);
	g_free(index);
}

uint32_t heap_index_level(const struct heap_index *index)
{
	return index->level;
}

static uint64_t pool_of(const struct heap_index *index, uint64_t block)
{
	return block & ~((uint64_t)index->geometry.pool_size - 1);
}

bool heap_index_has_pool(const struct heap_index *index, uint64_t block)
{
	uint64_t address = pool_of(index, block);

	return g_hash_table_contains(index->pools, &address);
}

/* The entry and number of a block; NULL when there is no such live block. */
static struct pool_entry *find_live(const struct heap_index *index, uint64_t block,
				    uint32_t *number)
{
	uint64_t address = pool_of(index, block);
	struct pool_entry *entry = g_hash_table_lookup(index->pools, &address);

	return entry && pool_entry_find(entry, block, number) ? entry : NULL;
}

bool heap_index_is_live(const struct heap_index *index, uint64_t block)
{
	uint32_t number;

	return find_live(index, block, &number);
}

bool heap_index_mark(struct heap_index *index, uint64_t block, uint8_t *age)
{
	uint32_t number;
	struct pool_entry *entry = find_live(index, block, &number);

	if (!entry)
		return false;
	pool_entry_mark(entry, number);
	if (age)
		*age = pool_entry_age(entry, number);
	return true;
}

uint64_t heap_index_blocks(const struct heap_index *index)
{
	return index->blocks;
}

uint64_t heap_index_bytes(const struct heap_index *index)
{
	return index->bytes;
}

uint64_t heap_index_pool_bytes(const struct heap_index *index)
{
	return index->totals.pools_in_use * index->geometry.pool_size;
}

static uint64_t of_class(const struct level_counts *counts, uint32_t size_class)
{
	uint64_t blocks = 0;

	for (uint32_t level = 0; level <= POOL_MAX_LEVEL; level++)
		blocks += counts->blocks[level][size_class];
	return blocks;
}

/* From the baseline to @now, so many blocks of each class. */
static void class_growth(const struct heap_index *index, const uint64_t now[POOL_MAX_CLASSES],
			 int64_t bytes[POOL_MAX_CLASSES])
{
	for (uint32_t i = 0; i < POOL_MAX_CLASSES; i++)
		bytes[i] = index->baseline ? (int64_t)(now[i] - of_class(index->baseline, i)) *
						     (i + 1) * index->geometry.alignment
					   : 0;
}

void heap_index_class_growth(const struct heap_index *index, int64_t bytes[POOL_MAX_CLASSES])
{
	uint64_t now[POOL_MAX_CLASSES];

	for (uint32_t i = 0; i < POOL_MAX_CLASSES; i++)
		now[i] = of_class(&index->now, i);
	class_growth(index, now, bytes);
}

bool heap_index_class_growth_now(const struct heap_index *index, const struct memory *memory,
				 const struct maps *maps, int64_t bytes[POOL_MAX_CLASSES])
{
	uint64_t now[POOL_MAX_CLASSES];

	if (!pools_count_blocks(memory, maps, &index->geometry, now))
		return false;
	class_growth(index, now, bytes);
	return true;
}

uint64_t heap_index_own_bytes(const struct heap_index *index)
{
	return sizeof(*index) + index->own_bytes;
}

const struct pools_totals *heap_index_totals(const struct heap_index *index)
{
	return &index->totals;
}

void heap_index_each_unmarked(const struct heap_index *index, block_visit visit, void *context)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		const struct pool_entry *entry = value;

		for (uint32_t word = 0; word < entry->words; word++) {
			uint64_t left = pool_entry_unmarked(entry, word);

			for (; left; left &= left - 1) {
				uint32_t number = word * 64 + __builtin_ctzll(left);

				if (pool_entry_age(entry, number) != HEAP_AGE_BASELINE)
					visit(context, pool_entry_block(entry, number),
					      entry->block_size);
			}
		}
	}
}

/* Counts the pool's blocks into @counts, and those of the baseline into @left. */
static void count_pool(const struct heap_index *index, const struct pool_entry *entry,
		       const uint8_t *bounds, uint32_t groups, uint64_t counts[][POOL_MAX_CLASSES],
		       uint64_t *left)
{
	uint32_t size_class = entry->block_size / index->geometry.alignment - 1;
	uint32_t by_age[HEAP_AGE_BASELINE + 1] = { 0 };

	if (size_class >= POOL_MAX_CLASSES)
		return;
	for (uint32_t block = 0; block < entry->capacity; block++)
		by_age[pool_entry_age(entry, block)] += pool_entry_is_live(entry, block);
	for (uint32_t age = 0, group = 0; age <= HEAP_AGE_MOST; age++) {
		while (group + 1 < groups && age >= bounds[group])
			group++;
		counts[group][size_class] += by_age[age];
	}
	left[size_class] += by_age[HEAP_AGE_BASELINE];
}

void heap_index_count_new(const struct heap_index *index, const uint8_t *bounds, uint32_t groups,
			  uint64_t counts[][POOL_MAX_CLASSES])
{
	static const struct level_counts nothing;
	uint64_t left[POOL_MAX_CLASSES] = { 0 };
	GHashTableIter iterator;
	void *value;

	memset(counts, 0, groups * sizeof(*counts));
	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value))
		count_pool(index, value, bounds, groups, counts, left);
	pool_sample_scale(index->level, index->baseline ? index->baseline : &nothing, &index->now,
			  left, groups, counts);
}

void heap_index_set_baseline(struct heap_index *index)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;

		index->own_bytes -= pool_entry_bytes(entry);
		pool_entry_set_baseline(entry);
		index->own_bytes += pool_entry_bytes(entry);
	}
	g_free(index->baseline);
	index->baseline = g_memdup2(&index->now, sizeof(index->now));
}

static void follow_looks(struct heap_index *index, const struct heap_index *before, uint32_t passed)
{
	for (uint32_t age = 0; age <= HEAP_AGE_MOST; age++)
		if (before->looked_at[age])
			index->looked_at[pool_age_after(age, passed)] = true;
}

uint8_t heap_index_age_of_new(const struct heap_index *index, uint32_t since)
{
	uint32_t age = MIN(since, HEAP_AGE_MOST);

	while (age && !index->looked_at[age])
		age--;
	return age;
}

/* Takes the pool at @address out of the index before, if it has it. */
static struct pool_entry *take_pool(struct heap_index *before, uint64_t address)
{
	void *entry;

	/* Not the key as well, which is the same: GLib 2.74 then gives NULL for one of them. */
	if (!g_hash_table_steal_extended(before->pools, &address, NULL, &entry) &&
	    !(before->missed &&
	      g_hash_table_steal_extended(before->missed, &address, NULL, &entry)))
		return NULL;
	before->own_bytes -= pool_entry_bytes(entry);
	return entry;
}

void heap_index_follow(struct heap_index *index, struct heap_index *before, uint32_t passed)
{
	GHashTableIter iterator;
	void *value;

	thin_out(before, index->level);
	thin_out(index, before->level);
	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value, *same = take_pool(before, entry->address);

		if (!same)
			continue;
		index->own_bytes -= pool_entry_bytes(entry);
		if (same->block_size == entry->block_size)
			pool_entry_follow(entry, same, passed);
		index->own_bytes += pool_entry_bytes(entry);
		pool_entry_free(same);
	}
	follow_looks(index, before, passed);
	index->baseline = g_steal_pointer(&before->baseline);
	/* What is left of the index before is what this one misses. */
	g_clear_pointer(&before->missed, g_hash_table_unref);
	g_hash_table_iter_init(&iterator, before->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value))
		index->own_bytes += pool_entry_bytes(value);
	index->missed = g_steal_pointer(&before->pools);
	heap_index_free(before);
	keep_within_limit(index);
}
