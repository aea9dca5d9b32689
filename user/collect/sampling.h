/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Survivors of windows: which of the blocks that were seen being born still live, and what each
 * stands for.
 */
#ifndef PYLEAK_COLLECT_SAMPLING_H
#define PYLEAK_COLLECT_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "collect/cells.h"
#include "collect/snapshot.h"
#include "proc/memory.h"
#include "trace/governor.h"

struct sampling;

/* @governor and @memory are borrowed. @is_glibc: malloc is glibc's, whose chunks can be read.
 * @most: fingerprints that there is room for; what is lost beyond counts as LOST_LIVE_FULL. */
struct sampling *sampling_new(struct governor *governor, const struct memory *memory, bool is_glibc,
			      uint32_t most, uint64_t now_ns);
void sampling_free(struct sampling *sampling);

/* A burst_handler (governor.h): takes the fingerprints of what may be survivors. @context is the
 * struct sampling. */
void sampling_burst_ended(void *context, const struct ended_burst *burst);

/* Begins a look at all blocks at @now_ns. */
void sampling_begin(struct sampling *sampling, uint64_t now_ns);

/*
 * Whether the place of the block still holds the same block, as far as can be told. Blocks of
 * families that were seen without a gap are known to. @window_ns: as in struct survivor. Not to be
 * asked of blocks that the allocator says are free.
 */
bool sampling_is_same(struct sampling *sampling, enum family family, uint64_t address, uint64_t tag,
		      uint64_t size, uint64_t born_ns, double *window_ns);

/* How old a block is that was born at @born_ns. */
enum survivor_age sampling_age(const struct sampling *sampling, uint64_t born_ns);

/* How long, in ns, a survivor counts as young: and another such time as recent. */
uint64_t sampling_young_ns(const struct sampling *sampling);

/* Counts a live block for the snapshot, with what it stands for, which is returned. Blocks too
 * young to be survivors are left out: 0. */
double sampling_count(struct sampling *sampling, enum family family,
		      const struct survivor *survivor);

/* Ends the look begun with sampling_begin(): hands the cells over to @snapshot, with the state of
 * the families. */
void sampling_finish(struct sampling *sampling, struct snapshot *snapshot);

#endif
