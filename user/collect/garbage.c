// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/garbage.h"

void garbage_watch_begin(struct garbage_watch *watch, const struct gc_state *state, uint64_t now_ns)
{
	*watch = (struct garbage_watch){ .known = state != NULL, .looked_ns = now_ns };
	if (!state)
		return;
	watch->last = *state;
	watch->young_at_attach = state->young;
}

void garbage_watch_look(struct garbage_watch *watch, const struct gc_state *state,
			struct snapshot *snapshot)
{
	/* An exec or an exit: what was read before is of no use for what comes. */
	watch->known &= state && state->collections >= watch->last.collections;
	if (!watch->known)
		return;
	if (state->collections > watch->last.collections) {
		watch->collected_ns = watch->looked_ns;
		watch->young_at_attach = 0;
	}
	watch->last = *state;
	watch->looked_ns = snapshot->taken_ns;
	snapshot->gc_known = true;
	snapshot->gc_enabled = state->enabled;
	snapshot->gc_collected_ns = watch->collected_ns;
	snapshot->gc_young = state->young - MIN(state->young, watch->young_at_attach);
}
