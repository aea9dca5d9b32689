/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An output format: one file each, all behind this table. A writer formats into a stream it is
 * given; it opens and closes nothing. Each call ends with a flush. False: the stream failed (a
 * broken pipe, a full disk).
 *
 * There are two kinds. A stream grows with every report: it has a header, reports and an end. A
 * document says how things stand at one moment, all targets together; a later one replaces it.
 */
#ifndef PYLEAK_REPORT_WRITER_H
#define PYLEAK_REPORT_WRITER_H

#include <stdbool.h>
#include <stdio.h>

#include "analyse/model.h"

struct report_style {
	bool colour;
	unsigned int width; /* columns; 80 unless the terminal is wider or narrower (60 to 120) */
	bool verbose;
	bool unicode; /* the reader's locale has block characters */
};

struct report_writer {
	const char *name; /* as in --format */
	/* A stream; all of these are NULL in a document's writer. */
	bool (*header)(FILE *stream, const struct report_style *style,
		       const struct report_header *header);
	bool (*report)(FILE *stream, const struct report_style *style,
		       const struct report_header *header, const struct report *report);
	bool (*end)(FILE *stream, const struct report_style *style, const struct report_end *end);
	/* Of a whole host's processes, before their reports. NULL: the reports say it all. */
	bool (*overview)(FILE *stream, const struct report_style *style,
			 const struct report_header *header,
			 const struct report_overview *overview);
	/* @reports: of struct report *, the latest of each target; @header has their targets. */
	bool (*document)(FILE *stream, const struct report_header *header,
			 const GPtrArray *reports);
	bool binary;	   /* nothing for a terminal */
	bool whole_stacks; /* shows every site that it gets, by its stack: --top is no use to it */
};

extern const struct report_writer text_writer;
extern const struct report_writer json_writer;
extern const struct report_writer folded_writer;
extern const struct report_writer pprof_writer;
extern const struct report_writer prometheus_writer;

/* The writer of a format's name, or NULL. */
const struct report_writer *report_writer_find(const char *name);

#endif
