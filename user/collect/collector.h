/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trace of one target from look to look: makes snapshots of what the kernel side knows of it
 * and of which blocks still live (block_look.h), and remembers what the next look goes on from.
 */
#ifndef PYLEAK_COLLECT_COLLECTOR_H
#define PYLEAK_COLLECT_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "collect/sampling.h"
#include "collect/snapshot.h"
#include "cpython/interpreter.h"
#include "proc/process.h"
#include "trace/governor.h"
#include "trace/kernel_side.h"
#include "trace/tracer.h"

struct collector;

/*
 * All arguments are borrowed and must outlive the collector; @interpreter may be NULL. @trap_ns is
 * what a bare trap costs.
 */
struct collector *collector_new(struct kernel_side *kernel, struct traced *traced,
				const struct process *process,
				const struct interpreter *interpreter, double trap_ns);
void collector_free(struct collector *collector);

/* From now on windows of @governor (borrowed) are sampled, instead of everything being traced.
 * Before collector_set_baseline(). */
void collector_set_governor(struct collector *collector, struct governor *governor);

/* What the collector may remember of the heap's pools takes @bytes at most, from the next look on.
 * Where all do not fit it is a sample (heap_index.h). No limit unless told. */
void collector_set_heap_bytes(struct collector *collector, uint64_t bytes);

/*
 * Remembers the heap as it stands: to be called once all probes are armed. Blocks of it are not the
 * trace's, and blocks that appear later without having been seen are what coverage misses.
 */
void collector_set_baseline(struct collector *collector);

/* Counts a loss that user space noticed. */
void collector_lose(struct collector *collector, enum lost_reason reason);

/*
 * Reads the kernel's tables and the target's heap, retires blocks that have died, and returns a
 * snapshot to snapshot_free(). Memory younger than @min_age_s is left out. Where the target has
 * exited, what was allocated since the last call cannot be checked: it is left out (counted by
 * collector_unchecked_blocks()), or, on a first call, taken as it is. NULL and @error when the
 * kernel's tables cannot be read.
 */
struct snapshot *collector_take(struct collector *collector, double min_age_s, GError **error);

/* Tells the governor which size classes grow, as collector_take() does, and nothing else: costs a
 * fraction of it. */
void collector_look_at_growth(struct collector *collector);

/* What to give to governor_start(); NULL before collector_set_baseline(). */
struct sampling *collector_sampling(const struct collector *collector);

/* Overhead in snapshots is counted from here on. */
void collector_begin_interval(struct collector *collector);

/* Of the last collector_take(): blocks that could not be checked; entries in the live table; what
 * it took, or, before the first, collector_set_baseline(). */
uint64_t collector_unchecked_blocks(const struct collector *collector);
uint64_t collector_live_entries(const struct collector *collector);
double collector_seconds(const struct collector *collector);

#endif
