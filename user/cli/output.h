/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the reports of a session go: standard output or --output, as a stream that grows or as a
 * document that is replaced, and the latest ones for whoever serves them.
 */
#ifndef PYLEAK_CLI_OUTPUT_H
#define PYLEAK_CLI_OUTPUT_H

#include <stdbool.h>
#include <glib.h>

#include "cli/options.h"
#include "report/latest.h"

struct output;

/* Opens what @options name. @options are borrowed. NULL and @error when it cannot be opened. */
struct output *output_open(const struct options *options, GError **error);
/* NULL is allowed. */
void output_free(struct output *output);

/* All of these: false and errno when the output failed. The header stays the caller's. */
bool output_header(struct output *output, const struct report_header *header);
/* Comes before the reports of a round. */
bool output_overview(struct output *output, const struct report_header *header,
		     const struct report_overview *overview);
/* Takes @report. */
bool output_report(struct output *output, const struct report_header *header,
		   struct report *report);
/* Every target has reported; @last: for the last time. */
bool output_round(struct output *output, bool last);
bool output_end(struct output *output, const struct report_end *end);

/* A target is gone for good, and its reports with it. */
void output_forget(struct output *output, int32_t pid);

/* The latest reports; owned by @output. NULL unless the options serve or ask for a document. */
struct latest *output_latest(struct output *output);

#endif
