/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Times of birth (bpf/abi.h, struct block): they wrap after 52 days, so they are compared by their
 * difference. */
#ifndef PYLEAK_COLLECT_TIMES_H
#define PYLEAK_COLLECT_TIMES_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"

static inline bool born_before(uint32_t born, uint32_t moment)
{
	return (int32_t)(born - moment) < 0;
}

static inline uint64_t born_to_ns(uint32_t born, uint64_t now)
{
	uint64_t age = (uint32_t)(PYLEAK_BORN(now) - born);

	return age > INT32_MAX ? now : now - (age << 20);
}

#endif
