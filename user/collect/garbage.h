/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be garbage that only waits to be collected: objects in cycles stay until the cyclic
 * collector runs, and until then they look like a leak. What outlived a collection is not that.
 */
#ifndef PYLEAK_COLLECT_GARBAGE_H
#define PYLEAK_COLLECT_GARBAGE_H

#include <stdint.h>

#include "collect/snapshot.h"
#include "cpython/gc_state.h"

/* One process's collector since attach; all zero before. */
struct garbage_watch {
	bool known;
	struct gc_state last;
	uint64_t looked_ns;
	uint64_t collected_ns;	  /* as in struct snapshot */
	uint32_t young_at_attach; /* 0 once it has run */
};

/* At attach; @state is NULL where it cannot be read. */
void garbage_watch_begin(struct garbage_watch *watch, const struct gc_state *state,
			 uint64_t now_ns);
/* With every snapshot: fills its gc_* fields. */
void garbage_watch_look(struct garbage_watch *watch, const struct gc_state *state,
			struct snapshot *snapshot);

#endif
