// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_index.h"

#include <string.h>

struct pool_entry {
	uint64_t address;
	uint32_t block_size, capacity, words;
	bool missed;	 /* at the last heap_index_intersect() */
	uint64_t bits[]; /* words of live, then words of marked */
};

struct heap_index {
	struct pool_geometry geometry;
	GHashTable *pools; /* address (key inside the entry) to struct pool_entry */
	uint64_t blocks, bytes;
};

static uint64_t *live_bits(struct pool_entry *entry)
{
	return entry->bits;
}

static uint64_t *marked_bits(struct pool_entry *entry)
{
	return entry->bits + entry->words;
}

static bool add_pool(const struct pool *pool, void *context)
{
	struct heap_index *index = context;
	uint32_t words = (pool->capacity + 63) / 64;
	struct pool_entry *entry = g_malloc0(sizeof(*entry) + 2 * words * sizeof(uint64_t));
	uint64_t live = 0;

	entry->address = pool->address;
	entry->block_size = pool->block_size;
	entry->capacity = pool->capacity;
	entry->words = words;
	memcpy(live_bits(entry), pool->live, words * sizeof(uint64_t));
	for (uint32_t i = 0; i < words; i++)
		live += __builtin_popcountll(entry->bits[i]);
	index->blocks += live;
	index->bytes += live * pool->block_size;
	g_hash_table_replace(index->pools, &entry->address, entry);
	return true;
}

struct heap_index *heap_index_read(const struct memory *memory, const struct maps *maps,
				   const struct pool_geometry *geometry)
{
	struct heap_index *index = g_new0(struct heap_index, 1);

	index->geometry = *geometry;
	index->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	if (pools_walk(memory, maps, geometry, add_pool, index) < 0) {
		heap_index_free(index);
		return NULL;
	}
	return index;
}

void heap_index_free(struct heap_index *index)
{
	if (!index)
		return;
	g_hash_table_unref(index->pools);
	g_free(index);
}

/* The entry and bit of a block; NULL when there is no such live block. */
static struct pool_entry *find_live(const struct heap_index *index, uint64_t block, uint32_t *bit)
{
	uint64_t address = block & ~((uint64_t)index->geometry.pool_size - 1);
	struct pool_entry *entry = g_hash_table_lookup(index->pools, &address);
	uint64_t offset = block - address;

	if (!entry || offset < PYLEAK_POOL_HEADER_SIZE)
		return NULL;
	offset -= PYLEAK_POOL_HEADER_SIZE;
	if (offset % entry->block_size)
		return NULL;
	*bit = offset / entry->block_size;
	if (*bit >= entry->capacity || !(live_bits(entry)[*bit / 64] >> *bit % 64 & 1))
		return NULL;
	return entry;
}

bool heap_index_is_live(const struct heap_index *index, uint64_t block)
{
	uint32_t bit;

	return find_live(index, block, &bit);
}

bool heap_index_mark(struct heap_index *index, uint64_t block)
{
	uint32_t bit;
	struct pool_entry *entry = find_live(index, block, &bit);

	if (entry)
		marked_bits(entry)[bit / 64] |= 1ULL << bit % 64;
	return entry;
}

uint64_t heap_index_blocks(const struct heap_index *index)
{
	return index->blocks;
}

uint64_t heap_index_pool_bytes(const struct heap_index *index)
{
	return (uint64_t)g_hash_table_size(index->pools) * index->geometry.pool_size;
}

uint64_t heap_index_bytes(const struct heap_index *index)
{
	return index->bytes;
}

/* The entry of the same pool in @index, if it still is of the same size class. */
static struct pool_entry *same_pool(const struct heap_index *index, const struct pool_entry *entry)
{
	struct pool_entry *other = g_hash_table_lookup(index->pools, &entry->address);

	return other && other->block_size == entry->block_size ? other : NULL;
}

void heap_index_each_unmarked(const struct heap_index *index, const struct heap_index *baseline,
			      block_visit visit, void *context)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;
		struct pool_entry *before = baseline ? same_pool(baseline, entry) : NULL;

		for (uint32_t word = 0; word < entry->words; word++) {
			uint64_t left = live_bits(entry)[word] & ~marked_bits(entry)[word];

			if (before)
				left &= ~live_bits(before)[word];
			for (; left; left &= left - 1) {
				uint64_t bit = word * 64 + __builtin_ctzll(left);

				visit(context,
				      entry->address + PYLEAK_POOL_HEADER_SIZE +
					      bit * entry->block_size,
				      entry->block_size);
			}
		}
	}
}

void heap_index_count_new(const struct heap_index *index, const struct heap_index *baseline,
			  uint64_t counts[POOL_MAX_CLASSES])
{
	GHashTableIter iterator;
	void *value;

	memset(counts, 0, POOL_MAX_CLASSES * sizeof(*counts));
	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;
		struct pool_entry *before = baseline ? same_pool(baseline, entry) : NULL;
		uint32_t size_class = entry->block_size / index->geometry.alignment - 1;

		for (uint32_t word = 0; word < entry->words && size_class < POOL_MAX_CLASSES;
		     word++)
			counts[size_class] += __builtin_popcountll(
				live_bits(entry)[word] & ~(before ? live_bits(before)[word] : 0));
	}
}

void heap_index_intersect(struct heap_index *baseline, const struct heap_index *index)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, baseline->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;
		struct pool_entry *now = g_hash_table_lookup(index->pools, &entry->address);

		/* A pool that is busy just then may be missed once: its blocks are no new ones
		 * after that. */
		if (!now && !entry->missed) {
			entry->missed = true;
			continue;
		}
		if (!now || now->block_size != entry->block_size) {
			g_hash_table_iter_remove(&iterator);
			continue;
		}
		entry->missed = false;
		for (uint32_t word = 0; word < entry->words; word++)
			live_bits(entry)[word] &= live_bits(now)[word];
	}
}
