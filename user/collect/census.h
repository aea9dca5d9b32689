/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the live blocks of each context are: looks into a sample of them (block_sample.h) and counts
 * types. What was found is remembered, for when the target can no longer be asked.
 */
#ifndef PYLEAK_COLLECT_CENSUS_H
#define PYLEAK_COLLECT_CENSUS_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "collect/snapshot.h"
#include "cpython/interpreter.h"
#include "proc/memory.h"

struct census;

/* Blocks of a context that are of one type (cpython/block_class.h), as estimates: what counts is
 * their shares of the context. */
struct type_count {
	char *name; /* interned by g_ref_string_new_intern(); owned by the array */
	double blocks, bytes;
};

/*
 * Arguments are borrowed. NULL where the objects of this version are not known; the functions below
 * then know nothing.
 */
struct census *census_new(const struct memory *memory, pid_t pid,
			  const struct interpreter *interpreter);
void census_free(struct census *census);

/*
 * Begins a look at the blocks of @snapshot (borrowed until the next look). No more than 20 ms of
 * processor time are spent on it; contexts asked for after that keep what was known.
 * @readable: the target is there; else nothing is looked at.
 */
void census_begin(struct census *census, const struct snapshot *snapshot, bool readable);

/*
 * The types of the context, an array of struct type_count in no order, or NULL where nothing is
 * known. Borrowed until the next look.
 */
const GArray *census_types(struct census *census, uint32_t context);

/* A look at the contexts with most bytes, for 4 ms at most. */
void census_look_at_largest(struct census *census, const struct snapshot *snapshot);

/* Processor time of the last look. */
double census_seconds(const struct census *census);

#endif
