// SPDX-License-Identifier: GPL-2.0-or-later
/* Walking through malloc's heaps: made-up ones, broken ones, and a real one against what its
 * malloc says itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/glibc_heaps.h"
#include "collect/memory_use.h"

enum { SIZE = 256 << 10, BREAK = 0x55550000 };
#define ARENA UINT64_C(0x7efffc000000) /* a multiple of 64 MiB */

/* Chunks one after the other, from @start of @bytes on. */
struct heap {
	uint8_t bytes[SIZE];
	uint64_t next, last_size;
	bool last_free;
	uint64_t free_bytes;
};

static void put(struct heap *heap, uint64_t offset, uint64_t value)
{
	memcpy(heap->bytes + offset, &value, sizeof(value));
}

static void add_chunk(struct heap *heap, uint64_t size, bool is_free, uint64_t flags)
{
	if (heap->last_free)
		put(heap, heap->next, heap->last_size);
	put(heap, heap->next + 8, size | flags | !heap->last_free);
	heap->next += size;
	heap->last_size = size;
	heap->last_free = is_free;
	heap->free_bytes += is_free ? size : 0;
}

/* Up to the end, with the top chunk; every third chunk is free. */
static void fill(struct heap *heap, uint64_t flags, int seed)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);

	for (int i = 0; heap->next + 20000 < SIZE; i++)
		add_chunk(heap, g_rand_int_range(random, 2, 1000) * 16, i % 3 == 2, flags);
	add_chunk(heap, SIZE - heap->next, true, flags);
}

static struct heap *break_new(int seed)
{
	struct heap *heap = g_new0(struct heap, 1);

	fill(heap, 0, seed);
	return heap;
}

/* struct heap_info, struct malloc_state, chunks of another arena than the first. */
static struct heap *arena_new(int seed)
{
	struct heap *heap = g_new0(struct heap, 1);

	put(heap, 0, ARENA + 0x30);
	put(heap, 16, SIZE);
	put(heap, 24, SIZE);
	memset(heap->bytes + 0x30, 0x5a, 2200);
	heap->next = 0x30 + 2200 + 8;
	fill(heap, 4, seed);
	return heap;
}

static bool walk(const struct heap *heap, uint64_t address, const char *path, size_t length,
		 struct glibc_heaps *sums)
{
	struct mapping mapping = { .start = address,
				   .end = address + SIZE,
				   .flags = MAPPING_READ | MAPPING_WRITE,
				   .path = (char *)path };
	struct maps maps = { &mapping, 1 };
	struct image_memory image;

	image_memory_init(&image, address, heap->bytes, length);
	return glibc_heaps_walk(&image.base, &maps, sums);
}

static void free_chunks_are_summed_up(void **state)
{
	(void)state;
	for (int seed = 0; seed < 20; seed++) {
		g_autofree struct heap *program = break_new(seed), *arena = arena_new(seed);
		struct glibc_heaps sums;

		assert_true(walk(program, BREAK, "[heap]", SIZE, &sums));
		assert_true(sums.complete);
		assert_int_equal(sums.heaps, 1);
		assert_int_equal(sums.held_bytes, SIZE);
		assert_int_equal(sums.free_bytes, program->free_bytes);
		assert_true(walk(arena, ARENA, "", SIZE, &sums));
		assert_true(sums.complete);
		assert_int_equal(sums.free_bytes, arena->free_bytes);
	}
}

static void what_is_no_heap_is_left_alone(void **state)
{
	g_autofree struct heap *arena = arena_new(1);
	struct glibc_heaps sums;

	(void)state;
	assert_false(walk(arena, ARENA + 4096, "", SIZE, &sums)); /* not aligned */
	memset(arena->bytes, 0x41, 64);				  /* an array */
	assert_false(walk(arena, ARENA, "", SIZE, &sums));
	assert_int_equal(sums.free_bytes, 0);
}

/* Whatever it holds, a walk ends, stays within the heap and says that it is not whole. */
static void a_broken_chain_is_given_up(void **state)
{
	int incomplete = 0;

	(void)state;
	for (int seed = 0; seed < 300; seed++) {
		g_autofree struct heap *heap = seed % 2 ? break_new(seed) : arena_new(seed);
		g_autoptr(GRand) random = g_rand_new_with_seed(seed);
		struct glibc_heaps sums;

		for (int i = 0; i < 40; i++)
			put(heap, g_rand_int_range(random, 0, SIZE / 8) * 8,
			    g_rand_boolean(random) ? g_rand_int(random)
						   : UINT64_MAX - g_rand_int_range(random, 0, 64));
		walk(heap, seed % 2 ? BREAK : ARENA, seed % 2 ? "[heap]" : "",
		     seed % 3 ? SIZE : g_rand_int_range(random, 0, SIZE), &sums);
		assert_true(sums.free_bytes <= SIZE && sums.held_bytes <= SIZE);
		incomplete += !sums.complete;
	}
	assert_in_range(incomplete, 10, 300);
}

static void a_real_heap_agrees_with_its_malloc(void **state)
{
	enum { COUNT = 20000 };
	struct process_memory memory;
	struct glibc_heaps sums;
	void **blocks = g_new(void *, COUNT);
	struct mallinfo2 info;
	struct maps *maps;
	pid_t child;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		blocks[i] = malloc(1500);
		memset(blocks[i], 1, 1500);
	}
	for (int i = 0; i < COUNT; i++) {
		if (i % 4)
			free(blocks[i]);
	}
	/* The walk itself allocates: it looks at a process that is at rest. */
	info = mallinfo2();
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	maps = maps_read(child, NULL);
	process_memory_init(&memory, child);
	/* Under a sanitizer malloc is another one. */
	if (info.arena > COUNT * 1500) {
		assert_true(glibc_heaps_walk(&memory.base, maps, &sums));
		assert_true(sums.complete);
		assert_true(info.fordblks > COUNT * 1000);
		assert_in_range(sums.free_bytes, info.fordblks * 98 / 100,
				info.fordblks * 102 / 100);
	}
	maps_free(maps);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (int i = 0; i < COUNT; i += 4)
		free(blocks[i]);
	g_free(blocks);
}

/* Heaps are walked through once a second at most; what is not known stays out. */
static void a_meter_remembers_between_walks(void **state)
{
	const struct pools_totals pools = { 3, 4, 5 << 20, 3 << 20, 1 << 20 };
	g_autofree struct heap *heap = break_new(1), *other = break_new(2);
	struct mapping mapping = { .start = BREAK,
				   .end = BREAK + SIZE,
				   .flags = MAPPING_READ | MAPPING_WRITE,
				   .path = "[heap]" };
	struct maps maps = { &mapping, 1 };
	struct memory_meter meter = { 0 };
	struct memory_use use = { .rss_bytes = 9 << 20, .private_bytes = 8 << 20 };
	struct image_memory image;

	(void)state;
	image_memory_init(&image, BREAK, heap->bytes, SIZE);
	memory_meter_read(&meter, &image.base, &maps, &pools, true, 1000000000, &use);
	assert_true(use.known && use.pymalloc_known && use.malloc_known && use.malloc_whole);
	assert_int_equal(use.malloc_free_bytes, heap->free_bytes);
	assert_int_equal(memory_use_unused(&use), heap->free_bytes + (1 << 20));
	assert_int_equal(memory_meter_free_growth(&meter), 0);
	assert_int_equal(memory_use_in_use(&use), (7 << 20) - heap->free_bytes);
	image_memory_init(&image, BREAK, other->bytes, SIZE);
	memory_meter_read(&meter, &image.base, &maps, &pools, true, 1900000000, &use);
	assert_int_equal(use.malloc_free_bytes, heap->free_bytes);
	memory_meter_read(&meter, &image.base, &maps, &pools, true, UINT64_MAX, &use);
	assert_int_equal(use.malloc_free_bytes, other->free_bytes);
	assert_int_equal(memory_meter_free_growth(&meter),
			 (int64_t)(other->free_bytes - heap->free_bytes));
	use = (struct memory_use){ .private_bytes = 1 };
	memory_meter_read(&meter, &image.base, &maps, NULL, false, UINT64_MAX, &use);
	assert_true(use.known && !use.pymalloc_known && !use.malloc_known);
	assert_int_equal(memory_use_in_use(&use), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(free_chunks_are_summed_up),
		cmocka_unit_test(what_is_no_heap_is_left_alone),
		cmocka_unit_test(a_broken_chain_is_given_up),
		cmocka_unit_test(a_real_heap_agrees_with_its_malloc),
		cmocka_unit_test(a_meter_remembers_between_walks),
	};

	return cmocka_run_group_tests_name("glibc_heaps", tests, NULL, NULL);
}
