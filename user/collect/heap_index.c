// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_index.h"

#include <string.h>

struct pool_entry {
	uint64_t address;
	uint32_t block_size, capacity, words;
	uint8_t age;	 /* of all its live blocks, unless: */
	uint8_t *ages;	 /* a byte a block; NULL: they are all of one age, as nearly always */
	uint64_t bits[]; /* words of live, then words of marked */
};

struct heap_index {
	struct pool_geometry geometry;
	GHashTable *pools;  /* address (key inside the entry) to struct pool_entry */
	GHashTable *missed; /* the same, of pools that only the index before has; NULL: none */
	uint64_t blocks, bytes;
	struct pools_totals totals;
};

static uint64_t *live_bits(struct pool_entry *entry)
{
	return entry->bits;
}

static uint64_t *marked_bits(struct pool_entry *entry)
{
	return entry->bits + entry->words;
}

static bool is_live(struct pool_entry *entry, uint32_t block)
{
	return live_bits(entry)[block / 64] >> block % 64 & 1;
}

static uint8_t age_of(const struct pool_entry *entry, uint32_t block)
{
	return entry->ages ? entry->ages[block] : entry->age;
}

static void entry_free(void *data)
{
	struct pool_entry *entry = data;

	g_free(entry->ages);
	g_free(entry);
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
	index->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, entry_free);
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
	if (*bit >= entry->capacity || !is_live(entry, *bit))
		return NULL;
	return entry;
}

bool heap_index_is_live(const struct heap_index *index, uint64_t block)
{
	uint32_t bit;

	return find_live(index, block, &bit);
}

bool heap_index_mark(struct heap_index *index, uint64_t block, uint8_t *age)
{
	uint32_t bit;
	struct pool_entry *entry = find_live(index, block, &bit);

	if (!entry)
		return false;
	marked_bits(entry)[bit / 64] |= 1ULL << bit % 64;
	if (age)
		*age = age_of(entry, bit);
	return true;
}

uint64_t heap_index_blocks(const struct heap_index *index)
{
	return index->blocks;
}

uint64_t heap_index_pool_bytes(const struct heap_index *index)
{
	return (uint64_t)g_hash_table_size(index->pools) * index->geometry.pool_size;
}

uint64_t heap_index_own_bytes(const struct heap_index *index)
{
	uint64_t bytes = sizeof(*index);
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		const struct pool_entry *entry = value;

		bytes += sizeof(*entry) + 2 * entry->words * sizeof(uint64_t) +
			 (entry->ages ? entry->capacity : 0);
	}
	return bytes;
}

const struct pools_totals *heap_index_totals(const struct heap_index *index)
{
	return &index->totals;
}

uint64_t heap_index_bytes(const struct heap_index *index)
{
	return index->bytes;
}

void heap_index_each_unmarked(const struct heap_index *index, block_visit visit, void *context)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;

		for (uint32_t word = 0; word < entry->words; word++) {
			uint64_t left = live_bits(entry)[word] & ~marked_bits(entry)[word];

			for (; left; left &= left - 1) {
				uint64_t bit = word * 64 + __builtin_ctzll(left);

				if (age_of(entry, bit) != HEAP_AGE_BASELINE)
					visit(context,
					      entry->address + PYLEAK_POOL_HEADER_SIZE +
						      bit * entry->block_size,
					      entry->block_size);
			}
		}
	}
}

void heap_index_count_new(const struct heap_index *index, const uint8_t *bounds, uint32_t groups,
			  uint64_t counts[][POOL_MAX_CLASSES])
{
	GHashTableIter iterator;
	void *value;

	memset(counts, 0, groups * sizeof(*counts));
	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;
		uint32_t size_class = entry->block_size / index->geometry.alignment - 1;
		uint32_t by_age[HEAP_AGE_BASELINE + 1] = { 0 };

		for (uint32_t block = 0; block < entry->capacity; block++)
			by_age[age_of(entry, block)] += is_live(entry, block);
		for (uint32_t age = 0, group = 0; age <= HEAP_AGE_MOST; age++) {
			while (group + 1 < groups && age >= bounds[group])
				group++;
			if (size_class < POOL_MAX_CLASSES)
				counts[group][size_class] += by_age[age];
		}
	}
}

void heap_index_set_baseline(struct heap_index *index)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value;

		g_clear_pointer(&entry->ages, g_free);
		entry->age = HEAP_AGE_BASELINE;
	}
}

static uint8_t older(uint8_t age, uint32_t passed)
{
	if (age == HEAP_AGE_BASELINE)
		return age;
	return MIN((uint32_t)age + MIN(passed, HEAP_AGE_MOST), HEAP_AGE_MOST);
}

/* Of a pool that filled up between two looks all blocks are of one age for ever: a byte for each of
 * all pools would be what most of an index is. */
static void follow_pool(struct pool_entry *entry, struct pool_entry *before, uint32_t passed)
{
	g_autofree uint8_t *ages = g_malloc0(entry->capacity);
	bool mixed = false, any = false;

	for (uint32_t block = 0; block < entry->capacity; block++) {
		if (!is_live(entry, block))
			continue;
		if (is_live(before, block))
			ages[block] = older(age_of(before, block), passed);
		mixed |= any && ages[block] != entry->age;
		entry->age = ages[block];
		any = true;
	}
	if (mixed)
		entry->ages = g_steal_pointer(&ages);
}

void heap_index_follow(struct heap_index *index, struct heap_index *before, uint32_t passed)
{
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, index->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct pool_entry *entry = value, *same;

		same = g_hash_table_lookup(before->pools, &entry->address);
		if (!same && before->missed)
			same = g_hash_table_lookup(before->missed, &entry->address);
		if (same && same->block_size == entry->block_size)
			follow_pool(entry, same, passed);
	}
	/* What is left of the index before is what this one misses. */
	g_hash_table_iter_init(&iterator, before->pools);
	while (g_hash_table_iter_next(&iterator, NULL, &value))
		if (g_hash_table_contains(index->pools, &((struct pool_entry *)value)->address))
			g_hash_table_iter_remove(&iterator);
	index->missed = g_steal_pointer(&before->pools);
	heap_index_free(before);
}
