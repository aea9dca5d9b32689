// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/arrivals.h"

#include "cli/say.h"
#include "collect/lifecycle_events.h"

/* After fork and exec, and after each time that it was not yet what one waits for. */
static const double SETTLE_SECONDS[] = { 0.15, 0.3, 1, 4 };
/* Handlers take some milliseconds for each process that is worth it: others have a turn then. */
static const int64_t TURN_US = 25000;
/* On a host that starts processes faster than they can be looked at, what comes then is left out.
 */
enum { MOST_WAITING = 16384 };
/* Who lived for so long and was not looked at was missed: see pyleak(1). */
enum { NOTICED_MS = 1000 };
static const int64_t SAY_US = 10 * G_USEC_PER_SEC;

struct arrivals {
	const struct kernel_side *kernel;
	struct arrivals_handler handler;
	struct lifecycle_events *events;
	GHashTable *waiting; /* pid to struct arrival */
	GQueue due;	     /* of struct arrival *, those that came first are first */
	const struct options *options;
	uint64_t missed, said_missed;
	int64_t said_us;
};

struct arrival {
	pid_t pid, parent;
	bool exec;
	guint tries;
	int64_t due_us;
	uint32_t came_ms; /* as in struct lifecycle_event */
};

static void settle(struct arrival *arrival)
{
	guint try = MIN(arrival->tries, G_N_ELEMENTS(SETTLE_SECONDS) - 1);

	arrival->due_us = g_get_monotonic_time() + (int64_t)(SETTLE_SECONDS[try] * 1e6);
}

static void expect(struct arrivals *arrivals, pid_t pid, pid_t parent, bool exec, uint32_t came_ms)
{
	struct arrival *arrival = g_hash_table_lookup(arrivals->waiting, GINT_TO_POINTER(pid));

	if (!arrival && g_queue_get_length(&arrivals->due) == MOST_WAITING)
		return;
	if (!arrival) {
		arrival = g_new0(struct arrival, 1);
		arrival->pid = pid;
		g_hash_table_insert(arrivals->waiting, GINT_TO_POINTER(pid), arrival);
		g_queue_push_tail(&arrivals->due, arrival);
	}
	if (parent)
		arrival->parent = parent;
	arrival->exec |= exec;
	arrival->tries = 0;
	arrival->came_ms = came_ms;
	settle(arrival);
}

static void forget(struct arrivals *arrivals, pid_t pid)
{
	struct arrival *arrival = g_hash_table_lookup(arrivals->waiting, GINT_TO_POINTER(pid));

	if (!arrival)
		return;
	g_queue_remove(&arrivals->due, arrival);
	g_hash_table_remove(arrivals->waiting, GINT_TO_POINTER(pid));
}

/* The loop was late, for there was no processor time: it was there for long enough. */
static void count_missed(struct arrivals *arrivals, const struct lifecycle_event *event)
{
	const struct arrival *arrival =
		g_hash_table_lookup(arrivals->waiting, GINT_TO_POINTER(event->pid));

	if (arrival && !arrival->tries && event->time_ms - arrival->came_ms >= NOTICED_MS)
		arrivals->missed++;
}

static void say_missed(struct arrivals *arrivals)
{
	if (arrivals->missed > arrivals->said_missed)
		say(arrivals->options,
		    "missed processes: %" G_GUINT64_FORMAT
		    " ended before they were looked at, for want of processor time",
		    arrivals->missed);
	arrivals->said_missed = arrivals->missed;
	arrivals->said_us = g_get_monotonic_time();
}

static void on_event(void *context, const struct lifecycle_event *event)
{
	struct arrivals *arrivals = context;

	switch (event->kind) {
	case LIFECYCLE_FORK:
		/* A new process with the number of an old one. */
		forget(arrivals, event->pid);
		expect(arrivals, event->pid, event->parent, false, event->time_ms);
		break;
	case LIFECYCLE_EXEC:
		expect(arrivals, event->pid, 0, true, event->time_ms);
		break;
	case LIFECYCLE_EXIT:
		count_missed(arrivals, event);
		forget(arrivals, event->pid);
		arrivals->handler.left(arrivals->handler.context, event->pid);
		break;
	default:
		break;
	}
}

struct arrivals *arrivals_new(const struct kernel_side *kernel, const struct options *options,
			      const struct arrivals_handler *handler, GError **error)
{
	struct arrivals *arrivals = g_new0(struct arrivals, 1);

	arrivals->options = options;
	arrivals->kernel = kernel;
	arrivals->handler = *handler;
	arrivals->waiting = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	g_queue_init(&arrivals->due);
	arrivals->events = lifecycle_events_new(kernel, on_event, arrivals, error);
	if (arrivals->events)
		return arrivals;
	arrivals_free(arrivals);
	return NULL;
}

void arrivals_free(struct arrivals *arrivals)
{
	if (!arrivals)
		return;
	say_missed(arrivals);
	lifecycle_events_free(arrivals->events);
	g_queue_clear(&arrivals->due);
	g_hash_table_unref(arrivals->waiting);
	g_free(arrivals);
}

bool arrivals_follow(struct arrivals *arrivals, pid_t pid)
{
	return kernel_side_follow(arrivals->kernel, pid);
}

void arrivals_expect(struct arrivals *arrivals, pid_t pid, pid_t parent)
{
	expect(arrivals, pid, parent, false, (uint32_t)(g_get_monotonic_time() / 1000));
}

static bool show(struct arrivals *arrivals, struct arrival *arrival)
{
	return arrivals->handler.arrived(arrivals->handler.context, arrival->pid, arrival->parent,
					 arrival->exec);
}

void arrivals_handle(struct arrivals *arrivals)
{
	int64_t began = g_get_monotonic_time();
	guint length;

	lifecycle_events_consume(arrivals->events);
	if (began >= arrivals->said_us + SAY_US)
		say_missed(arrivals);
	length = g_queue_get_length(&arrivals->due);
	/* Each once at most: those that are not due go to the end of the queue. */
	for (guint i = 0; i < length; i++) {
		struct arrival *arrival = g_queue_pop_head(&arrivals->due);

		if (arrival->due_us > began || g_get_monotonic_time() > began + TURN_US) {
			g_queue_push_tail(&arrivals->due, arrival);
			continue;
		}
		if (show(arrivals, arrival) || ++arrival->tries >= G_N_ELEMENTS(SETTLE_SECONDS)) {
			g_hash_table_remove(arrivals->waiting, GINT_TO_POINTER(arrival->pid));
			continue;
		}
		settle(arrival);
		g_queue_push_tail(&arrivals->due, arrival);
	}
}

guint arrivals_waiting(const struct arrivals *arrivals)
{
	guint waiting = 0;

	for (const GList *each = arrivals->due.head; each; each = each->next)
		waiting += !((const struct arrival *)each->data)->tries;
	return waiting;
}
