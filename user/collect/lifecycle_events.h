/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Forks, execs and exits of processes as the kernel side tells them (bpf/lifecycle.h). */
#ifndef PYLEAK_COLLECT_LIFECYCLE_EVENTS_H
#define PYLEAK_COLLECT_LIFECYCLE_EVENTS_H

#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "trace/kernel_side.h"

struct lifecycle_events;

typedef void (*lifecycle_handler)(void *context, const struct lifecycle_event *event);

/* NULL and @error when the buffer cannot be opened. */
struct lifecycle_events *lifecycle_events_new(const struct kernel_side *kernel,
					      lifecycle_handler handler, void *context,
					      GError **error);
void lifecycle_events_free(struct lifecycle_events *events);
/* Handles all that have come, in their order. Never waits; nothing says when to call it: several
 * times a second. */
void lifecycle_events_consume(struct lifecycle_events *events);

#endif
