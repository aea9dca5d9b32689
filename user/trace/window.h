/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The windows of one family of a target, one at a time: armed, accounted for and closed again. When
 * that is to be is the governor's business (trace/governor.h). A window begins as a burst; one that
 * turns out to be cheap may stay open. Every function is called with the mutex held.
 */
#ifndef PYLEAK_TRACE_WINDOW_H
#define PYLEAK_TRACE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "trace/governor.h"
#include "trace/tracer.h"

/* What the windows of a target have in common. */
struct windows {
	struct traced *traced; /* borrowed */
	struct governor_options options;
	GMutex mutex;
	burst_handler handler; /* may be NULL */
	void *handler_context;
	const struct budget *budget; /* borrowed */
};

enum { WINDOW_PREPARE_NS = 10000000 };

struct window {
	struct windows *common;
	enum family family;
	bool open;
	bool burst;		  /* has not been found cheap enough to stay open */
	bool light;		  /* the last one could have stayed open */
	struct focus *focus;	  /* NULL: windows see everything */
	struct focus_view view;	  /* what this window, or the next, sees; see window_draw() */
	bool drawn;		  /* by @focus */
	double fraction;	  /* of the sites that are armed */
	uint64_t opened_ns;	  /* began to open */
	uint64_t counted_from_ns; /* what follows has not been added to @seen yet */
	uint64_t cpu_before_ns;	  /* the target's processor time then */
	uint64_t events_before;	  /* the same, of target->events */
	uint64_t skipped_before;  /* of target->skipped_events */
	uint64_t sent_before_ns;  /* of target->sent_ns */
	uint64_t idle_charged;	  /* of target->idle_traps */
	uint32_t log;		  /* of its births; 0: it has none */
	uint32_t handed_over;	  /* births of it that the handler has been told of */
	double burst_cpu_ns, burst_cost_ns, births, births_kept; /* sums over all bursts */
	double arming_ns;					 /* moving average, all sites */
	double own_ns;		 /* pyleak's processor time for opening and closing the last one */
	double spent_ns;	 /* what all windows so far have cost the target */
	struct observation seen; /* up to @counted_from_ns */
};

void window_init(struct window *window, struct windows *common, enum family family);
/* Frees what it holds. */
void window_clear(struct window *window);

/* Decides by lot what the next window sees. */
void window_draw(struct window *window);
/* Whether this window, or the next, sees only a size class. */
bool window_is_focused(const struct window *window);

/* Of the target's record; a counted event costs its trap and the run of the program. */
double window_event_ns(const struct windows *common);

/* ns that the family's bucket holds. */
double window_bucket(const struct window *window);

/* Arms the family. False where the process is going or the kernel is short of something. Drops the
 * mutex meanwhile. */
bool window_open(struct window *window);
/* For how many ns a burst may be held once it is open. */
double window_hold_ns(const struct window *window);
/* Closing will be quicker if that is called WINDOW_PREPARE_NS before. */
void window_prepare_close(struct window *window);
/* Whether the money is gone: the kernel side has stopped counting. */
bool window_ran_dry(const struct window *window);
/* The burst is over, and the window does not close. Drops the mutex meanwhile. */
void window_stay_open(struct window *window);
/* Gives up its log of births where logs are short, at the second call. */
void window_spare_log(struct window *window);
/* Removes the probes and hands over the births. Drops the mutex meanwhile. */
void window_close(struct window *window);

/* Adds to @window->seen what an open window that is no burst has seen so far. */
void window_account(struct window *window);

/* Lets the calling thread, which arms or disarms, go first. */
void window_go_first(void);

#endif
