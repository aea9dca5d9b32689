// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/stack_events.h"

#include <errno.h>
#include <stddef.h>
#include <bpf/libbpf.h>

#include "base/error.h"

struct stack_events {
	struct ring_buffer *ring;
	struct stack_event_handlers handlers;
	void *context;
};

static int handle_record(void *data, void *record, size_t length)
{
	const struct stack_events *events = data;
	const uint32_t *kind = record;
	const struct context_event *event = record;
	const struct stack_piece *piece = record;

	if (length >= offsetof(struct stack_piece, bytes) && *kind == EVENT_STACK_PIECE &&
	    piece->length <= length - offsetof(struct stack_piece, bytes))
		events->handlers.piece(events->context, piece);
	else if (length >= sizeof(*event) && *kind == EVENT_CONTEXT &&
		 length >= sizeof(*event) + event->count * sizeof(struct raw_frame))
		events->handlers.stack(events->context, event,
				       (const struct raw_frame *)(event + 1));
	return 0;
}

struct stack_events *stack_events_new(const struct kernel_side *kernel,
				      const struct stack_event_handlers *handlers, void *context,
				      GError **error)
{
	struct stack_events *events = g_new0(struct stack_events, 1);

	events->handlers = *handlers;
	events->context = context;
	events->ring = ring_buffer__new(kernel_side_events_fd(kernel), handle_record, events, NULL);
	if (!events->ring) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot open the ring buffer: %s", g_strerror(errno));
		stack_events_free(events);
		return NULL;
	}
	return events;
}

void stack_events_free(struct stack_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	g_free(events);
}

int stack_events_fd(const struct stack_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

void stack_events_consume(struct stack_events *events)
{
	ring_buffer__consume(events->ring);
}
