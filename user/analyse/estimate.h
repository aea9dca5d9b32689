/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what windows saw to all there is. Pure.
 *
 * pymalloc: how many blocks of each size class live that did not at attach is known from outside,
 * without error. The sample only shares them out: a context gets the fraction of the class that its
 * survivors are of all survivors of the class and age, each survivor counting what it stands for. A
 * fault in the sampled fraction cancels out, as it is the same above and below the line. Young
 * survivors are not trusted (snapshot.h); as many young blocks as there are recent ones are shared
 * out like these. What lives for seconds only so reads too low where temporaries are many.
 *
 * malloc and mmap: there is no such total, so a survivor just counts what it stands for
 * (Horvitz-Thompson). Where windows were nearly all cost the sum is that of the growth of private
 * memory; elsewhere what is nearest to that growth within the sample's 95 % interval.
 *
 * The interval: what one window saw was seen together, so bursts (cells.h) are what is counted, as
 * a weighted sum of Poisson events (malloc) or a share of such events (pymalloc); a part for what
 * no count shows comes on top: the sampled fraction, for malloc; for pymalloc blocks that took the
 * place of others and pass for survivors (measured: tests/bench/accuracy.py).
 *
 * tests/unit/test_estimate.c measures it on 300 runs of a simulated minute, windows of 8 ms twice a
 * second on 40 % of pymalloc's sites and of 20 ms on malloc (PYLEAK_TEST_VERBOSE=1 prints):
 *
 *	                                  bias    error   in the interval
 *	pymalloc, leak of 200 a second    +3 %    10 %    99 %
 *	pymalloc, cache, lives of 10 s    -3 %    29 %    99 %
 *	pymalloc, lives of 2 s           -36 %    45 %    96 %
 *	malloc, leak of 50 a second       +1 %    10 %    100 %
 *	malloc, cache, lives of 10 s      -1 %    16 %    99 %
 *
 * A rare event, 20 blocks every 2 s, is seen in every fourth run; it is then within the interval,
 * which reaches from a fortieth to more than five times the estimate, in 94 %.
 */
#ifndef PYLEAK_ANALYSE_ESTIMATE_H
#define PYLEAK_ANALYSE_ESTIMATE_H

#include "collect/snapshot.h"

/* Replaces live_* of every context of a sampled family by estimates with their bounds. */
void estimate_contexts(struct snapshot *snapshot);

#endif
