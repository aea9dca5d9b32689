/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Going through the kernel's table of live blocks in batches, and handing back the dead. */
#ifndef PYLEAK_COLLECT_LIVE_SCAN_H
#define PYLEAK_COLLECT_LIVE_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "trace/kernel_side.h"

/*
 * Called for each entry, dead ones (tag 0) included. Returns whether the block is alive; a dead
 * one's entry is retired, if it still is as it was read.
 */
typedef bool (*live_visit)(void *context, uint64_t key, const struct block *block);

struct live_scan_result {
	uint64_t entries; /* read, dead ones included */
	uint64_t retired;
};

/* @erase: take dead entries out of the table as well. False and @error when the table cannot be
 * read. */
bool live_scan(const struct kernel_side *kernel, bool erase, live_visit visit, void *context,
	       struct live_scan_result *result, GError **error);

#endif
