/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An output format: one file each, all behind this table. A writer formats into a stream it is
 * given; it opens and closes nothing. Each call ends with a flush. False: the stream failed (a
 * broken pipe, a full disk).
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
};

struct report_writer {
	const char *name; /* as in --format */
	bool (*header)(FILE *stream, const struct report_style *style,
		       const struct report_header *header);
	bool (*report)(FILE *stream, const struct report_style *style,
		       const struct report_header *header, const struct report *report);
	bool (*end)(FILE *stream, const struct report_style *style, const struct report_end *end);
};

extern const struct report_writer text_writer;
extern const struct report_writer json_writer;

/* The writer of a format's name, or NULL. */
const struct report_writer *report_writer_find(const char *name);

#endif
