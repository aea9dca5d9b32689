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
#include "trace/memory_plan.h"

struct link_keeper;

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

/*
 * Loads the programs, with maps sized as @plan says. NULL and @error: UNSUPPORTED with what is
 * missing (privilege, BTF, kernel feature). To be called while the process has no other threads.
 */
struct kernel_side *kernel_side_new(const struct memory_plan *plan, GError **error);
void kernel_side_free(struct kernel_side *kernel);

/* The process that holds the links, started with the kernel side: link_keeper.h. */
struct link_keeper *kernel_side_keeper(const struct kernel_side *kernel);

int kernel_side_program_fd(const struct kernel_side *kernel, enum kernel_program program);
int kernel_side_events_fd(const struct kernel_side *kernel);	/* the ring buffer */
int kernel_side_lifecycle_fd(const struct kernel_side *kernel); /* the same */
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
uint32_t kernel_side_free_birth_logs(const struct kernel_side *kernel);
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

/*
 * Forks, execs and exits of process @tgid and of all its future children are told as struct
 * lifecycle_event from now on, until it exits. False when there is no room (PYLEAK_MAX_FOLLOWED).
 */
bool kernel_side_follow(const struct kernel_side *kernel, uint32_t tgid);
void kernel_side_unfollow(const struct kernel_side *kernel, uint32_t tgid);
/* Execs of every process of the host are told as well. */
void kernel_side_watch_every_exec(const struct kernel_side *kernel);
/* Events that did not fit into their buffer so far. */
uint64_t kernel_side_lifecycle_lost(const struct kernel_side *kernel);

/*
 * Gives a context back for use by others. No block of it may be in the live table, and no program
 * that could still use it may be running: those of its target have been removed.
 */
void kernel_side_free_context(const struct kernel_side *kernel, uint32_t id);

const struct memory_plan *kernel_side_plan(const struct kernel_side *kernel);

/*
 * Marks blocks as dead that still are as given; @count at most PYLEAK_RETIRE_BATCH. @erase also
 * takes their entries out of the table. Returns how many still were as given, or -1.
 */
int kernel_side_retire(const struct kernel_side *kernel, const struct dead_block *dead,
		       uint32_t count, bool erase);

#endif
