// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/survival.h"

#include <stdbool.h>

enum { MAX_CHECKPOINTS = 16 };

struct survival {
	GPtrArray *checkpoints; /* of struct checkpoint *, oldest first */
};

struct survival *survival_new(void)
{
	struct survival *survival = g_new0(struct survival, 1);

	survival->checkpoints = g_ptr_array_new_with_free_func(g_free);
	return survival;
}

void survival_free(struct survival *survival)
{
	if (!survival)
		return;
	g_ptr_array_unref(survival->checkpoints);
	g_free(survival);
}

/* Drops the checkpoint that stands closest to its neighbours relative to its age: recent ones stay
 * dense. */
static void thin_out(GPtrArray *checkpoints, uint64_t now_ns)
{
	double smallest = 0;
	guint victim = 0;

	for (guint i = 1; i + 1 < checkpoints->len; i++) {
		const struct checkpoint *before = checkpoints->pdata[i - 1],
					*after = checkpoints->pdata[i + 1];
		double gap = (double)(after->time_ns - before->time_ns) /
			     (double)(now_ns - before->time_ns + 1);

		if (!victim || gap < smallest) {
			smallest = gap;
			victim = i;
		}
	}
	g_ptr_array_remove_index(checkpoints, victim);
}

static bool is_of(const struct traced_context *context, uint32_t target)
{
	return context->target == target && context->alloc_blocks;
}

void survival_remember(struct survival *survival, uint64_t time_ns,
		       const struct traced_context *contexts, uint32_t count, uint32_t target)
{
	struct checkpoint *checkpoint;
	uint32_t own = 0;

	for (uint32_t i = 0; i < count; i++)
		own += is_of(&contexts[i], target);
	checkpoint = g_malloc(sizeof(*checkpoint) + own * sizeof(*checkpoint->allocs));
	checkpoint->time_ns = time_ns;
	checkpoint->count = 0;
	/* More may have come to be meanwhile. */
	for (uint32_t i = 0; i < count && checkpoint->count < own; i++) {
		if (!is_of(&contexts[i], target))
			continue;
		checkpoint->allocs[checkpoint->count].context = i;
		checkpoint->allocs[checkpoint->count++].blocks = contexts[i].alloc_blocks;
	}
	g_ptr_array_add(survival->checkpoints, checkpoint);
	if (survival->checkpoints->len > MAX_CHECKPOINTS)
		thin_out(survival->checkpoints, time_ns);
}

const struct checkpoint *survival_checkpoint(const struct survival *survival, uint64_t since_ns,
					     uint64_t now_ns)
{
	uint64_t wanted = since_ns + (now_ns - since_ns) / 2, best_distance = UINT64_MAX;
	const struct checkpoint *best = NULL;

	for (guint i = 0; i < survival->checkpoints->len; i++) {
		const struct checkpoint *checkpoint = survival->checkpoints->pdata[i];
		uint64_t distance = checkpoint->time_ns > wanted ? checkpoint->time_ns - wanted
								 : wanted - checkpoint->time_ns;

		if (distance < best_distance) {
			best_distance = distance;
			best = checkpoint;
		}
	}
	return best;
}
