/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Forgetting a target whose tracing has ended: its blocks and contexts make room for others. */
#ifndef PYLEAK_COLLECT_FORGET_H
#define PYLEAK_COLLECT_FORGET_H

#include "trace/kernel_side.h"

/*
 * To be called when the probes of the target at @index have been removed, and before its index is
 * given to another. What cannot be read stays, and takes up room.
 */
void forget_target(const struct kernel_side *kernel, uint32_t index);

#endif
