/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line (CLI.md), parsed by argp from one table. */
#ifndef PYLEAK_CLI_OPTIONS_H
#define PYLEAK_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "cli/filter.h"
#include "report/writer.h"
#include "symbolize/merge.h"

struct options {
	GArray *pids;	 /* of pid_t, from -p */
	bool whole_host; /* -a: */
	struct filter filter;
	char **command; /* -- CMD ..., NULL-terminated, or NULL */
	double interval_s;
	double duration_s; /* 0: until interrupted */
	uint64_t count;	   /* 0: no limit */
	double overhead_pct;
	bool exact;
	double burst_ms;
	double min_age_s;
	uint32_t top;			  /* sites shown */
	struct analysis_options analysis; /* its top may be more than that, for whole profiles */
	const struct report_writer *writer;
	char *output; /* NULL: standard output */
	enum native_mode native;
	uint64_t max_memory; /* bytes */
	bool merge_children; /* identical workers have one report: analyse/workers.h */
	bool fail_on_leak;
	bool serve;   /* answer over HTTP */
	char *listen; /* ADDR:PORT; NULL: SERVE_DEFAULT_ADDRESS */
	bool verbose, quiet;
};

/*
 * Parses. --help and --version print to standard output and exit 0. NULL and @error (USAGE) with
 * one line that says what is wrong and what to do. An option of CLI.md that this build does not
 * have yet is refused with UNSUPPORTED, never ignored.
 */
struct options *options_parse(int argc, char **argv, GError **error);
void options_free(struct options *options);
/* The header's "options" object as pairs of name and JSON text. */
void options_describe(const struct options *options, GPtrArray *names, GPtrArray *values);
/* The header of a run that begins now: this host, the options, @targets (struct report_target *),
 * which it takes. report_header_free(). */
struct report_header *describe_run(const struct options *options, GPtrArray *targets);

#endif
