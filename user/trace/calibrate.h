/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a trap costs on this host, measured on a function of pyleak's own. */
#ifndef PYLEAK_TRACE_CALIBRATE_H
#define PYLEAK_TRACE_CALIBRATE_H

#include <glib.h>

#include "trace/kernel_side.h"

/*
 * The cost of one probe on an emulated instruction with an empty program, in ns. Takes about 30 ms,
 * most of it attaching. False and @error when probes cannot be attached.
 */
bool calibrate_trap(const struct kernel_side *kernel, double *trap_ns, GError **error);

#endif
