// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/clock.h"

uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		return 0;
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

uint64_t clock_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

double clock_left_ns(uint64_t now_ns, uint64_t end_ns)
{
	return now_ns < end_ns ? end_ns - now_ns : 0;
}
