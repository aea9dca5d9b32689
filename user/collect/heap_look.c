// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_look.h"

#include "collect/times.h"

void heap_look_begin(struct heap_look *look, const struct process *process,
		     const struct target *record, const struct pool_geometry *geometry,
		     uint32_t began)
{
	struct pending_slow_path pending;

	look->process = process;
	look->record = record;
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

static bool has_gone(const struct heap_look *look)
{
	return look->record->image_gone || !process_is_alive(look->process);
}

/* Of a block in a pool that the index does not have. One that is too busy to be read is there. */
static enum heap_block look_outside(struct heap_look *look, uint64_t address, uint32_t age,
				    uint8_t *place_age)
{
	enum pool_block found;

	if (!look->others)
		look->others = pool_cache_new(&look->process->memory.base, look->geometry);
	*place_age = heap_index_age_of_new(look->index, age);
	found = pool_cache_look(look->others, address);
	if (found == POOL_GONE && has_gone(look))
		return HEAP_BLOCK_NOT_FOUND;
	return found == POOL_BLOCK_LIVE || found == POOL_BLOCK_UNKNOWN ? HEAP_BLOCK_THERE
								       : HEAP_BLOCK_DEAD;
}

static enum heap_block look_up(struct heap_look *look, uint64_t address, uint32_t age,
			       uint8_t *place_age)
{
	if (heap_index_mark(look->index, address, place_age)) {
		look->seen++;
		return HEAP_BLOCK_THERE;
	}
	return heap_index_has_pool(look->index, address)
		       ? HEAP_BLOCK_DEAD
		       : look_outside(look, address, age, place_age);
}

enum heap_block heap_look_at(struct heap_look *look, uint64_t address, uint64_t tag, uint32_t age,
			     uint8_t *place_age)
{
	enum heap_block found = look_up(look, address, age, place_age);

	if (found == HEAP_BLOCK_DEAD &&
	    (!born_before(PYLEAK_TAG_BORN(tag), look->began) ||
	     PYLEAK_KEY_ADDRESS(look->in_flight) == address || tag == look->in_flight_slow))
		return HEAP_BLOCK_NOT_FOUND;
	return found;
}

uint64_t heap_look_pending(const struct heap_look *look, const struct pending_slow_path *pending,
			   uint32_t *size)
{
	const struct memory *memory = &look->process->memory.base;
	uint64_t address;
	struct pool pool;

	/* prevpool is the fourth word of struct pool_header. */
	if (!pending->sentinel || !memory_read_u64(memory, pending->sentinel + 24, &address) ||
	    address == pending->sentinel ||
	    pool_read(memory, look->geometry, address, &pool) != POOL_READ || pool.used != 1)
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
