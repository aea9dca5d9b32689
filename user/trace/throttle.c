// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/throttle.h"

#include <glib.h>

/* The limit is a limit: what is aimed at stays below it. */
static const double AIM = 0.8;
/* Down fast, up slowly: the cost of windows comes with a delay. */
static const double LARGEST_CUT = 0.5, LARGEST_RISE = 1.15;
static const double SMALLEST_FACTOR = 0.02;
/* How much the latest stretch says against those before. */
static const double NEWS = 0.5;

void throttle_init(struct throttle *throttle, double limit)
{
	*throttle = (struct throttle){ .limit = limit, .factor = 1 };
}

void throttle_update(struct throttle *throttle, uint64_t cpu_ns, uint64_t wall_ns)
{
	double now;

	if (!throttle->wall_ns || wall_ns <= throttle->wall_ns || cpu_ns < throttle->cpu_ns) {
		throttle->cpu_ns = cpu_ns;
		throttle->wall_ns = wall_ns;
		return;
	}
	now = (double)(cpu_ns - throttle->cpu_ns) / (wall_ns - throttle->wall_ns);
	throttle->used += NEWS * (now - throttle->used);
	throttle->cpu_ns = cpu_ns;
	throttle->wall_ns = wall_ns;
	throttle->factor *=
		CLAMP(throttle->limit * AIM / MAX(throttle->used, 1e-9), LARGEST_CUT, LARGEST_RISE);
	throttle->factor = CLAMP(throttle->factor, SMALLEST_FACTOR, 1);
}
