/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which fraction of the target's time was seen, by stretches of the trace: what a block that was
 * seen being born stands for. Pure.
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

/* What a block born at @born_ns counts: 1 / fraction, at least 1. */
double epochs_weight(const struct epochs *epochs, uint64_t born_ns);

#endif
