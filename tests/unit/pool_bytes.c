// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/pool_bytes.h"

#include <string.h>

const struct pool_geometry wide = { .pool_size = WIDE, .alignment = 16 };
const struct pool_geometry narrow = { .pool_size = NARROW, .alignment = 8 };

void put32(uint8_t *bytes, size_t offset, uint32_t value)
{
	memcpy(bytes + offset, &value, sizeof(value));
}

void put64(uint8_t *bytes, size_t offset, uint64_t value)
{
	memcpy(bytes + offset, &value, sizeof(value));
}

void pool_full_up_to(uint8_t *bytes, const struct pool_geometry *geometry, uint32_t size,
		     uint32_t carved)
{
	memset(bytes, 0xab, geometry->pool_size);
	put64(bytes, 0, carved);
	put64(bytes, 8, 0);
	put32(bytes, 32, 3);
	put32(bytes, 36, size / geometry->alignment - 1);
	put32(bytes, 40, HEADER + carved * size);
	put32(bytes, 44, geometry->pool_size - size);
}

void block_free(uint8_t *bytes, uint64_t address, uint32_t size, uint32_t index)
{
	uint64_t first;
	uint32_t used;

	memcpy(&first, bytes + 8, sizeof(first));
	memcpy(&used, bytes, sizeof(used));
	put64(bytes, HEADER + (size_t)index * size, first);
	put64(bytes, 8, address + HEADER + (uint64_t)index * size);
	put32(bytes, 0, used - 1);
}

uint32_t live_count(const struct pool *pool)
{
	uint32_t count = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(pool->live); i++)
		count += __builtin_popcountll(pool->live[i]);
	return count;
}
