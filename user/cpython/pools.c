// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/pools.h"

#include <string.h>

#include "bpf/abi.h"

enum {
	/* SMALL_REQUEST_THRESHOLD: the largest size class. Objects/obmalloc.c, 2.7 to 3.15. */
	LARGEST_BLOCK = 512,
	/* Bytes read at once; larger gained nothing and smaller cost system calls (1.6 million
	   blocks). */
	PIECE_SIZE = 1 << 20,
	/*
	 * Reading a pool takes a microsecond or two, in which a busy thread moves its free list.
	 * Another try mostly finds it at rest; the last ones accept a small disagreement.
	 */
	READ_ATTEMPTS = 6,
	STRICT_ATTEMPTS = 3,
	TORN_SLACK = 8,
};

/* struct pool_header of Objects/obmalloc.c, CPython 2.7 to 3.15, 64-bit. */
struct pool_header {
	uint32_t count; /* ref.count: blocks handed out */
	uint32_t padding;
	uint64_t freeblock;
	uint64_t nextpool, prevpool;
	uint32_t arenaindex;
	uint32_t szidx;
	uint32_t nextoffset;	/* of the first block never handed out */
	uint32_t maxnextoffset; /* of the last block */
};
G_STATIC_ASSERT(sizeof(struct pool_header) == PYLEAK_POOL_HEADER_SIZE);

struct pool_shape {
	uint32_t block_size;
	uint32_t capacity;
	uint32_t carved; /* blocks below nextoffset: those that were ever handed out or put on the
			    free list */
};

static bool geometry_is_sane(const struct pool_geometry *geometry)
{
	return (geometry->pool_size == 4096 || geometry->pool_size == 16384) &&
	       (geometry->alignment == 8 || geometry->alignment == 16);
}

/* Whether a pool in use or a freed one (which keeps its header) begins with @header. */
static bool header_shape(const struct pool_geometry *geometry, const struct pool_header *header,
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

	if (!geometry_is_sane(geometry) || address % geometry->pool_size)
		return false;
	memcpy(&header, bytes, sizeof(header));
	if (!header_shape(geometry, &header, &shape))
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

bool pool_read(const struct memory *memory, const struct pool_geometry *geometry, uint64_t address,
	       struct pool *pool)
{
	uint8_t bytes[16384];
	struct pool_header header;
	struct pool_shape shape;

	if (!geometry_is_sane(geometry) || address % geometry->pool_size)
		return false;
	for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
		if (!memory_read(memory, address, bytes, geometry->pool_size))
			return false;
		memcpy(&header, bytes, sizeof(header));
		if (!header_shape(geometry, &header, &shape) || header.count == 0)
			return false; /* no pool: another try would not make it one */
		if (pool_parse(geometry, address, bytes, attempt < STRICT_ATTEMPTS ? 0 : TORN_SLACK,
			       pool))
			return true;
	}
	return false;
}

/* A walk over the pools of a process. */
struct walk {
	const struct memory *memory;
	const struct pool_geometry *geometry;
	pool_visit visit;
	void *context;
	uint8_t *piece; /* PIECE_SIZE bytes */
	int64_t pools;
	bool something_read;
	bool stopped;
};

/* Visits the pools among @length bytes read at @address. Returns whether the last one was ever a
 * pool. */
static bool walk_piece(struct walk *walk, uint64_t address, uint64_t length)
{
	struct pool_header header;
	struct pool_shape shape;
	struct pool pool;
	bool carved = false;

	for (uint64_t offset = 0; offset < length && !walk->stopped;
	     offset += walk->geometry->pool_size) {
		const uint8_t *bytes = walk->piece + offset;
		memcpy(&header, bytes, sizeof(header));
		carved = header_shape(walk->geometry, &header, &shape);
		if (!carved || header.count == 0)
			continue;
		if (!pool_parse(walk->geometry, address + offset, bytes, 0, &pool) &&
		    !pool_read(walk->memory, walk->geometry, address + offset, &pool))
			continue;
		walk->pools++;
		walk->stopped = !walk->visit(&pool, walk->context);
	}
	return carved;
}

/*
 * Most memory of a large process may be arrays, and untouched thread stacks, not pools. An arena is
 * carved from its lowest address up and freed pools keep their headers, so where a header is no
 * pool's, the way to the next arena is looked over header by header, and only what follows a pool
 * is read whole.
 */
static void walk_mapping(struct walk *walk, uint64_t start, uint64_t end)
{
	uint64_t pool_size = walk->geometry->pool_size;
	uint64_t address = (start + pool_size - 1) / pool_size * pool_size;
	uint64_t length = PIECE_SIZE;
	struct pool_header header;
	struct pool_shape shape;
	bool whole = false;

	while (!walk->stopped && address >= start && address < end && end - address >= pool_size) {
		if (!whole) {
			bool read = memory_read(walk->memory, address, &header, sizeof(header));
			walk->something_read |= read;
			whole = read && header_shape(walk->geometry, &header, &shape);
			if (!whole) {
				address += pool_size;
				continue;
			}
		}
		length = MIN(length, (end - address) / pool_size * pool_size);
		if (memory_read(walk->memory, address, walk->piece, length)) {
			whole = walk_piece(walk, address, length);
			address += length;
			length = PIECE_SIZE;
		} else if (length > pool_size) {
			/* A hole: part of the mapping went while it was read. Go up to it in
			 * smaller pieces. */
			length = length / 2 / pool_size * pool_size;
		} else {
			whole = false;
			address += pool_size;
		}
	}
}

int64_t pools_walk(const struct memory *memory, const struct maps *maps,
		   const struct pool_geometry *geometry, pool_visit visit, void *context)
{
	if (!geometry_is_sane(geometry))
		return -1;
	g_autofree uint8_t *piece = g_malloc(PIECE_SIZE);
	struct walk walk = { .memory = memory,
			     .geometry = geometry,
			     .visit = visit,
			     .context = context,
			     .piece = piece };

	for (size_t i = 0; i < maps->count && !walk.stopped; i++) {
		if (mapping_is_anonymous_heap(&maps->items[i]))
			walk_mapping(&walk, maps->items[i].start, maps->items[i].end);
	}
	return walk.something_read ? walk.pools : -1;
}
