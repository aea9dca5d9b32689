// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/snapshot.h"

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->contexts)
		g_array_unref(snapshot->contexts);
	if (snapshot->cells)
		g_array_unref(snapshot->cells);
	block_sample_free(snapshot->blocks);
	g_free(snapshot);
}
