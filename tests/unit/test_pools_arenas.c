// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding the arenas of a made-up heap among other memory with few looks, and summing them up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "tests/unit/pool_bytes.h"

enum { ARENA_POOLS = 64, MADE_POOLS = 4000 };

struct seen {
	uint64_t last;
	uint32_t pools;
};

static bool see(const struct pool *pool, void *context)
{
	struct seen *seen = context;

	assert_true(pool->address > seen->last);
	seen->last = pool->address;
	seen->pools++;
	return true;
}

/* Arenas at random places among arrays and memory of zeros, each carved up to a random pool. */
struct made_heap {
	struct memory base;
	struct image_memory image;
	bool sparse; /* zeros are not populated */
	uint8_t *bytes;
	uint32_t pools, in_use, arenas;
	uint64_t used_bytes, free_bytes;
	uint64_t headers;
};

static bool made_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	struct made_heap *heap = (struct made_heap *)memory;

	heap->headers += length == HEADER;
	return memory_read(&heap->image.base, address, buffer, length);
}

static bool made_populated(const struct memory *memory, const GArray *spans, GArray *ranges)
{
	const struct made_heap *heap = (const struct made_heap *)memory;
	static const uint8_t zeros[WIDE];
	uint64_t start = BASE;

	(void)spans;
	for (uint32_t i = 0; i <= MADE_POOLS; i++) {
		uint64_t here = BASE + (uint64_t)i * WIDE;
		bool empty = i == MADE_POOLS ||
			     (heap->sparse && !memcmp(heap->bytes + (size_t)i * WIDE, zeros, WIDE));
		struct memory_range range = { start, here, true };

		if (!empty)
			continue;
		if (start < here)
			g_array_append_val(ranges, range);
		start = here + WIDE;
	}
	return true;
}

static void made_heap_add_arena(struct made_heap *heap, uint32_t first, uint32_t carved,
				GRand *random)
{
	uint32_t i;

	for (i = 0; i < carved; i++) {
		uint8_t *pool = heap->bytes + (size_t)(first + i) * WIDE;
		uint32_t count = g_rand_int_range(random, 2, 200);

		pool_full_up_to(pool, &wide, 64, count);
		put32(pool, 32, heap->arenas);
		if (g_rand_int_range(random, 0, 3)) {
			heap->in_use++;
			heap->used_bytes += count * 64;
			heap->free_bytes += ((WIDE - HEADER) / 64 - count) * 64;
		} else {
			put64(pool, 0, 0);
			heap->free_bytes += WIDE;
		}
	}
	memset(heap->bytes + (size_t)(first + carved) * WIDE, 0,
	       (size_t)(ARENA_POOLS - carved) * WIDE);
	heap->pools += carved;
	heap->arenas++;
}

static void made_heap_init(struct made_heap *heap, GRand *random, bool sparse)
{
	uint32_t next = 0;

	*heap = (struct made_heap){ .base = { .read = made_read, .populated = made_populated },
				    .sparse = sparse,
				    .bytes = g_malloc((gsize)MADE_POOLS * WIDE) };
	memset(heap->bytes, 0x41, (size_t)MADE_POOLS * WIDE);
	for (;;) {
		uint32_t gap = g_rand_int_range(random, 0, 300);

		if (next + gap + ARENA_POOLS > MADE_POOLS)
			break;
		if (gap && g_rand_boolean(random))
			memset(heap->bytes + (size_t)next * WIDE, 0, (size_t)gap * WIDE);
		next += gap;
		/* One arena is carved in part, as a rule: here any is. */
		made_heap_add_arena(heap, next, g_rand_int_range(random, 1, ARENA_POOLS + 1),
				    random);
		next += ARENA_POOLS;
	}
	image_memory_init(&heap->image, BASE, heap->bytes, (size_t)MADE_POOLS * WIDE);
}

static void arenas_are_found_wherever_they_lie_and_summed_up(void **state)
{
	struct mapping mapping = { .start = BASE,
				   .end = BASE + (uint64_t)MADE_POOLS * WIDE,
				   .flags = MAPPING_READ | MAPPING_WRITE,
				   .path = "" };
	struct maps maps = { &mapping, 1 };

	(void)state;
	for (uint32_t seed = 0; seed < 30; seed++) {
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		struct pools_totals totals;
		struct made_heap heap;
		struct seen seen = { 0 };

		made_heap_init(&heap, random, seed % 2);
		assert_int_equal(pools_walk_totals(&heap.base, &maps, &wide, see, &seen, &totals),
				 heap.in_use);
		assert_int_equal(seen.pools, heap.in_use);
		assert_int_equal(totals.pools_in_use, heap.in_use);
		assert_int_equal(totals.pools, heap.pools);
		assert_int_equal(totals.held_bytes, (uint64_t)heap.arenas * ARENA_POOLS * WIDE);
		assert_int_equal(totals.used_bytes, heap.used_bytes);
		assert_int_equal(totals.free_bytes, heap.free_bytes);
		g_free(heap.bytes);
	}
}

/* An array of 4,000 pools' size: two looks for each arena that there might be. */
static void arrays_are_hardly_looked_at(void **state)
{
	struct mapping mapping = { .start = BASE,
				   .end = BASE + (uint64_t)MADE_POOLS * WIDE,
				   .flags = MAPPING_READ | MAPPING_WRITE,
				   .path = "" };
	struct maps maps = { &mapping, 1 };
	struct made_heap heap = { .base = { .read = made_read },
				  .bytes = g_malloc((gsize)MADE_POOLS * WIDE) };
	struct seen seen = { 0 };

	(void)state;
	memset(heap.bytes, 0x41, (size_t)MADE_POOLS * WIDE);
	image_memory_init(&heap.image, BASE, heap.bytes, (size_t)MADE_POOLS * WIDE);
	assert_int_equal(pools_walk(&heap.base, &maps, &wide, see, &seen), 0);
	assert_in_range(heap.headers, MADE_POOLS / 32, MADE_POOLS / 32 + 2 * ARENA_POOLS);
	g_free(heap.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arenas_are_found_wherever_they_lie_and_summed_up),
		cmocka_unit_test(arrays_are_hardly_looked_at),
	};

	return cmocka_run_group_tests_name("pools_arenas", tests, NULL, NULL);
}
