// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/attention.h"

#include <stdlib.h>

/* A trace that has begun is worth something: others must grow so many times faster to end it, and
 * in its first minutes nothing does, for a verdict takes six intervals. */
static const double LOYALTY = 3, TENURE_SECONDS = 180;
/* A process that grows no more is left alone after this. */
static const double PATIENCE_SECONDS = 180;

/* Whom to keep or take first. */
static double worth(const struct candidate *candidate)
{
	if (candidate->refused)
		return 0;
	if (!candidate->traced)
		return candidate->growth;
	if (candidate->traced_s < TENURE_SECONDS)
		return 1e18 + candidate->growth;
	if (candidate->idle_s >= PATIENCE_SECONDS)
		return 0;
	/* Small, but not nothing, for one that pauses. */
	return candidate->growth * LOYALTY + 1;
}

static int by_worth(const void *a, const void *b)
{
	double first = worth(a), second = worth(b);

	return (first < second) - (first > second);
}

void attention_choose(struct candidate *candidates, uint32_t count, uint32_t capacity)
{
	qsort(candidates, count, sizeof(*candidates), by_worth);
	for (uint32_t i = 0; i < count; i++)
		candidates[i].wanted = i < capacity && worth(&candidates[i]) > 0;
}
