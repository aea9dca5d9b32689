/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The curve of every site since attach, in bounded memory: all sites share one time axis, and when
 * it is full every second moment is dropped and from then on only every second snapshot kept. The
 * newest snapshot is always the last point, the attach (time 0, value 0) always the first.
 */
#ifndef PYLEAK_ANALYSE_HISTORY_H
#define PYLEAK_ANALYSE_HISTORY_H

#include <stdint.h>
#include <glib.h>

#include "analyse/model.h"

enum { HISTORY_MAX_POINTS = 121 };

struct history_point {
	int64_t bytes, blocks;
};

/* Sums over the contexts of one site in the current snapshot; grows by history_site_add(). */
struct site_sums {
	int64_t bytes, blocks;
	int64_t family_bytes[FAMILY_COUNT];
	double alloc_bytes, alloc_blocks;
	uint64_t oldest_born_ns; /* 0: none */
	uint64_t old_alloc_blocks, old_live_blocks;
	bool estimated;		      /* some of it is */
	double bytes_low, bytes_high; /* sums of the contexts' 95 % intervals */
	uint32_t stacks;	      /* contexts with anything outstanding */
	uint32_t largest_context;     /* the context with the most bytes, to show the stack of */
	int64_t largest_bytes;
	uint64_t line_id; /* of that context's leading line */
	uint32_t contexts;
};

struct site_history {
	uint64_t id;
	struct site_sums now;
	int64_t interval_growth_bytes;
	uint32_t intervals_grown;
	uint32_t start; /* index on the time axis of points[0]; everything before was 0 */
	GArray *points; /* of struct history_point */
	int64_t previous_bytes;
};

struct history {
	GArray *times;	    /* of double, seconds since attach; never empty */
	GHashTable *sites;  /* struct site_history, by its id */
	uint64_t snapshots; /* taken so far */
	uint64_t stride;    /* every how many snapshots one is kept */
	bool last_is_kept;  /* else the next snapshot takes the place of the last point */
};

struct history *history_new(void);
void history_free(struct history *history);

/* The site @id, made if there is none. Owned by @history. */
struct site_history *history_site(struct history *history, uint64_t id);

/*
 * Ends a snapshot taken @time seconds after attach (a time before the last counts as the last):
 * every site's sums become its newest point. Sites that never held anything at any kept moment are
 * forgotten.
 */
void history_commit(struct history *history, double time);
/* Ends one more look at the snapshot that the last point is from: no moment is added, no interval
 * counted. */
void history_commit_again(struct history *history);
/* Sets every site's sums to nothing, before a snapshot's contexts are added. */
void history_begin(struct history *history);

/* The site's bytes at every moment of the time axis; g_free(). As many as history->times has. */
double *history_bytes(const struct history *history, const struct site_history *site);
/* The site's blocks or bytes @time seconds after attach, between two kept moments in proportion. */
double history_blocks_at(const struct history *history, const struct site_history *site,
			 double time);

double history_bytes_at(const struct history *history, const struct site_history *site,
			double time);

/* a + b, held at the ends of the range: a torn or forged snapshot may hold anything. */
int64_t saturating_add(int64_t a, int64_t b);

#endif
