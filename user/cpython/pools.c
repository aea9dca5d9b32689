// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/pools.h"

#include <string.h>

#include "cpython/pool_header.h"

enum {
	/* SMALL_REQUEST_THRESHOLD: the largest size class. Objects/obmalloc.c, 2.7 to 3.15. */
	LARGEST_BLOCK = 512,
	/*
	 * Reading a pool takes a microsecond or two, in which a busy thread moves its free list.
	 * Another try mostly finds it at rest; the last ones accept a small disagreement.
	 */
	READ_ATTEMPTS = 6,
	STRICT_ATTEMPTS = 3,
	TORN_SLACK = 8,
};

bool pool_geometry_is_sane(const struct pool_geometry *geometry)
{
	return (geometry->pool_size == 4096 || geometry->pool_size == 16384) &&
	       (geometry->alignment == 8 || geometry->alignment == 16);
}

bool pool_header_shape(const struct pool_geometry *geometry, const struct pool_header *header,
		       struct pool_shape *shape)
{
	if (header->szidx >= LARGEST_BLOCK / geometry->alignment)
		return false;
	uint32_t size = (header->szidx + 1) * geometry->alignment;
	uint32_t next = header->nextoffset;
	if (header->maxnextoffset != geometry->pool_size - size || next > geometry->pool_size)
		return false;
	/* A new pool hands out its first block and puts the second on the free list: init_pool of
	 * obmalloc.c. */
	if (next < PYLEAK_POOL_HEADER_SIZE + 2 * size || (next - PYLEAK_POOL_HEADER_SIZE) % size)
		return false;
	shape->block_size = size;
	shape->capacity = (geometry->pool_size - PYLEAK_POOL_HEADER_SIZE) / size;
	shape->carved = (next - PYLEAK_POOL_HEADER_SIZE) / size;
	return true;
}

/* The index of @block among the first @limit blocks of the pool at @address, or -1. */
static int32_t block_index(uint64_t address, uint64_t block, uint32_t size, uint32_t limit)
{
	uint64_t first = address + PYLEAK_POOL_HEADER_SIZE;
	if (block < first || block - first >= (uint64_t)limit * size)
		return -1;
	uint32_t distance = (uint32_t)(block - first);
	return distance % size ? -1 : (int32_t)(distance / size);
}

static void live_fill(uint64_t *live, uint32_t count)
{
	memset(live, 0, sizeof(((struct pool *)0)->live));
	memset(live, 0xff, count / 64 * sizeof(*live));
	if (count % 64)
		live[count / 64] = (UINT64_C(1) << count % 64) - 1;
}

/* Takes the blocks of the free list out of @pool->live. Returns how many, or -1 for a list that
 * leaves the pool or loops. */
static int32_t free_list_clear(struct pool *pool, const uint8_t *bytes, uint64_t block,
			       uint32_t carved)
{
	int32_t count = 0;

	while (block) {
		int32_t index = block_index(pool->address, block, pool->block_size, carved);
		if (index < 0)
			return -1;
		uint64_t bit = UINT64_C(1) << index % 64;
		if (!(pool->live[index / 64] & bit))
			return -1; /* seen before: each step takes one bit, so the walk ends */
		pool->live[index / 64] &= ~bit;
		count++;
		memcpy(&block, bytes + (block - pool->address), sizeof(block));
	}
	return count;
}

bool pool_parse(const struct pool_geometry *geometry, uint64_t address, const uint8_t *bytes,
		uint32_t slack, struct pool *pool)
{
	struct pool_header header;
	struct pool_shape shape;

	if (!pool_geometry_is_sane(geometry) || address % geometry->pool_size)
		return false;
	memcpy(&header, bytes, sizeof(header));
	if (!pool_header_shape(geometry, &header, &shape))
		return false;
	/* A freed pool keeps its old header with a count of 0. */
	if (header.count == 0 || header.count > shape.capacity)
		return false;

	pool->address = address;
	pool->block_size = shape.block_size;
	pool->capacity = shape.capacity;
	pool->used = header.count;
	live_fill(pool->live, shape.carved);
	int32_t freed = free_list_clear(pool, bytes, header.freeblock, shape.carved);
	if (freed < 0)
		return false;
	uint32_t live = shape.carved - (uint32_t)freed;
	return (live > pool->used ? live - pool->used : pool->used - live) <= slack;
}

bool pool_block_is_live(const struct pool *pool, uint64_t block)
{
	int32_t index = block_index(pool->address, block, pool->block_size, pool->capacity);
	return index >= 0 && pool->live[index / 64] >> index % 64 & 1;
}

enum pool_reading pool_read(const struct memory *memory, const struct pool_geometry *geometry,
			    uint64_t address, struct pool *pool)
{
	uint8_t bytes[16384];
	struct pool_header header;
	struct pool_shape shape;

	if (!pool_geometry_is_sane(geometry) || address % geometry->pool_size)
		return POOL_NOT_THERE;
	for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
		if (!memory_read(memory, address, bytes, geometry->pool_size))
			return POOL_NOT_THERE;
		memcpy(&header, bytes, sizeof(header));
		if (!pool_header_shape(geometry, &header, &shape) || header.count == 0)
			return POOL_NOT_THERE; /* no pool: another try would not make it one */
		if (pool_parse(geometry, address, bytes, attempt < STRICT_ATTEMPTS ? 0 : TORN_SLACK,
			       pool))
			return POOL_READ;
	}
	return POOL_BUSY;
}
