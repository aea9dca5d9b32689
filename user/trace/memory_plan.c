// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/memory_plan.h"

#include <glib.h>

enum {
	MOST_CONTEXTS = 65536,
	/* Kernel: struct traced_context, an entry of the lookup by hash, a free id. User space: the
	   stack, the site's curve, sums; measured with 10,000 to 60,000 contexts. */
	CONTEXT_BYTES = 2048,
	/* A struct fingerprint and its place in a hash table. */
	FINGERPRINT_BYTES = 144,
	/* Survivors of windows, and all blocks of processes light enough to be traced whole. */
	SAMPLED_BLOCKS = 1 << 18,
	MIN_LIVE_ENTRIES = 1024,
	/* Measured with 9 processes beside 1. */
	PROCESS_BYTES = 3 << 19,
	SMALL_EVENT_BYTES = 4 << 20,
	EVENT_BYTES = 16 << 20,
	MOST_DEBUG_BYTES = 64 << 20,
};

/* From here on a larger ring buffer is no large part of all. */
static const uint64_t ROOMY = 128 << 20;

static uint64_t power_of_two_above(uint64_t n)
{
	uint64_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

uint64_t memory_plan_live_bytes(uint64_t entries, uint64_t capacity)
{
	return entries * PLAN_LIVE_ENTRY_BYTES + power_of_two_above(capacity) * PLAN_BUCKET_BYTES;
}

/* The most blocks that stay within @bytes when the table is full, with @beside bytes for each. */
static uint32_t blocks_within(uint64_t bytes, uint64_t beside)
{
	uint64_t low = MIN_LIVE_ENTRIES, high = 1u << 30;

	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;

		if (memory_plan_live_bytes(middle, middle) + middle * beside <= bytes)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

void memory_plan_make(struct memory_plan *plan, uint64_t max_memory, bool sampled)
{
	uint64_t beside = sampled ? FINGERPRINT_BYTES : 0, bytes;

	plan->event_bytes = max_memory < ROOMY ? SMALL_EVENT_BYTES : EVENT_BYTES;
	bytes = PLAN_FIXED_BYTES + plan->event_bytes - SMALL_EVENT_BYTES;
	bytes = max_memory > bytes + PLAN_LEAST_BYTES ? max_memory - bytes : PLAN_LEAST_BYTES;
	plan->contexts = MIN(bytes * 3 / 8 / CONTEXT_BYTES, MOST_CONTEXTS);
	plan->live_blocks = blocks_within(bytes / 2, beside);
	if (sampled)
		plan->live_blocks = MIN(plan->live_blocks, SAMPLED_BLOCKS);
	/* An eighth, and what the others leave, for heaps and for debug information. */
	bytes -= (uint64_t)plan->contexts * CONTEXT_BYTES;
	bytes -= MIN(bytes, memory_plan_live_bytes(plan->live_blocks, plan->live_blocks) +
				    plan->live_blocks * beside);
	plan->debug_bytes = MIN(bytes / 2, MOST_DEBUG_BYTES);
	plan->heap_bytes = bytes - plan->debug_bytes;
}

uint64_t memory_plan_heap_bytes(const struct memory_plan *plan, uint32_t targets)
{
	uint64_t beside = (uint64_t)PROCESS_BYTES * (MAX(targets, 1) - 1);

	return (plan->heap_bytes - MIN(beside, plan->heap_bytes / 4 * 3)) / MAX(targets, 1);
}
