/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what windows saw to all there is. Pure.
 *
 * pymalloc: how many blocks of each size class live that did not at attach is known from outside,
 * without error. The sample only shares them out: a context gets the fraction of the class that its
 * survivors are of all survivors of the class, each survivor counting what it stands for. A fault
 * in the sampled fraction cancels out, as it is the same above and below the line.
 *
 * malloc and mmap: there is no such total, so a survivor just counts what it stands for
 * (Horvitz-Thompson).
 *
 * The interval is the delta method on that, survivors taken as a Poisson process whose events come
 * in clusters (a request leaks several blocks), and a part for what no count shows: the sampled
 * fraction, for malloc; blocks that took the place of others, for pymalloc.
 */
#ifndef PYLEAK_ANALYSE_ESTIMATE_H
#define PYLEAK_ANALYSE_ESTIMATE_H

#include "collect/snapshot.h"

/* Replaces live_* of every context of a sampled family by estimates with their bounds. */
void estimate_contexts(struct snapshot *snapshot);

#endif
