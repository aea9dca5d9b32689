/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function of pyleak's own for probes that are not about the target. */
#ifndef PYLEAK_TRACE_OWN_FUNCTION_H
#define PYLEAK_TRACE_OWN_FUNCTION_H

#include <stdbool.h>

#include "trace/uprobe_link.h"

/* Its file, for pyleak's processes. */
#define OWN_FUNCTION_PATH "/proc/self/exe"

/* Does nothing. Starts with a push, which the kernel emulates, as it does the jumps of
 * PYTHON.md's sites. */
void own_function(void);

/* Where a probe of it goes; looked up once. Any thread may call. False when /proc/self/maps does
 * not tell. */
bool own_function_probe(struct uprobe *probe);

#endif
