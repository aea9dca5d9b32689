/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --merge-children in a session: one report for each lot of identical workers. */
#ifndef PYLEAK_CLI_MERGING_H
#define PYLEAK_CLI_MERGING_H

#include "analyse/workers.h"
#include "cli/output.h"

/*
 * Takes the @reports of a round and puts one for each lot of identical workers in their place.
 * @header knows those that were there from the start. @output forgets pids that have no report of
 * their own any more.
 */
void merge_round(struct workers *workers, const struct report_header *header, struct output *output,
		 GPtrArray *reports);

#endif
