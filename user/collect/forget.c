// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/forget.h"

#include "collect/live_scan.h"

static bool is_of_another(void *data, uint64_t key, const struct block *block)
{
	(void)block;
	return PYLEAK_KEY_TARGET(key) != *(const uint32_t *)data;
}

void forget_target(const struct kernel_side *kernel, uint32_t index)
{
	const struct traced_context *contexts = kernel_side_contexts(kernel);
	uint32_t count = kernel_side_context_count(kernel);
	struct live_scan_result result;

	/* A context whose blocks are still there would be charged with them in its next life. */
	if (!live_scan(kernel, true, is_of_another, &index, &result, NULL))
		return;
	for (uint32_t id = 1; id <= count; id++)
		if (contexts[id].target == index && contexts[id].hash)
			kernel_side_free_context(kernel, id);
}
