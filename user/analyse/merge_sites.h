/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One list of sites out of those of several processes that run the same program. Pure.
 *
 * Sites are the same by their id, which is of names: whatever addresses code has in each process.
 *
 * - Bytes, blocks, allocations, growth and types are added up: exact where every part is. Growth a
 *   second is the sum of what each process gains a second since its own attach.
 * - An interval of estimates reaches as far as the root of the sum of squares of how far those of
 *   the processes reach: windows of different processes are drawn independently, so that variances
 *   add up. (Within one process they do not: analysis.c.) One estimated part makes an estimate.
 * - The verdict is the one that processes with most of the bytes come to, each by its own curve: a
 *   curve of sums would rise with each worker that is started and fall with each that ends.
 *   `leak` where processes that say so hold at least half of the bytes; else `growing` where those
 *   with `leak` or `growing` do; else `shrinking`; else `steady`. Its confidence is the mean of
 *   theirs, by bytes. Errors have one cause in all of them (a cache that fills alike in each), so
 *   many of one opinion are no surer than one. Processes in which the site ranks too low to be
 *   judged have no voice.
 * - Survival and its age are means by blocks; intervals are added up; of the processes with the
 *   most bytes come the stack, the leading line and its text.
 */
#ifndef PYLEAK_ANALYSE_MERGE_SITES_H
#define PYLEAK_ANALYSE_MERGE_SITES_H

#include "analyse/model.h"

/* The sites (of struct site) of all @reports (of struct report *), which it copies from, in the
 * order of @sort_by. They belong into a report: report_free() clears them. */
GArray *merge_sites(const GPtrArray *reports, enum sort_by sort_by);

#endif
