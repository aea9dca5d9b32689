// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/coverage.h"

#include <bpf/bpf.h>

/* Second looks at most; what is beyond them counts as unseen. */
enum { MAX_SECOND_LOOKS = 200000 };

struct search {
	struct coverage *coverage;
	const struct kernel_side *kernel;
	uint32_t index;
	const struct memory *memory;
	const struct pool_geometry *geometry;
	uint64_t second_looks;
	struct pool pool; /* of the last second look */
};

static void visit_unmarked(void *data, uint64_t address, uint32_t block_size)
{
	struct search *search = data;
	uint64_t key = PYLEAK_BLOCK_KEY(search->index, address);
	uint64_t pool = address & ~((uint64_t)search->geometry->pool_size - 1);
	struct block block;

	if (search->second_looks++ > MAX_SECOND_LOOKS) {
		search->coverage->unseen++;
		return;
	}
	if (!bpf_map_lookup_elem(kernel_side_live_fd(search->kernel), &key, &block) && block.tag) {
		search->coverage->seen++;
		return;
	}
	if (search->pool.address != pool &&
	    pool_read(search->memory, search->geometry, pool, &search->pool) != POOL_READ) {
		search->pool.address = 0;
		return;
	}
	if (search->pool.block_size == block_size && pool_block_is_live(&search->pool, address))
		search->coverage->unseen++;
}

void coverage_measure(struct coverage *coverage, const struct kernel_side *kernel, uint32_t index,
		      const struct memory *memory, const struct pool_geometry *geometry,
		      const struct heap_index *heap)
{
	struct search search = {
		.coverage = coverage,
		.kernel = kernel,
		.index = index,
		.memory = memory,
		.geometry = geometry,
	};

	heap_index_each_unmarked(heap, visit_unmarked, &search);
}
