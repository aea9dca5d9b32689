/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is it a leak? From the curve of one site and from what became of its old blocks. Pure.
 *
 * The value at attach is left out of the curve: what a site allocates in the first interval
 * replaces memory from before the attach, which nobody counted, so the first step up means nothing.
 *
 * Fewer than 4 intervals: growing, steady or shrinking by the last interval (more than 2 % either
 * way), with a confidence below one half. From 4 on:
 *
 * - shrinking: falls (Mann-Kendall, p < 0.05) over the whole or over the last half of the time, and
 *   by more than 5 % of its peak.
 * - growing: rises (p < 0.05), and has not reached a plateau: the slope of the last half is above a
 *   tenth of that of the first half, and so is the gain over the last third (at least three
 *   intervals). Of an estimate it is enough that the process's memory in use rises lastingly
 *   (curve.h).
 * - leak: growing, and all of
 *     - it has risen for 45 s, through at least 4 intervals and two in five of all since then, and
 *       by 16 KiB or more; for 90 s where less than a tenth of what is outstanding was so
 *       survival_age_s ago: what is known of old blocks is then not of these (estimates aside);
 *     - the rise is large (at least a quarter of what is outstanding) or beyond doubt (p < 0.001);
 *     - it was never let go: no fall from a peak by more than 30 % of the highest value, which is
 *       what a sawtooth, a batch or a queue that drains does;
 *     - old blocks stay: at least 80 % of those that were outstanding survival_age_s ago are still
 *       there, or of all that had been allocated by then, or as many as the rising part of the
 *       curve had by then (the rest is working memory that comes and goes). When nothing is known
 *       of old blocks, 8 intervals and p < 0.001 instead;
 *     - it does not fill up: blocks that stay did not come clearly slower in the last
 *       survival_age_s than before (pace below 85 % and not by chance, at 1 %) while the gains of
 *       the intervals fall (Student's test of their slope, or Mann-Kendall; fewer than 5 are taken
 *       to fall);
 *     - nor do the gains themselves fade: the last two to less than 75 % of the first two, not by
 *       chance (at 1 %) were blocks allocated 20 at a time; of estimates to less than 65 %, falling
 *       by Mann-Kendall (p < 0.05) as well, and no more is asked where p < 0.01. With less than a
 *       tenth of all that is outstanding, 75 % and gains that fall as above are enough;
 *     - it is not garbage in cycles: the cyclic collector ran after a quarter of the rise and left
 *       it (no fall by more than 5 % of the peak), is switched off, or has fewer objects to look at
 *       than could hold so many blocks (50 each). After five minutes without a collection this
 *       counts no longer.
 *   Of what is known block by block also: that pace is not below 70 % (at 1 %), the gain of the
 *   last third is at least a quarter of what the first half promises, and of the gains since the
 *   rise began the last is not both the smallest and less than a fifth of the median.
 *   Of estimates, whose curves are rough, instead:
 *     - at least 6 intervals and p <= 0.01, and a standard error below a half;
 *     - that pace is at least 45 %; up to twice as fast counts as old blocks kept (1.4 times where
 *       nine tenths were seen);
 *     - no single interval holds more than 60 % of the rise;
 *     - at least 5 % of all that is outstanding: of thousands of sites some look like anything;
 *     - the process's memory in use does not contradict: it grows (curve.h), and the upper end of
 *       its slope is at least a quarter of the site's.
 *   A few windows show a site with large blocks in three or four jumps. Where the memory in use,
 *   which is measured, rises lastingly (curve.h), and the site is a twentieth or more of all that
 *   is outstanding, the site has less to show: 5 intervals, of which 3 grew; p < 0.05; no interval
 *   with more than 80 % of the rise; gains that do not fade; a pace that is not below 85 % (at 1 %)
 *   nor below 45 % (at 16 %), by the standard error of the estimate. The pace is not asked for
 *   where the gains do not fall, as above, and the last two are at least 85 % of the first two.
 *   And it is 0.95 sure (below). After 8 intervals 0.9 is enough for a site with a tenth or more of
 *   all that is outstanding: before, and of the many small ones, some look like it by chance.
 * - steady: everything else.
 *
 * A cache on its way to its limit, at a constant pace and without evictions, is a leak by every
 * sign there is until it slows down; so is the first rise of a sawtooth longer than a minute that
 * nothing explains.
 *
 * tests/unit/test_verdict_sampled.c: of 200 simulated minutes with a leak of 200 blocks a second,
 * 0.7 % of them seen, 193 end with `leak` (197 with 4 % seen); of 200 each with a full cache, a
 * full queue, a sawtooth, warm-ups and one large load none is ever called a leak.
 * docs/cases.md has what real programs get.
 *
 * Confidence of `leak`: (1 - p) x the share of old blocks kept x (1 - 2^-intervals grown), at most
 * 0.99 (0.9 when nothing is known of old blocks): as if every second growth that looks like a leak
 * ended with the next interval. Where the memory in use had to help, p is that of both tests
 * together (Fisher's method), and its spans of 5 s that grew count if they are more. Of `growing`
 * and `shrinking`: 1 - p, of `steady`: the larger p of the last half; these three stay between 0.5
 * and 0.99.
 */
#ifndef PYLEAK_ANALYSE_VERDICT_H
#define PYLEAK_ANALYSE_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "analyse/curve.h"
#include "analyse/model.h"

struct verdict_evidence {
	const double *times, *values; /* seconds since attach, bytes; [0] is the attach itself */
	size_t count;
	uint32_t intervals,
		intervals_grown; /* observed; more than count - 1 once a history is thinned */
	int64_t outstanding_blocks;
	double survival_age_s;
	double held_blocks;	 /* outstanding survival_age_s ago; 0 or less: unknown */
	double old_live_blocks;	 /* of those, still there */
	double old_alloc_blocks; /* allocated at least that long ago, outstanding then or not */
	bool survival_known;
	bool estimated;		  /* the values are estimates from samples */
	double observed_fraction; /* of the time, for the site's family */
	/*
	 * Objects that the cyclic collector has yet to look at: so many may be garbage. 0: there
	 * are none, it is switched off, or who knows.
	 */
	double uncollected;
	double collected_ago_s;		    /* it has run since; INFINITY: not since attach */
	double all_bytes;		    /* outstanding at all sites together */
	double relative_error;		    /* standard error of the newest value, of estimates */
	const struct curve_summary *memory; /* of the process; NULL: nothing is known */
};

struct verdict_result {
	enum verdict verdict;
	double confidence; /* 0 to 1 */
	bool fades;	   /* grows, but ever less */
	bool with_memory;  /* of a leak: that the memory in use rises had to help */
};

struct verdict_result verdict_decide(const struct verdict_evidence *evidence);

#endif
