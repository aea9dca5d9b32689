// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cpython/pool_header.h"
#include "cpython/pools.h"

enum {
	/* Bytes looked at at once; larger gained nothing and smaller cost system calls (1.6 million
	   blocks). */
	PIECE_SIZE = 1 << 20,
	/* Where the first pool of an arena is found: it may be the only one. */
	MIN_PIECE_SIZE = 1 << 16,
	/* Headers read at once: more gained nothing. As many as a piece may have. */
	MAX_HEADERS = 256,
	/* ARENA_SIZE over POOL_SIZE: 256 KiB over 4 KiB up to 3.9, 1 MiB over 16 KiB from 3.10. */
	POOLS_PER_ARENA = 64,
};

G_STATIC_ASSERT(PIECE_SIZE / 4096 <= MAX_HEADERS); /* the smallest pools */

/* A walk over the pools of a process. */
struct walk {
	const struct memory *memory;
	const struct pool_geometry *geometry;
	pool_visit visit;
	void *context;
	uint64_t *blocks; /* by class, of headers alone; NULL: pools are read whole */
	uint8_t *piece;	  /* PIECE_SIZE bytes */
	struct pools_totals totals;
	GHashTable *arenas; /* address of the lowest pool seen, by index */
	bool something_read;
	bool stopped;
};

/* Of what a header alone tells: also of a pool that is too busy to be read. */
static void count_pool(struct walk *walk, uint64_t address, const struct pool_header *header,
		       const struct pool_shape *shape)
{
	uint64_t arena_size = walk->geometry->pool_size * (uint64_t)POOLS_PER_ARENA;
	void *index = GUINT_TO_POINTER(header->arenaindex), *known;
	uint32_t used = MIN(header->count, shape->capacity);
	bool found = g_hash_table_lookup_extended(walk->arenas, index, NULL, &known);

	walk->totals.pools++;
	walk->totals.used_bytes += (uint64_t)used * shape->block_size;
	if (used)
		walk->totals.free_bytes += (uint64_t)(shape->capacity - used) * shape->block_size;
	else
		walk->totals.free_bytes += walk->geometry->pool_size;
	/* Interpreters with an allocator of their own (3.12 on) number their arenas from 0, too. */
	if (found && address - GPOINTER_TO_SIZE(known) < arena_size)
		return;
	walk->totals.held_bytes += arena_size;
	g_hash_table_insert(walk->arenas, index, GSIZE_TO_POINTER(address));
}

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
		carved = pool_header_shape(walk->geometry, &header, &shape);
		if (!carved)
			continue;
		count_pool(walk, address + offset, &header, &shape);
		if (header.count == 0)
			continue;
		if (!pool_parse(walk->geometry, address + offset, bytes, 0, &pool) &&
		    pool_read(walk->memory, walk->geometry, address + offset, &pool) != POOL_READ)
			continue;
		walk->totals.pools_in_use++;
		walk->stopped = !walk->visit(&pool, walk->context);
	}
	return carved;
}

/* Counts the blocks of the pools in @length bytes at @address; as look_at_piece(). */
static bool count_piece(struct walk *walk, uint64_t address, uint64_t length, bool *carved)
{
	struct pool_header headers[MAX_HEADERS];
	uint64_t addresses[MAX_HEADERS] = { 0 }, pool_size = walk->geometry->pool_size;
	uint32_t count = length / pool_size;
	struct pool_shape shape;

	for (uint32_t i = 0; i < count; i++)
		addresses[i] = address + i * pool_size;
	if (memory_read_each(walk->memory, addresses, count, headers, sizeof(*headers)) < count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		*carved = pool_header_shape(walk->geometry, &headers[i], &shape);
		if (*carved && headers[i].count <= shape.capacity)
			walk->blocks[headers[i].szidx] += headers[i].count;
	}
	return true;
}

/* Looks at the pools in @length bytes at @address. False where these cannot be read. @carved:
 * whether the last one was ever a pool. */
static bool look_at_piece(struct walk *walk, uint64_t address, uint64_t length, bool *carved)
{
	if (walk->blocks)
		return count_piece(walk, address, length, carved);
	if (!memory_read(walk->memory, address, walk->piece, length))
		return false;
	*carved = walk_piece(walk, address, length);
	return true;
}

/* The first address from @address up to @end where a pool begins or once began, or @end. */
static uint64_t first_pool(struct walk *walk, uint64_t address, uint64_t end)
{
	uint64_t addresses[MAX_HEADERS], pool_size = walk->geometry->pool_size;
	struct pool_header headers[MAX_HEADERS];
	struct pool_shape shape;

	while (address < end) {
		size_t count = MIN((end - address + pool_size - 1) / pool_size, MAX_HEADERS), read;

		for (size_t i = 0; i < count; i++)
			addresses[i] = address + i * pool_size;
		read = memory_read_each(walk->memory, addresses, count, headers, sizeof(*headers));
		walk->something_read |= read > 0;
		for (size_t i = 0; i < read; i++)
			if (pool_header_shape(walk->geometry, &headers[i], &shape))
				return addresses[i];
		/* What could not be read is gone; on behind it. */
		address += (read < count ? read + 1 : count) * pool_size;
	}
	return end;
}

/* Whether @header may lie in an arena: in a pool, or where none has been carved yet. */
static bool may_be_arena(const struct pool_geometry *geometry, const struct pool_header *header)
{
	static const struct pool_header untouched;
	struct pool_shape shape;

	return pool_header_shape(geometry, header, &shape) ||
	       memcmp(header, &untouched, sizeof(untouched)) == 0;
}

/*
 * The same by looking at two places of each arena there might be. An arena is carved from its
 * lowest address up and freed pools keep their headers, so of the two one at least is a pool's, or
 * zero, or not populated. The last is the end of what is walked, which is looked at pool by pool.
 */
static uint64_t next_pool(struct walk *walk, uint64_t address, uint64_t end)
{
	uint64_t addresses[MAX_HEADERS], pool_size = walk->geometry->pool_size, from = address;
	uint64_t stride = pool_size * POOLS_PER_ARENA / 2, back = pool_size * POOLS_PER_ARENA;
	struct pool_header headers[MAX_HEADERS];

	while (address < end) {
		size_t count = MIN((end - address + stride - 1) / stride, MAX_HEADERS), read, i;

		for (i = 0; i < count; i++)
			addresses[i] = address + i * stride;
		read = memory_read_each(walk->memory, addresses, count, headers, sizeof(*headers));
		walk->something_read |= read > 0;
		for (i = 0; i < MIN(read + 1, count); i++) {
			uint64_t until = addresses[i] + pool_size, found;

			if (i < read && !may_be_arena(walk->geometry, &headers[i]))
				continue;
			from = MAX(from, addresses[i] - MIN(addresses[i], back));
			found = first_pool(walk, from, until);
			if (found < until)
				return found;
			from = until;
		}
		address = addresses[i - 1] + stride;
	}
	return first_pool(walk, MAX(from, end - MIN(end, back)), end);
}

/*
 * Most memory of a large process may be arrays, not pools: only what follows a pool is read whole.
 * @start and @end are multiples of the pool size.
 */
static void walk_range(struct walk *walk, uint64_t start, uint64_t end)
{
	uint64_t pool_size = walk->geometry->pool_size;
	uint64_t address = start, length = PIECE_SIZE;
	bool whole = false;

	while (!walk->stopped && address < end) {
		if (!whole) {
			address = next_pool(walk, address, end);
			whole = true;
			length = MIN_PIECE_SIZE;
			continue;
		}
		length = MIN(length, end - address);
		if (look_at_piece(walk, address, length, &whole)) {
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

/* What heaps may lie in, cut to whole pools, of struct memory_range. */
static GArray *heap_spans(const struct maps *maps)
{
	GArray *spans = g_array_new(false, false, sizeof(struct memory_range));

	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->items[i];
		struct memory_range span = { .start = mapping->start, .end = mapping->end };

		if (mapping_is_anonymous_heap(mapping) && span.start < span.end)
			g_array_append_val(spans, span);
	}
	return spans;
}

/*
 * A pool may be populated in part: it counts if the page of its header is. Where pages of one
 * mapping are populated on and off, neighbouring ranges may meet in one pool.
 */
static void walk_spans(struct walk *walk, const GArray *spans)
{
	g_autoptr(GArray) ranges = memory_populated(walk->memory, spans);
	uint64_t pool_size = walk->geometry->pool_size, from = 0;
	guint span = 0;

	for (guint i = 0; i < ranges->len && !walk->stopped; i++) {
		const struct memory_range *range = &g_array_index(ranges, struct memory_range, i);
		uint64_t start, end, limit;

		while (g_array_index(spans, struct memory_range, span).end <= range->start)
			span++;
		/* A pool ends within its mapping. */
		limit = g_array_index(spans, struct memory_range, span).end / pool_size * pool_size;
		if (range->start >= limit)
			continue;
		start = MAX((range->start + pool_size - 1) / pool_size * pool_size, from);
		end = range->end < limit ? (range->end + pool_size - 1) / pool_size * pool_size
					 : limit;
		if (start >= end)
			continue;
		walk_range(walk, start, end);
		from = end;
	}
}

int64_t pools_walk_totals(const struct memory *memory, const struct maps *maps,
			  const struct pool_geometry *geometry, pool_visit visit, void *context,
			  struct pools_totals *totals)
{
	if (!pool_geometry_is_sane(geometry))
		return -1;
	g_autofree uint8_t *piece = g_malloc(PIECE_SIZE);
	g_autoptr(GHashTable) arenas = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) spans = heap_spans(maps);
	struct walk walk = { .memory = memory,
			     .geometry = geometry,
			     .visit = visit,
			     .context = context,
			     .piece = piece,
			     .arenas = arenas };

	walk_spans(&walk, spans);
	*totals = walk.totals;
	return walk.something_read ? (int64_t)walk.totals.pools_in_use : -1;
}

bool pools_count_blocks(const struct memory *memory, const struct maps *maps,
			const struct pool_geometry *geometry, uint64_t blocks[POOL_MAX_CLASSES])
{
	memset(blocks, 0, POOL_MAX_CLASSES * sizeof(*blocks));
	if (!pool_geometry_is_sane(geometry))
		return false;
	g_autoptr(GArray) spans = heap_spans(maps);
	struct walk walk = { .memory = memory, .geometry = geometry, .blocks = blocks };

	walk_spans(&walk, spans);
	return walk.something_read;
}

int64_t pools_walk(const struct memory *memory, const struct maps *maps,
		   const struct pool_geometry *geometry, pool_visit visit, void *context)
{
	struct pools_totals totals;

	return pools_walk_totals(memory, maps, geometry, visit, context, &totals);
}
