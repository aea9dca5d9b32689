// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/pool_cache.h"

enum { PLACES = 4096 };

struct place {
	uint64_t address; /* of what was read; 0: nothing yet */
	enum pool_reading reading;
	struct pool pool;
};

struct pool_cache {
	const struct memory *memory;
	const struct pool_geometry *geometry;
	struct place places[PLACES]; /* one for each remainder of the pool's number */
};

struct pool_cache *pool_cache_new(const struct memory *memory, const struct pool_geometry *geometry)
{
	struct pool_cache *cache = g_new0(struct pool_cache, 1);

	cache->memory = memory;
	cache->geometry = geometry;
	return cache;
}

void pool_cache_free(struct pool_cache *cache)
{
	g_free(cache);
}

enum pool_block pool_cache_look(struct pool_cache *cache, uint64_t block)
{
	uint64_t address = block & ~((uint64_t)cache->geometry->pool_size - 1);
	struct place *place = &cache->places[address / cache->geometry->pool_size % PLACES];

	if (place->address != address) {
		place->reading = pool_read(cache->memory, cache->geometry, address, &place->pool);
		place->address = address;
	}
	if (place->reading != POOL_READ)
		return place->reading == POOL_BUSY ? POOL_BLOCK_UNKNOWN : POOL_GONE;
	return pool_block_is_live(&place->pool, block) ? POOL_BLOCK_LIVE : POOL_BLOCK_FREE;
}
