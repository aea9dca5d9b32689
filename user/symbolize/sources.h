/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of source files as the target sees them. */
#ifndef PYLEAK_SYMBOLIZE_SOURCES_H
#define PYLEAK_SYMBOLIZE_SOURCES_H

#include <stdint.h>

#include "proc/process.h"

struct sources;

/* @process is borrowed and must outlive the result. */
struct sources *sources_new(const struct process *process);
void sources_free(struct sources *sources);

/*
 * Line @line (from 1) of @file without surrounding white space, to g_free(); NULL where there is no
 * such line, the file is no regular one, cannot be read, or is larger than 8 MiB, or the line
 * longer than 1,000 bytes. A file is read once and remembered.
 */
char *sources_line(struct sources *sources, const char *file, int32_t line);

#endif
