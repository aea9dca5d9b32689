// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/pool_entry.h"

#include <string.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"

/* A pointer and a hash of GHashTable, which is filled to between half and all. */
enum { TABLE_BYTES = 24 };

static uint64_t *live_bits(struct pool_entry *entry)
{
	return entry->bits;
}

static uint64_t *marked_bits(struct pool_entry *entry)
{
	return entry->bits + entry->words;
}

struct pool_entry *pool_entry_new(const struct pool *pool)
{
	uint32_t words = (pool->capacity + 63) / 64;
	struct pool_entry *entry = g_malloc0(sizeof(*entry) + 2 * words * sizeof(uint64_t));

	entry->address = pool->address;
	entry->block_size = pool->block_size;
	entry->capacity = pool->capacity;
	entry->words = words;
	memcpy(live_bits(entry), pool->live, words * sizeof(uint64_t));
	return entry;
}

void pool_entry_free(void *data)
{
	struct pool_entry *entry = data;

	g_free(entry->ages);
	g_free(entry);
}

/* Of glibc: a size before it, all in steps of 16. */
static uint64_t malloc_bytes(uint64_t size)
{
	return (size + 8 + 15) / 16 * 16;
}

uint64_t pool_entry_bytes(const struct pool_entry *entry)
{
	return malloc_bytes(sizeof(*entry) + 2 * entry->words * sizeof(uint64_t)) + TABLE_BYTES +
	       (entry->ages ? malloc_bytes(entry->capacity) : 0);
}

bool pool_entry_is_live(const struct pool_entry *entry, uint32_t number)
{
	return entry->bits[number / 64] >> number % 64 & 1;
}

uint8_t pool_entry_age(const struct pool_entry *entry, uint32_t number)
{
	return entry->ages ? entry->ages[number] : entry->age;
}

bool pool_entry_find(const struct pool_entry *entry, uint64_t block, uint32_t *number)
{
	uint64_t offset = block - entry->address;

	if (offset < PYLEAK_POOL_HEADER_SIZE)
		return false;
	offset -= PYLEAK_POOL_HEADER_SIZE;
	if (offset % entry->block_size)
		return false;
	*number = offset / entry->block_size;
	return *number < entry->capacity && pool_entry_is_live(entry, *number);
}

void pool_entry_mark(struct pool_entry *entry, uint32_t number)
{
	marked_bits(entry)[number / 64] |= 1ULL << number % 64;
}

uint64_t pool_entry_unmarked(const struct pool_entry *entry, uint32_t word)
{
	return entry->bits[word] & ~entry->bits[entry->words + word];
}

uint64_t pool_entry_block(const struct pool_entry *entry, uint32_t number)
{
	return entry->address + PYLEAK_POOL_HEADER_SIZE + (uint64_t)number * entry->block_size;
}

void pool_entry_set_baseline(struct pool_entry *entry)
{
	g_clear_pointer(&entry->ages, g_free);
	entry->age = HEAP_AGE_BASELINE;
}

uint8_t pool_age_after(uint8_t age, uint32_t passed)
{
	if (age == HEAP_AGE_BASELINE)
		return age;
	return MIN((uint32_t)age + MIN(passed, HEAP_AGE_MOST), HEAP_AGE_MOST);
}

/* Of a pool that filled up between two looks all blocks are of one age for ever: a byte for each of
 * all pools would be what most of an index is. */
void pool_entry_follow(struct pool_entry *entry, const struct pool_entry *before, uint32_t passed)
{
	g_autofree uint8_t *ages = g_malloc0(entry->capacity);
	bool mixed = false, any = false;

	for (uint32_t block = 0; block < entry->capacity; block++) {
		if (!pool_entry_is_live(entry, block))
			continue;
		if (pool_entry_is_live(before, block))
			ages[block] = pool_age_after(pool_entry_age(before, block), passed);
		mixed |= any && ages[block] != entry->age;
		entry->age = ages[block];
		any = true;
	}
	if (mixed)
		entry->ages = g_steal_pointer(&ages);
}
