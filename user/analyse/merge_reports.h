/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One report out of those of several processes that run the same program. Pure. */
#ifndef PYLEAK_ANALYSE_MERGE_REPORTS_H
#define PYLEAK_ANALYSE_MERGE_REPORTS_H

#include "analyse/model.h"

/*
 * A new report, to report_free(), of what @reports (of struct report *, at least one) say: it goes
 * under the pid of the first. Sites: merge_sites.h. Memory, threads, what was outstanding, seen and
 * lost are added up (pages that a forked worker shares with its parent count in both); elapsed_s
 * and interval_s are the longest, overhead_pct is the highest, budget_scale and heap_fraction the
 * lowest of any; a family is sampled where it is in any of them, and observed_fraction is the mean.
 * There is no curve of memory: those of the processes begin at different times.
 */
struct report *merge_reports(const GPtrArray *reports, enum sort_by sort_by);

#endif
