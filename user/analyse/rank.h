/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sites come first (--sort). */
#ifndef PYLEAK_ANALYSE_RANK_H
#define PYLEAK_ANALYSE_RANK_H

#include <stdint.h>
#include <glib.h>

#include "analyse/model.h"

struct rank_entry {
	const void *site; /* whatever is ranked */
	uint64_t id; /* settles ties, so that equal sites keep their order from report to report */
	int64_t growth_bytes, bytes, blocks;
	double rate; /* bytes/s; finite */
};

/* Sorts @entries (of struct rank_entry), the largest first. */
void rank_sort(GArray *entries, enum sort_by sort_by);

#endif
