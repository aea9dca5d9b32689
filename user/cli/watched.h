/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Python process of the host that is watched from outside, at no cost to it: its memory, and now
 * and then what its objects take up. Traced or not.
 */
#ifndef PYLEAK_CLI_WATCHED_H
#define PYLEAK_CLI_WATCHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/types.h>
#include <glib.h>

#include "analyse/attention.h"
#include "analyse/memory_trend.h"
#include "analyse/model.h"
#include "cpython/pools.h"
#include "proc/process.h"

struct watched {
	pid_t pid, parent;
	uint64_t start_time;
	struct report_target *target;
	struct pool_geometry geometry; /* pool_size 0: no pools that could be read */
	struct memory_trend resident, objects;
	struct process_usage usage; /* as last seen */
	int64_t since_us, seen_us;  /* monotonic: watched since; last looked at */
	int64_t objects_read_us;
	int64_t grew_us; /* when it was last found to grow */
	uint64_t rss_at_first;
	uint64_t reports; /* so far */
	int64_t reported_us;
	int64_t traced_us;  /* traced since; 0: it is not */
	int64_t refused_us; /* tracing failed; 0: it did not */
	char *refusal;	    /* why; or NULL */
};

/* Looks at @pid. NULL and @error as in process_open() and interpreter_discover(). */
struct watched *watched_new(pid_t pid, pid_t parent, GError **error);
void watched_free(void *watched);

/* Looks at its memory. False when it has gone, or is another process by now. */
bool watched_look(struct watched *watched);
/* Sums up its objects, if that was not done of late. Returns the ns of CPU time that it took. */
uint64_t watched_read_objects(struct watched *watched);
double watched_growth(const struct watched *watched); /* bytes a second, lasting; 0: it does not */
/* What attention_choose() asks for. */
struct candidate watched_candidate(struct watched *watched);

/* A report on a process that is not traced: without sites. */
struct report *watched_report(struct watched *watched);
/* Fills in what only watching tells into the report of one that is traced. */
void watched_complete(struct watched *watched, struct report *report);

#endif
