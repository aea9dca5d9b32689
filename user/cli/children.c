// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/children.h"

#include "base/error.h"
#include "cli/arrivals.h"
#include "cli/say.h"
#include "proc/descendants.h"

/* Each has threads, links and tables of its own. */
enum { MAX_TRACED = 64 };

struct children {
	struct targets *targets;
	const struct options *options;
	struct arrivals *arrivals;
	GHashTable *named; /* pids that the user named: what they exec is not followed */
	bool said_crowded;
};

static void say_crowded(struct children *children, pid_t pid)
{
	if (!children->said_crowded)
		say(children->options, "%d processes are traced: child %d and later ones are not",
		    MAX_TRACED, pid);
	children->said_crowded = true;
}

/* Not Python, gone, or not to be traced: nothing that must stop the trace of the others. */
static bool is_to_be_tried_again(const struct children *children, const GError *error, pid_t pid)
{
	if (error->code != PYLEAK_ERROR_NO_TARGET)
		say_more(children->options, "child %d is not traced: %s", pid, error->message);
	return error->code == PYLEAK_ERROR_NO_TARGET;
}

static bool on_arrived(void *context, pid_t pid, pid_t parent, bool exec)
{
	struct children *children = context;
	g_autoptr(GError) error = NULL;
	struct traced_process *target;

	(void)exec;
	if (targets_find(children->targets, pid) ||
	    g_hash_table_contains(children->named, GINT_TO_POINTER(pid)))
		return true;
	if (targets_count(children->targets) >= MAX_TRACED) {
		say_crowded(children, pid);
		return true;
	}
	target = targets_add(children->targets, pid, parent, &error);
	if (!target)
		return !is_to_be_tried_again(children, error, pid);
	if (!targets_attach(children->targets, &error)) {
		targets_remove(children->targets, target);
		say_more(children->options, "child %d is not traced: %s", pid, error->message);
		return true;
	}
	say_more(children->options, "child %d of %d is traced", pid, parent);
	return true;
}

static void on_left(void *context, pid_t pid)
{
	struct children *children = context;

	g_hash_table_remove(children->named, GINT_TO_POINTER(pid));
}

struct children *children_new(struct kernel_side *kernel, struct targets *targets,
			      const struct options *options, GError **error)
{
	struct children *children = g_new0(struct children, 1);
	struct arrivals_handler handler = { on_arrived, on_left, children };

	children->targets = targets;
	children->options = options;
	children->named = g_hash_table_new(g_direct_hash, g_direct_equal);
	children->arrivals = arrivals_new(kernel, options, &handler, error);
	if (children->arrivals)
		return children;
	children_free(children);
	return NULL;
}

void children_free(struct children *children)
{
	if (!children)
		return;
	arrivals_free(children->arrivals);
	g_hash_table_unref(children->named);
	g_free(children);
}

void children_follow(struct children *children, pid_t pid)
{
	g_autoptr(GArray) descendants = NULL;

	g_hash_table_add(children->named, GINT_TO_POINTER(pid));
	if (!arrivals_follow(children->arrivals, pid))
		say(children->options, "children of %d are not followed: too many processes", pid);
	/* Those that come from now on are told; what was there before is looked for. */
	descendants = descendants_of(pid);
	for (guint i = 0; i < descendants->len; i++) {
		const struct descendant *each = &g_array_index(descendants, struct descendant, i);

		arrivals_follow(children->arrivals, each->pid);
		arrivals_expect(children->arrivals, each->pid, each->parent);
	}
}

void children_handle(struct children *children)
{
	arrivals_handle(children->arrivals);
}

bool children_expected(const struct children *children)
{
	return arrivals_waiting(children->arrivals);
}
