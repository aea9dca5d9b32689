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

/* Room for @most blocks. */
struct fingerprints *fingerprints_new(uint32_t most);
void fingerprints_free(struct fingerprints *fingerprints);

/* What is read of a block: from so many bytes before it, its chunk's size in glibc, so many in all.
 */
enum { FINGERPRINT_BEFORE = 8, FINGERPRINT_BYTES = 72 };

struct fingerprint_subject {
	enum family family;
	bool is_glibc; /* malloc: glibc's, whose chunk headers can be read */
	uint64_t address, tag;
	uint64_t size; /* bytes */
};

/* Whether the block holds what it held when it was born, as far as can be told: an object keeps its
 * type. False also where nothing is known of its birth. pymalloc only; any thread may call. */
bool fingerprints_is_as_born(struct fingerprints *fingerprints, const struct memory *memory,
			     const struct birth *birth);

/*
 * Takes the fingerprint of a block, and remembers @window_ns with it: burst_expected_ns() of the
 * burst in which it was born. malloc: glibc's chunk header (malloc/malloc.c,
 * struct malloc_chunk, 2.26 to 2.41) is part of it. Any thread may call. Reads the target's memory;
 * false where that fails, the block is seen to be free or there is no room.
 */
bool fingerprints_take(struct fingerprints *fingerprints, const struct memory *memory,
		       const struct fingerprint_subject *subject, double window_ns);

/*
 * Whether the block still holds what it held when its fingerprint was taken; @window_ns (may be
 * NULL) as it was then. Of a block without one, false, or where @take_missing one is taken now,
 * with 0.
 */
bool fingerprints_match(struct fingerprints *fingerprints, const struct memory *memory,
			const struct fingerprint_subject *subject, bool take_missing,
			double *window_ns);

/* How many fingerprints were not kept so far, for lack of room. */
uint64_t fingerprints_refused(struct fingerprints *fingerprints);

/* Forgets the blocks that were neither taken nor asked for since the last call but one. */
void fingerprints_sweep(struct fingerprints *fingerprints);

#endif
