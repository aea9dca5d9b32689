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
	g_free(snapshot);
}
