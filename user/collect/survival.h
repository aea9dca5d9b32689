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
	uint32_t count;
	struct {
		uint32_t context;
		uint64_t blocks; /* allocated until then */
	} allocs[];		 /* in the order of ids */
};

struct survival;
struct survival *survival_new(void);
void survival_free(struct survival *survival);

/* Remembers the totals at @time_ns of those of contexts 0 to @count - 1 that are of @target. */
void survival_remember(struct survival *survival, uint64_t time_ns,
		       const struct traced_context *contexts, uint32_t count, uint32_t target);
/* The moment closest to half of the time from @since_ns to @now_ns, borrowed; NULL when there is
 * none. */
const struct checkpoint *survival_checkpoint(const struct survival *survival, uint64_t since_ns,
					     uint64_t now_ns);

#endif
