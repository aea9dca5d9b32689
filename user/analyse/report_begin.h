/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a report takes from its snapshot as it is. Used inside analyse/. */
#ifndef PYLEAK_ANALYSE_REPORT_BEGIN_H
#define PYLEAK_ANALYSE_REPORT_BEGIN_H

#include "analyse/model.h"
#include "collect/snapshot.h"

double seconds_between(uint64_t from_ns, uint64_t to_ns);

/*
 * A report with the process's and the tracing's figures and no sites, to report_free().
 * @previous_taken_ns: of the report before, or 0.
 */
struct report *report_begin(const struct snapshot *snapshot, uint64_t previous_taken_ns);

#endif
