// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/burst.h"

#include <glib.h>

/* Of a burst's time. */
static const double KEPT_TIME = 0.7;
/* What tracing took is known to some percent: of a window that was nearly all cost, a tenth is
 * taken as the target's own. */
static const double LEAST_OWN = 0.1;

double burst_expected_ns(const struct ended_burst *burst, const struct birth *birth)
{
	return burst->window_ns * (burst->focus ? focus_chance(burst->focus, birth) : 1);
}

/* Whether @a is earlier than @b, units of born, which wrap. */
static gboolean is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

struct burst_part burst_part_that_counts(const struct birth *log, uint32_t births, uint64_t from_ns,
					 uint64_t until_ns)
{
	uint64_t cut_ns = from_ns + (uint64_t)((until_ns - from_ns) * KEPT_TIME);
	uint32_t logged = MIN(births, PYLEAK_BIRTHS), cut = PYLEAK_BORN(cut_ns);
	struct burst_part part = { 0, 0 };

	if (until_ns <= from_ns)
		return part;
	/* Nobody knows those of the last moment that did not fit. */
	if (births > logged && is_before(PYLEAK_TAG_BORN(log[logged - 1].tag), cut)) {
		uint32_t early = cut - PYLEAK_TAG_BORN(log[logged - 1].tag);

		cut -= early;
		cut_ns -= (uint64_t)early << 20;
	}
	/* The clock of births has steps of 2^20 ns: cut at one. */
	cut_ns = cut_ns >> 20 << 20;
	while (part.births < logged && is_before(PYLEAK_TAG_BORN(log[part.births].tag), cut))
		part.births++;
	if (cut_ns > from_ns)
		part.time = (double)(cut_ns - from_ns) / (double)(until_ns - from_ns);
	else
		part.births = 0;
	return part;
}

double burst_own_ns(double wall_ns, double traced, double time, double births)
{
	double least = LEAST_OWN * time, own = time - births * CLAMP(traced, 0, 1);

	return wall_ns * CLAMP(own, least, 1);
}
