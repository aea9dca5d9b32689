/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of the target's time windows stand for, by stretches of the trace: what a block that was
 * seen being born counts. Windows open at random, so each stands for as much of the time as any
 * other, however long it lasted: where a program allocates most the budget is soon used up, and
 * what such a window saw in little time must not count for less. Pure.
 */
#ifndef PYLEAK_COLLECT_EPOCHS_H
#define PYLEAK_COLLECT_EPOCHS_H

#include <stdint.h>

struct epochs;

struct epochs *epochs_new(uint64_t began_ns);
void epochs_free(struct epochs *epochs);

/*
 * The time up to @until_ns: @own_ns of it were the target's own (not spent on tracing),
 * @observed_ns of those were seen, in @windows windows that opened since the last call. Stretches
 * are joined until they hold several windows: between two windows nothing is seen, which says
 * nothing about that time.
 */
void epochs_add(struct epochs *epochs, uint64_t until_ns, double own_ns, double observed_ns,
		uint64_t windows);

/*
 * What a block counts that was born at @born_ns: the time that a window stands for over @window_ns,
 * at least 1. @window_ns: what a window like its own can be expected to see of the target's own
 * time (burst_expected_ns()). Where that is not known (below 0), the time over what all windows saw
 * of it.
 */
double epochs_weight(const struct epochs *epochs, uint64_t born_ns, double window_ns);

#endif
