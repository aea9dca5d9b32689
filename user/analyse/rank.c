// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/rank.h"

#define DESCENDING(a, b) (((a) < (b)) - ((a) > (b)))

static int compare(const void *left, const void *right, void *data)
{
	const struct rank_entry *a = left, *b = right;
	int order = 0;

	switch (*(const enum sort_by *)data) {
	case SORT_BY_GROWTH:
		break;
	case SORT_BY_BYTES:
		order = DESCENDING(a->bytes, b->bytes);
		break;
	case SORT_BY_BLOCKS:
		order = DESCENDING(a->blocks, b->blocks);
		break;
	case SORT_BY_RATE:
		order = DESCENDING(a->rate, b->rate);
		break;
	}
	if (!order)
		order = DESCENDING(a->growth_bytes, b->growth_bytes);
	if (!order)
		order = DESCENDING(a->bytes, b->bytes);
	return order ? order : DESCENDING(b->id, a->id);
}

void rank_sort(GArray *entries, enum sort_by sort_by)
{
	g_array_sort_with_data(entries, compare, &sort_by);
}
