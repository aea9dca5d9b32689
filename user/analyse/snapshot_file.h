/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots with the names of their stacks and types, saved and read back: a report can be made
 * from them anywhere, with no kernel, no root and no target. One JSON object a line
 * ("pyleak-snapshot/1"), so that a file holds a whole trace. Of a sampled one the estimates are
 * saved, not the sample: write after estimate_contexts(). Here and not in collect/, for it needs
 * the stacks of symbolize/ and the names of model.h.
 */
#ifndef PYLEAK_ANALYSE_SNAPSHOT_FILE_H
#define PYLEAK_ANALYSE_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "collect/snapshot.h"

enum { SNAPSHOT_FILE_MAX_LINE = 256 << 20 }; /* bytes; a longer line is refused */

struct saved_snapshot {
	struct snapshot *snapshot;
	GHashTable *stacks; /* struct stack, by GUINT_TO_POINTER(context id); unknown ones are
			       missing */
	GHashTable *types;  /* GArray of struct type_count, by GUINT_TO_POINTER(context id);
			       unknown ones are missing */
};

/* Writes one line and flushes. False and @error when the stream fails. */
bool snapshot_write(FILE *stream, const struct snapshot *snapshot,
		    const struct analysis_sources *sources, GError **error);

/*
 * Reads the next line. NULL without @error at the end, with @error (FAILED) when it is not a
 * snapshot: any value that is missing, of a wrong type or out of range. The strings of frames are
 * interned.
 */
struct saved_snapshot *snapshot_read(FILE *stream, GError **error);
void saved_snapshot_free(struct saved_snapshot *saved);

/* For analysis_sources.stack; the context is a struct saved_snapshot. */
const struct stack *saved_snapshot_stack(void *saved, uint32_t id);
/* For analysis_sources.types, likewise. */
const GArray *saved_snapshot_types(void *saved, uint32_t id);

#endif
