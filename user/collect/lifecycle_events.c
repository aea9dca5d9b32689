// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/lifecycle_events.h"

#include <errno.h>
#include <bpf/libbpf.h>

#include "base/error.h"

struct lifecycle_events {
	struct ring_buffer *ring;
	lifecycle_handler handler;
	void *context;
};

static int handle_record(void *data, void *record, size_t length)
{
	const struct lifecycle_events *events = data;

	if (length >= sizeof(struct lifecycle_event))
		events->handler(events->context, record);
	return 0;
}

struct lifecycle_events *lifecycle_events_new(const struct kernel_side *kernel,
					      lifecycle_handler handler, void *context,
					      GError **error)
{
	struct lifecycle_events *events = g_new0(struct lifecycle_events, 1);

	events->handler = handler;
	events->context = context;
	events->ring =
		ring_buffer__new(kernel_side_lifecycle_fd(kernel), handle_record, events, NULL);
	if (!events->ring) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot open the ring buffer: %s", g_strerror(errno));
		lifecycle_events_free(events);
		return NULL;
	}
	return events;
}

void lifecycle_events_free(struct lifecycle_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	g_free(events);
}

void lifecycle_events_consume(struct lifecycle_events *events)
{
	ring_buffer__consume(events->ring);
}
