/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks in ns, as one number. */
#ifndef PYLEAK_BASE_CLOCK_H
#define PYLEAK_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* What @clock shows; 0 where there is no such clock, as when the process it belongs to has gone. */
uint64_t clock_ns(clockid_t clock);

/* CLOCK_MONOTONIC, which the kernel side stamps events with. */
uint64_t clock_now_ns(void);

/* From @now_ns to @end_ns; 0: it is over. A clock must be read once for each answer: asked twice
 * around the end, a wait would last for centuries. */
double clock_left_ns(uint64_t now_ns, uint64_t end_ns);

#endif
