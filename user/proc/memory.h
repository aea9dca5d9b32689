/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading foreign memory, as an interface: everything above it can be tested on a fake.
 * Nothing here ever writes to the target.
 */
#ifndef PYLEAK_PROC_MEMORY_H
#define PYLEAK_PROC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

/* Part of an address space: [start, end). */
struct memory_range {
	uint64_t start, end;
	bool resident; /* else swapped out, or it is not known */
};

/*
 * A source of bytes addressed by the target's virtual addresses. Implementations embed this
 * struct as their first member. @read fills all @length bytes at @address or returns false, in
 * which case @buffer is unspecified. The others may be NULL: memory_read_each() and
 * memory_populated() then do without.
 */
struct memory {
	bool (*read)(const struct memory *memory, uint64_t address, void *buffer, size_t length);
	/* Reads as many of the pieces as it can, from the first on; how many. */
	size_t (*read_each)(const struct memory *memory, const uint64_t *addresses, size_t count,
			    void *buffer, size_t length);
	/* Appends to @ranges; false and nothing appended where it cannot tell. */
	bool (*populated)(const struct memory *memory, const GArray *spans, GArray *ranges);
};

/* The memory of a live process by process_vm_readv(2). Any thread may use it; nothing to free. */
struct process_memory {
	struct memory base;
	pid_t pid;
};
void process_memory_init(struct process_memory *memory, pid_t pid);

/* A fake: one block of bytes that stands at @start. Borrowed, never freed here. For tests and
 * recorded images. */
struct image_memory {
	struct memory base;
	uint64_t start;
	const uint8_t *bytes;
	size_t length;
};
void image_memory_init(struct image_memory *memory, uint64_t start, const void *bytes,
		       size_t length);

/* Another memory, of which a piece has been read before: @bytes of it at @start. All is borrowed.
 */
struct piece_memory {
	struct memory base;
	const struct memory *rest;
	struct image_memory piece;
};
void piece_memory_init(struct piece_memory *memory, const struct memory *rest, uint64_t start,
		       const void *bytes, size_t length);

bool memory_read(const struct memory *memory, uint64_t address, void *buffer, size_t length);
bool memory_read_u32(const struct memory *memory, uint64_t address, uint32_t *value);
bool memory_read_u64(const struct memory *memory, uint64_t address, uint64_t *value);

/*
 * Reads @count pieces of @length bytes each, one after the other into @buffer, in few system calls.
 * Returns how many could be read before the first that could not.
 */
size_t memory_read_each(const struct memory *memory, const uint64_t *addresses, size_t count,
			void *buffer, size_t length);

/*
 * The same, and goes on after a piece that cannot be read: @done[i] says whether piece i was.
 */
void memory_read_any(const struct memory *memory, const uint64_t *addresses, size_t count,
		     void *buffer, size_t length, bool *done);

/*
 * The parts of @spans (of struct memory_range, ascending; page-aligned) that hold anything, an
 * array of struct memory_range to g_array_unref(); ascending. Where that cannot be told: all of
 * @spans.
 */
GArray *memory_populated(const struct memory *memory, const GArray *spans);

/*
 * Reads a NUL-terminated string of at most @limit bytes (the NUL not counted; longer strings are
 * cut). Returns a string to g_free(), or NULL where the memory could not be read.
 */
char *memory_read_string(const struct memory *memory, uint64_t address, size_t limit);

#endif
