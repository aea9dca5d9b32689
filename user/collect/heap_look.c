// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_look.h"

#include "collect/times.h"

void heap_look_begin(struct heap_look *look, const struct memory *memory,
		     const struct pool_geometry *geometry, const struct target *record,
		     uint32_t began)
{
	struct pending_slow_path pending;

	look->memory = memory;
	look->geometry = geometry;
	look->began = began;
	look->in_flight = record->latest_block;
	pending = record->pending;
	look->in_flight_slow = pending.sentinel ? PYLEAK_TAG(pending.context, pending.born) : 0;
}

void heap_look_end(struct heap_look *look)
{
	g_clear_pointer(&look->others, pool_cache_free);
}

static bool is_handed_out(struct heap_look *look, uint64_t address, uint32_t age,
			  uint8_t *place_age)
{
	if (heap_index_covers(look->index, address)) {
		if (!heap_index_mark(look->index, address, place_age))
			return false;
		look->seen++;
		return true;
	}
	if (!look->others)
		look->others = pool_cache_new(look->memory, look->geometry);
	*place_age = heap_index_age_of_new(look->index, age);
	return pool_cache_is_live(look->others, address);
}

enum heap_block heap_look_at(struct heap_look *look, uint64_t address, uint64_t tag, uint32_t age,
			     uint8_t *place_age)
{
	if (is_handed_out(look, address, age, place_age))
		return HEAP_BLOCK_THERE;
	return !born_before(PYLEAK_TAG_BORN(tag), look->began) ||
			       PYLEAK_KEY_ADDRESS(look->in_flight) == address ||
			       tag == look->in_flight_slow
		       ? HEAP_BLOCK_ON_ITS_WAY
		       : HEAP_BLOCK_DEAD;
}

uint64_t heap_look_pending(const struct heap_look *look, const struct pending_slow_path *pending,
			   uint32_t *size)
{
	uint64_t address;
	struct pool pool;

	/* prevpool is the fourth word of struct pool_header. */
	if (!pending->sentinel ||
	    !memory_read_u64(look->memory, pending->sentinel + 24, &address) ||
	    address == pending->sentinel ||
	    !pool_read(look->memory, look->geometry, address, &pool) || pool.used != 1)
		return 0;
	for (uint32_t i = 0; i < pool.capacity; i++) {
		uint64_t block =
			pool.address + PYLEAK_POOL_HEADER_SIZE + (uint64_t)i * pool.block_size;

		if (!pool_block_is_live(&pool, block))
			continue;
		*size = pool.block_size;
		return block;
	}
	return 0;
}
