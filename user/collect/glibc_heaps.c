// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/glibc_heaps.h"

#include <string.h>

enum {
	PAGE = 4096,
	PIECE_SIZE = 256 << 10,
	/* Largest walk: a second or so of reading. What is beyond is left out, and complete false.
	 */
	MAX_READ = 512 << 20,
	/* HEAP_MAX_SIZE of arena.c: heaps of arenas other than the first are aligned to it. */
	HEAP_ALIGNMENT = 64 << 20,
	CHUNK_HEADER = 16, /* prev_size, size */
	MIN_CHUNK = 32,
	CHUNK_ALIGNMENT = 16,
	PREV_INUSE = 1,
	IS_MMAPPED = 2,
	NON_MAIN_ARENA = 4,
	FLAGS = 7,
	RETRIES = 10,
	/* So many chunks in a row prove where the first one is. */
	PROOF = 4,
};

struct chunk {
	uint64_t prev_size, size;
};

/* struct heap_info of arena.c; since 2.35 a page size and padding follow. */
struct heap_info {
	uint64_t arena, prev, size, mprotect_size;
};

struct walk {
	const struct memory *memory;
	struct glibc_heaps *sums;
	uint8_t *piece;
	uint64_t piece_start, piece_length;
	GArray *heaps; /* of struct memory_range */
	GArray *inner; /* whole pages of free chunks, of struct memory_range */
};

static bool read_chunk(struct walk *walk, uint64_t address, uint64_t end, struct chunk *chunk)
{
	uint64_t offset = address - walk->piece_start;

	if (address < walk->piece_start || offset + sizeof(*chunk) > walk->piece_length) {
		walk->piece_start = address;
		walk->piece_length = MIN(end - address, (uint64_t)PIECE_SIZE);
		offset = 0;
		walk->sums->read_bytes += walk->piece_length;
		if (walk->sums->read_bytes > MAX_READ ||
		    !memory_read(walk->memory, address, walk->piece, walk->piece_length)) {
			walk->piece_length = 0;
			return false;
		}
	}
	memcpy(chunk, walk->piece + offset, sizeof(*chunk));
	return true;
}

static bool chunk_is_sane(const struct chunk *chunk, uint64_t room, bool main_arena)
{
	uint64_t size = chunk->size & ~(uint64_t)FLAGS;

	return !(chunk->size & IS_MMAPPED) && !(chunk->size & 8) && size <= room &&
	       (size >= MIN_CHUNK || (size == CHUNK_ALIGNMENT && size == room)) &&
	       !(main_arena && chunk->size & NON_MAIN_ARENA);
}

static void count_free(struct walk *walk, uint64_t address, uint64_t size)
{
	uint64_t first = (address + CHUNK_HEADER + PAGE - 1) / PAGE * PAGE;
	struct memory_range inner = { first, (address + size) / PAGE * PAGE, false };

	walk->sums->free_bytes += size;
	if (inner.start >= inner.end)
		return;
	/* Whether whole pages are still there is asked at the end. */
	walk->sums->free_bytes -= inner.end - inner.start;
	g_array_append_val(walk->inner, inner);
}

/*
 * Follows the chain from the chunk at @address to the end of its heap. Where it breaks, chunks were
 * just merged or split: the last good one, read once more, leads on.
 */
static bool walk_chain(struct walk *walk, uint64_t address, uint64_t end, bool main_arena)
{
	uint64_t previous = 0, previous_size = 0;
	int retries = RETRIES;
	struct chunk chunk;

	while (end - address >= sizeof(chunk)) {
		uint64_t size;

		if (!read_chunk(walk, address, end, &chunk) ||
		    !chunk_is_sane(&chunk, end - address, main_arena)) {
			if (!previous || !retries--)
				return false;
			walk->piece_length = 0;
			address = previous;
			previous = 0;
			continue;
		}
		size = chunk.size & ~(uint64_t)FLAGS;
		if (previous && !(chunk.size & PREV_INUSE) && chunk.prev_size == previous_size)
			count_free(walk, previous, previous_size);
		previous = address;
		previous_size = size;
		address += size;
	}
	/* The last is the top chunk, which nothing follows; other heaps of an arena end with one of
	 * no size. */
	if (previous && previous_size >= MIN_CHUNK)
		count_free(walk, previous, previous_size);
	return true;
}

/* The first of the addresses from @from to @to from which a chain of chunks leads on, or 0. */
static uint64_t first_chunk(struct walk *walk, uint64_t from, uint64_t to, uint64_t end)
{
	for (uint64_t start = from / CHUNK_ALIGNMENT * CHUNK_ALIGNMENT; start <= to;
	     start += CHUNK_ALIGNMENT) {
		uint64_t address = start;
		struct chunk chunk = { 0 };
		int links = 0;

		while (links < PROOF && end - address >= sizeof(chunk) &&
		       read_chunk(walk, address, end, &chunk) &&
		       chunk_is_sane(&chunk, end - address, false) &&
		       (links || chunk.size & PREV_INUSE)) {
			address += chunk.size & ~(uint64_t)FLAGS;
			links++;
		}
		if (links == PROOF || (links && address == end))
			return start;
	}
	return 0;
}

/*
 * The heap of another arena than the first: heap_info, in the arena's first heap then its
 * malloc_state (2,192 bytes up to glibc 2.25, 2,200 since), then chunks.
 */
static void walk_arena_heap(struct walk *walk, const struct mapping *mapping)
{
	struct heap_info info;
	struct memory_range heap = { .start = mapping->start };
	uint64_t first;

	if (!memory_read(walk->memory, mapping->start, &info, sizeof(info)) || info.size < PAGE ||
	    info.size % PAGE || info.mprotect_size < info.size ||
	    info.mprotect_size > HEAP_ALIGNMENT || info.size > mapping->end - mapping->start ||
	    info.arena % HEAP_ALIGNMENT < sizeof(info) || info.arena % HEAP_ALIGNMENT > 128 ||
	    info.prev % HEAP_ALIGNMENT)
		return;
	heap.end = mapping->start + info.size;
	if (info.arena / HEAP_ALIGNMENT == mapping->start / HEAP_ALIGNMENT)
		first = first_chunk(walk, info.arena + 2192, info.arena + 2304, heap.end);
	else
		first = first_chunk(walk, mapping->start + sizeof(info), mapping->start + 128,
				    heap.end);
	g_array_append_val(walk->heaps, heap);
	if (!first || !walk_chain(walk, first, heap.end, false))
		walk->sums->complete = false;
}

static void walk_program_break(struct walk *walk, uint64_t start, uint64_t end)
{
	struct memory_range heap = { start, end, false };

	g_array_append_val(walk->heaps, heap);
	/* brk may begin anywhere in the page; chunks begin at a multiple of 16. */
	if (!walk_chain(walk, (start + CHUNK_ALIGNMENT - 1) / CHUNK_ALIGNMENT * CHUNK_ALIGNMENT,
			end, true))
		walk->sums->complete = false;
}

static uint64_t resident_bytes(const struct memory *memory, const GArray *spans)
{
	g_autoptr(GArray) ranges = memory_populated(memory, spans);
	bool known = memory->populated;
	uint64_t bytes = 0;

	for (guint i = 0; i < ranges->len; i++) {
		const struct memory_range *range = &g_array_index(ranges, struct memory_range, i);

		bytes += range->resident || !known ? range->end - range->start : 0;
	}
	return bytes;
}

bool glibc_heaps_walk(const struct memory *memory, const struct maps *maps,
		      struct glibc_heaps *sums)
{
	g_autofree uint8_t *piece = g_malloc(PIECE_SIZE);
	g_autoptr(GArray) heaps = g_array_new(false, false, sizeof(struct memory_range));
	g_autoptr(GArray) inner = g_array_new(false, false, sizeof(struct memory_range));
	struct walk walk = {
		.memory = memory, .sums = sums, .piece = piece, .heaps = heaps, .inner = inner
	};

	*sums = (struct glibc_heaps){ .complete = true };
	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->items[i];

		walk.piece_length = 0;
		if (mapping->start >= mapping->end || !mapping_is_anonymous_heap(mapping))
			continue;
		if (strcmp(mapping->path, "[heap]") == 0) {
			uint64_t end = mapping->end;

			/* Parts of it may have attributes of their own. */
			while (i + 1 < maps->count && maps->items[i + 1].start == end &&
			       strcmp(maps->items[i + 1].path, "[heap]") == 0)
				end = maps->items[++i].end;
			walk_program_break(&walk, mapping->start, end);
		} else if (mapping->start % HEAP_ALIGNMENT == 0) {
			walk_arena_heap(&walk, mapping);
		}
	}
	sums->heaps = heaps->len;
	sums->held_bytes = resident_bytes(memory, heaps);
	sums->free_bytes += resident_bytes(memory, inner);
	return heaps->len && sums->read_bytes;
}
