/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coverage of exact tracing: of the pymalloc blocks that became live since attach, the fraction
 * that a site saw. It is the proof that no allocation site was missed.
 */
#ifndef PYLEAK_COLLECT_COVERAGE_H
#define PYLEAK_COLLECT_COVERAGE_H

#include <stdint.h>
#include <linux/types.h>

#include "collect/heap_index.h"
#include "cpython/pools.h"
#include "proc/memory.h"
#include "trace/kernel_side.h"

struct coverage {
	uint64_t seen, unseen; /* blocks that live now */
};

/*
 * Counts the blocks of @heap that are neither marked nor of the baseline: those without an entry in
 * the kernel's table for target @index are unseen, unless a second look at their pool shows that
 * they were just being born or freed. Adds to @coverage.
 */
void coverage_measure(struct coverage *coverage, const struct kernel_side *kernel, uint32_t index,
		      const struct memory *memory, const struct pool_geometry *geometry,
		      const struct heap_index *heap);

#endif
