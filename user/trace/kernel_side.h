/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel side as loaded: its maps and programs. Everything goes away with it; nothing is
 * pinned. */
#ifndef PYLEAK_TRACE_KERNEL_SIDE_H
#define PYLEAK_TRACE_KERNEL_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"

enum kernel_program {
	PROGRAM_PYMALLOC,
	PROGRAM_MALLOC_ENTRY,
	PROGRAM_MALLOC_RETURN,
	PROGRAM_MALLOC_FREE,
	PROGRAM_MMAP,
	PROGRAM_CALIBRATE,
	PROGRAM_COUNT,
};

struct kernel_side;

/* Live blocks that sampling needs room for: survivors of windows, and all blocks of processes light
 * enough to be traced whole. */
enum { SAMPLED_BLOCKS = 1 << 18 };

/*
 * Loads the programs with maps sized so that pyleak stays within @max_memory bytes and holds at
 * most @max_blocks live blocks. NULL and @error: UNSUPPORTED with what is missing (privilege, BTF,
 * kernel feature).
 */
struct kernel_side *kernel_side_new(uint64_t max_memory, uint32_t max_blocks, GError **error);
void kernel_side_free(struct kernel_side *kernel);

int kernel_side_program_fd(const struct kernel_side *kernel, enum kernel_program program);
int kernel_side_events_fd(const struct kernel_side *kernel); /* the ring buffer */
int kernel_side_live_fd(const struct kernel_side *kernel);
uint32_t kernel_side_live_capacity(const struct kernel_side *kernel); /* blocks */

/* Contexts 1 to kernel_side_context_count(), read in place: they change while they are read. */
const struct traced_context *kernel_side_contexts(const struct kernel_side *kernel);
uint32_t kernel_side_context_count(const struct kernel_side *kernel);

/*
 * Logs of births, one for each open window. Acquire returns 1 to PYLEAK_BIRTH_LOGS, or 0 when all
 * are taken; any thread may call. The log has PYLEAK_BIRTHS places.
 */
uint32_t kernel_side_acquire_birth_log(struct kernel_side *kernel);
void kernel_side_release_birth_log(struct kernel_side *kernel, uint32_t log);
const struct birth *kernel_side_births(const struct kernel_side *kernel, uint32_t log);

/*
 * Takes a context out of the lookup by content: allocations with the same raw stack get a new
 * context from now on, while blocks of the old one keep it.
 */
void kernel_side_seal_context(const struct kernel_side *kernel, uint32_t id);

/*
 * The kernel's record of a target, shared memory: the kernel side changes its own members at any
 * time. @index from 1 to PYLEAK_MAX_TARGETS - 1.
 */
struct target *kernel_side_target(const struct kernel_side *kernel, uint32_t index);
/* Makes events of process @tgid count for the target at @index, or no longer. */
bool kernel_side_target_publish(const struct kernel_side *kernel, uint32_t tgid, uint32_t index);
void kernel_side_target_withdraw(const struct kernel_side *kernel, uint32_t tgid);

/* Bytes that the maps take up now, at most: live table by its entries @live_entries. */
uint64_t kernel_side_memory(const struct kernel_side *kernel, uint64_t live_entries);

/*
 * Marks blocks as dead that still are as given; @count at most PYLEAK_RETIRE_BATCH. @erase also
 * takes their entries out of the table. Returns how many still were as given, or -1.
 */
int kernel_side_retire(const struct kernel_side *kernel, const struct dead_block *dead,
		       uint32_t count, bool erase);

#endif
