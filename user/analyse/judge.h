/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What verdict.h asks for, gathered from a site's history and the newest snapshot. Pure. */
#ifndef PYLEAK_ANALYSE_JUDGE_H
#define PYLEAK_ANALYSE_JUDGE_H

#include "analyse/history.h"
#include "analyse/verdict.h"
#include "collect/snapshot.h"

/* The family of most of the bytes. */
enum family site_main_family(const struct site_sums *sums);

/*
 * The verdict on @site of @history, to which @snapshot was the last to be added. @lines: the same
 * by leading line. @all_bytes: outstanding at all sites. @memory: of the process. A site that is
 * but a part of what its line holds is a leak only if the line is one too: a queue's own table
 * grows while the queue does, though what it holds comes and goes. (A line whose estimate has a
 * standard error of a half or more need only grow.)
 * Of estimates also the other way: where the line is a leak, a growing site with 3 % of its
 * bytes, and of all that is outstanding, is one, unless its own gains fade. What few windows saw of
 * a stack may be too little when it is enough of the line.
 */
struct verdict_result judge_site(const struct history *history, const struct history *lines,
				 const struct site_history *site, const struct snapshot *snapshot,
				 int64_t all_bytes, const struct curve_summary *memory);

#endif
