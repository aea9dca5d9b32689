/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From snapshots to a report: growth, trend, confidence, ranking, verdict. Pure arithmetic: no
 * kernel, no clock, no files (source lines come through a callback).
 */
#ifndef PYLEAK_ANALYSE_ANALYSIS_H
#define PYLEAK_ANALYSE_ANALYSIS_H

#include "analyse/model.h"
#include "collect/census.h"
#include "collect/snapshot.h"

struct analysis_options {
	enum group_by group_by;
	enum sort_by sort_by;
	uint32_t top;
	uint32_t judged; /* how many of these get a verdict, a trend and a leading line, which take
			    0.5 ms each with a full history; 0: all */
	char **include, **exclude; /* globs on files whose frames may lead a site; NULL-terminated
				      or NULL */
};

/* What analysis asks of symbolize/ and of the disk. All strings it returns are borrowed for the
 * call. */
struct analysis_sources {
	/* The stack of context @id, or NULL while it is unknown. */
	const struct stack *(*stack)(void *context, uint32_t id);
	/* The text of a source line as the target's file has it, to g_free(), or NULL. */
	char *(*source_line)(void *context, const char *file, int32_t line);
	void *context;
	/* Types of the live blocks of context @id, of struct type_count (census.h), or NULL while
	 * nothing is known of them. */
	const GArray *(*types)(void *context, uint32_t id);
};

/* Keeps the history of every site over the snapshots of one target. */
struct analysis;
struct analysis *analysis_new(const struct analysis_options *options);
void analysis_free(struct analysis *analysis);

/* Takes note of how the process's memory stands in @snapshot, of a moment between reports. */
void analysis_look(struct analysis *analysis, const struct snapshot *snapshot);

/* Adds @snapshot to the history and reports on it. The caller fills pid, seq and last. Free with
 * report_free(). */
struct report *analysis_add(struct analysis *analysis, const struct snapshot *snapshot,
			    const struct analysis_sources *sources);

#endif
