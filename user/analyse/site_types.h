/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The types of sites from those of their contexts. Pure. */
#ifndef PYLEAK_ANALYSE_SITE_TYPES_H
#define PYLEAK_ANALYSE_SITE_TYPES_H

#include <stdint.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "analyse/model.h"
#include "collect/snapshot.h"

enum { SITE_TYPES_MOST = 32 }; /* more than that are summed up as "other types" */

struct site_types;

struct site_types *site_types_new(void);
void site_types_free(struct site_types *types);

/* Adds the context's outstanding blocks and bytes, shared out by @counts (of struct type_count; may
 * be NULL: nothing is known of them). */
void site_types_add(struct site_types *types, const struct snapshot_context *context,
		    const GArray *counts);

/*
 * The sums as integers, an array of struct site_type for struct site; NULL where there is nothing.
 * They add up to what was added, give or take the rounding of each.
 */
GArray *site_types_finish(const struct site_types *types);

/*
 * Fills in the types of @sites (of struct site). @site_ids: of uint64_t, the site of each context
 * of @snapshot, in their order. The contexts with most bytes are asked for first, as time may run
 * out (census.h).
 */
void site_types_fill(GArray *sites, const struct snapshot *snapshot, const GArray *site_ids,
		     const struct analysis_sources *sources);

#endif
