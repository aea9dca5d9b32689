// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/gc_state.h"

#include <string.h>

enum {
	GENERATIONS = 3,
	STATISTICS_WORDS = 3, /* struct gc_generation_stats: three Py_ssize_t, collections first */
	MOST_INTERPRETERS = 1000,
	MOST_YOUNG = INT32_MAX / 2,
};

/* New interpreters come first in the list, so the main one is the last. */
static uint64_t main_interpreter(const struct memory *memory, const struct python_facts *facts,
				 uint64_t head)
{
	uint64_t interpreter = 0, next = 0;

	if (!memory_read_u64(memory, head, &next))
		return 0;
	for (int i = 0; next && i < MOST_INTERPRETERS; i++) {
		interpreter = next;
		if (!memory_read_u64(memory, interpreter + facts->interp_next, &next))
			return 0;
	}
	return next ? 0 : interpreter;
}

static uint64_t state_address(const struct memory *memory, const struct python_facts *facts,
			      uint64_t head)
{
	uint64_t interpreter;

	if (facts->runtime_gc)
		return head - facts->runtime_interpreters_head + facts->runtime_gc;
	if (!facts->interp_gc)
		return 0;
	interpreter = main_interpreter(memory, facts, head);
	return interpreter ? interpreter + facts->interp_gc : 0;
}

bool gc_state_read(const struct memory *memory, const struct python_facts *facts,
		   uint64_t interpreters_head, struct gc_state *state)
{
	uint64_t address = state_address(memory, facts, interpreters_head);
	int64_t statistics[GENERATIONS * STATISTICS_WORDS];
	uint32_t enabled, young;

	if (!address || !facts->gc_stats ||
	    !memory_read_u32(memory, address + facts->gc_enabled, &enabled) ||
	    !memory_read_u32(memory, address + facts->gc_generations + facts->gc_count, &young) ||
	    !memory_read(memory, address + facts->gc_stats, statistics, sizeof(statistics)) ||
	    enabled > 1 || young > MOST_YOUNG)
		return false;
	*state = (struct gc_state){ .enabled = enabled, .young = young };
	for (int i = 0; i < GENERATIONS; i++) {
		int64_t collections = statistics[i * STATISTICS_WORDS];

		if (collections < 0 || collections > INT64_MAX / GENERATIONS)
			return false;
		state->collections += collections;
	}
	return true;
}
