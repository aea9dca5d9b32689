/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How --max-memory is divided. Pure. */
#ifndef PYLEAK_TRACE_MEMORY_PLAN_H
#define PYLEAK_TRACE_MEMORY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct memory_plan {
	uint32_t live_blocks; /* places in the table of live blocks */
	uint32_t contexts;    /* of all targets */
	uint32_t event_bytes; /* of the ring buffer: a power of two */
	uint64_t heap_bytes;  /* for what is remembered of the heaps of all targets (collect/) */
	uint64_t debug_bytes; /* for debug information of native code (symbolize/) */
};

/*
 * What pyleak takes whatever the target is: its own code and libraries, the logs of births, the
 * ring buffer. With less than this and PLAN_LEAST_BYTES more, the limit is not kept.
 */
enum { PLAN_FIXED_BYTES = 34 << 20, PLAN_LEAST_BYTES = 14 << 20 };
/* Memory of an entry of the live table: struct htab_elem (48) + key (8) + value (16) + free-list
 * link (8), from kmalloc-96; kernel/bpf/hashtab.c, 6.18. And of a bucket of it. */
enum { PLAN_LIVE_ENTRY_BYTES = 96, PLAN_BUCKET_BYTES = 16 };

/* @sampled: with windows. Then less is traced, and a fingerprint is taken of each block. */
void memory_plan_make(struct memory_plan *plan, uint64_t max_memory, bool sampled);

/* What may be remembered of the heap of one of @targets processes: equal parts of what their names,
 * threads and buffers leave, which are not planned for beyond one process. */
uint64_t memory_plan_heap_bytes(const struct memory_plan *plan, uint32_t targets);

/* What a live table with room for @capacity blocks takes when it holds @entries. */
uint64_t memory_plan_live_bytes(uint64_t entries, uint64_t capacity);

#endif
