/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much each context had allocated at moments of the past: with the ages of live blocks it tells
 * what fraction of old allocations is still there. A bounded number of moments is kept, thinned out
 * as time goes on.
 */
#ifndef PYLEAK_COLLECT_SURVIVAL_H
#define PYLEAK_COLLECT_SURVIVAL_H

#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"

struct checkpoint {
	uint64_t time_ns;
	uint32_t count;	   /* of allocs: contexts 1 to count - 1 */
	uint64_t allocs[]; /* blocks allocated until then, by context id */
};

struct survival;
struct survival *survival_new(void);
void survival_free(struct survival *survival);

/* Remembers the totals of contexts 0 to @count - 1 at @time_ns. */
void survival_remember(struct survival *survival, uint64_t time_ns,
		       const struct traced_context *contexts, uint32_t count);
/* The moment closest to half of the time from @since_ns to @now_ns, borrowed; NULL when there is
 * none. */
const struct checkpoint *survival_checkpoint(const struct survival *survival, uint64_t since_ns,
					     uint64_t now_ns);

#endif
