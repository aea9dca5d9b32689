/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Outside windows a block may die and its place be handed out again unseen. A few words of each
 * survivor, taken when it is first looked at, tell most such cases: the type of a Python object
 * does not change, and an allocator writes into what it gets back.
 */
#ifndef PYLEAK_COLLECT_FINGERPRINTS_H
#define PYLEAK_COLLECT_FINGERPRINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"
#include "proc/memory.h"

struct fingerprints;

struct fingerprints *fingerprints_new(void);
void fingerprints_free(struct fingerprints *fingerprints);

/*
 * Whether the block of @size bytes at @address, born as @tag says, still holds what it held when it
 * was first asked for. True the first time. Reads the target's memory; false where that fails.
 *
 * malloc: glibc's chunk header (malloc/malloc.c, struct malloc_chunk, 2.26 to 2.41) must be as it
 * was too and the next chunk say that this one is in use; other allocators' blocks have just their
 * words. @is_glibc tells which.
 */
bool fingerprints_match(struct fingerprints *fingerprints, const struct memory *memory,
			enum family family, bool is_glibc, uint64_t address, uint64_t tag,
			uint64_t size);

/* Forgets the blocks that were not asked for since the last call. */
void fingerprints_sweep(struct fingerprints *fingerprints);

#endif
