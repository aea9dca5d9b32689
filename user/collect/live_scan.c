// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/live_scan.h"

#include <errno.h>
#include <bpf/bpf.h>

#include "base/error.h"

/* Entries a system call returns at most: large enough that its cost vanishes, small enough for a
 * bucket to fit. */
enum { BATCH = 32768 };

struct scan {
	const struct kernel_side *kernel;
	bool erase;
	struct dead_block dead[PYLEAK_RETIRE_BATCH];
	uint32_t dead_count;
	struct live_scan_result *result;
};

static void retire(struct scan *scan)
{
	int retired;

	if (!scan->dead_count)
		return;
	retired = kernel_side_retire(scan->kernel, scan->dead, scan->dead_count, scan->erase);
	if (retired > 0)
		scan->result->retired += retired;
	scan->dead_count = 0;
}

static void add_dead(struct scan *scan, uint64_t key, uint64_t tag)
{
	scan->dead[scan->dead_count++] = (struct dead_block){ .key = key, .tag = tag };
	if (scan->dead_count == PYLEAK_RETIRE_BATCH)
		retire(scan);
}

bool live_scan(const struct kernel_side *kernel, bool erase, live_visit visit, void *context,
	       struct live_scan_result *result, GError **error)
{
	g_autofree uint64_t *keys = g_new(uint64_t, BATCH);
	g_autofree struct block *blocks = g_new(struct block, BATCH);
	g_autofree struct scan *scan = g_new0(struct scan, 1);
	uint32_t position = 0, next = 0;
	bool first = true;
	int status;

	*result = (struct live_scan_result){ 0 };
	scan->kernel = kernel;
	scan->erase = erase;
	scan->result = result;
	do {
		uint32_t count = BATCH;

		status = bpf_map_lookup_batch(kernel_side_live_fd(kernel), first ? NULL : &position,
					      &next, keys, blocks, &count, NULL);
		if (status && status != -ENOENT) {
			g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
				    "cannot read the live table: %s", g_strerror(-status));
			return false;
		}
		for (uint32_t i = 0; i < count; i++)
			if (!visit(context, keys[i], &blocks[i]) && (blocks[i].tag || erase))
				add_dead(scan, keys[i], blocks[i].tag);
		result->entries += count;
		position = next;
		first = false;
	} while (!status);
	retire(scan);
	return true;
}
