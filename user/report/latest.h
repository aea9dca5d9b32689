/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The latest report of each target, for formats that show a moment and for readers in other
 * threads. Reports that have been put here are never changed again; a view holds on to those it
 * shows, whatever comes and goes meanwhile. Every function may be called from any thread and none
 * waits for a reader.
 */
#ifndef PYLEAK_REPORT_LATEST_H
#define PYLEAK_REPORT_LATEST_H

#include "analyse/model.h"

struct latest;

struct latest *latest_new(void);
/* NULL is allowed. Views that are still held stay valid. */
void latest_free(struct latest *latest);

/* Copies all of @header but its targets: those come with the reports. */
void latest_set_header(struct latest *latest, const struct report_header *header);
/*
 * Takes @report, in place of the one before it with the same pid. @target, whose report it is, is
 * copied; NULL when nothing is known of it.
 */
void latest_put(struct latest *latest, struct report *report, const struct report_target *target);
/* Forgets what is known of @pid. */
void latest_remove(struct latest *latest, int32_t pid);
/* Notes that the session is alive: all targets have reported, even if there is none. */
void latest_beat(struct latest *latest);

struct latest_view {
	uint64_t generation; /* grows with every change */
	int64_t beat_us;     /* of the last latest_beat(), g_get_monotonic_time(); 0: none yet */
	struct report_header header; /* targets: of the reports, in their order */
	GPtrArray *reports;	     /* of const struct report *, by pid */
	GPtrArray *entries;	     /* what keeps them */
};
/* Free with latest_view_free(). */
struct latest_view *latest_view(struct latest *latest);
void latest_view_free(struct latest_view *view);
/* Only the generation, for caches. */
uint64_t latest_generation(struct latest *latest);

#endif
