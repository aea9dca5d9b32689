/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New stacks as the kernel side sends them, each once. */
#ifndef PYLEAK_COLLECT_STACK_EVENTS_H
#define PYLEAK_COLLECT_STACK_EVENTS_H

#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "trace/kernel_side.h"

struct stack_events;

/* What they are called with is borrowed for the call. */
struct stack_event_handlers {
	/* A stack: @event->count frames, leaf first. */
	void (*stack)(void *context, const struct context_event *event,
		      const struct raw_frame *frames);
	/* A part of the native stack of one that is about to come; @piece ends after its
	 * @length bytes. */
	void (*piece)(void *context, const struct stack_piece *piece);
};

struct stack_events *stack_events_new(const struct kernel_side *kernel,
				      const struct stack_event_handlers *handlers, void *context,
				      GError **error);
void stack_events_free(struct stack_events *events);
/* Readable when stacks have arrived. */
int stack_events_fd(const struct stack_events *events);
/* Handles all that have arrived. Never waits. */
void stack_events_consume(struct stack_events *events);

#endif
