// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/merging.h"

#include "report/target.h"

void merge_round(struct workers *workers, const struct report_header *header, struct output *output,
		 GPtrArray *reports)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_new();
	const GArray *replaced;

	for (guint i = 0; i < reports->len; i++)
		g_ptr_array_add(targets, (void *)report_target_of(header, reports->pdata[i]));
	workers_merge(workers, reports, targets);
	replaced = workers_replaced(workers);
	for (guint i = 0; i < replaced->len; i++)
		output_forget(output, g_array_index(replaced, int32_t, i));
}
