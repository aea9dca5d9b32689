/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that have just come, by fork or exec: they are looked at once they have settled, for
 * most children of a program exec something else at once, and an interpreter needs some time until
 * it is mapped. Knows of every process followed who made it.
 */
#ifndef PYLEAK_CLI_ARRIVALS_H
#define PYLEAK_CLI_ARRIVALS_H

#include <stdbool.h>
#include <sys/types.h>
#include <glib.h>

#include "cli/options.h"
#include "trace/kernel_side.h"

struct arrivals;

struct arrivals_handler {
	/*
	 * @pid has settled; @parent made it (0: not known), @exec: it has called exec since. False:
	 * it is not yet what one waits for, and is to be shown again later, a few times.
	 */
	bool (*arrived)(void *context, pid_t pid, pid_t parent, bool exec);
	void (*left)(void *context, pid_t pid);
	void *context;
};

/*
 * NULL and @error as in lifecycle_events_new(). @handler is copied. Says, as @options allow, how
 * many processes were there for a second and ended before anybody was called for them.
 */
struct arrivals *arrivals_new(const struct kernel_side *kernel, const struct options *options,
			      const struct arrivals_handler *handler, GError **error);
void arrivals_free(struct arrivals *arrivals);

/* Shows children of @pid from now on, and theirs. False when too many are followed. */
bool arrivals_follow(struct arrivals *arrivals, pid_t pid);
/* Shows @pid as if it had just come: what was found by other means. */
void arrivals_expect(struct arrivals *arrivals, pid_t pid, pid_t parent);

/* Calls the handlers for all that is due. To be called every tenth of a second or so. */
void arrivals_handle(struct arrivals *arrivals);
/* How many have come and were not shown yet. */
guint arrivals_waiting(const struct arrivals *arrivals);

#endif
