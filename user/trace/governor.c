// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/governor.h"

#include "base/clock.h"
#include "trace/budget.h"
#include "trace/window.h"

/* A window that stays open is looked after this often, or before its bucket can be empty: with the
 * bucket's cap that bounds what a sudden load can cost. */
static const double WATCH_NS = 4e6;
/* The same where nothing happened since the last look. */
static const double QUIET_WATCH_NS = 16e6, QUIET_MMAP_WATCH_NS = 64e6;
/* As a burst is, for a program traps for nothing once its money is gone. */
static const double BURST_WATCH_NS = 1e6;
/* Between looks at a bucket that is filling up: at least, and at most, for the target may be gone.
 */
static const double WAIT_NS = 20e6, LONGEST_WAIT_NS = 500e6;
/* How much more than a burst a bucket holds: room for the random part of the time between windows.
 */
static const double CAP_BURSTS = 1.5;
/*
 * So that the first seconds tell something, buckets begin with the first of these parts of what the
 * margin leaves of 10 seconds (budget_spare_ns()), and get the second once a window has closed: a
 * first window that wrongly seemed cheap shall not spend all of it.
 */
static const double FIRST_PARTS[FAMILY_COUNT] = { 0.2, 0.15, 0.1 };
static const double MORE_PARTS[FAMILY_COUNT] = { 0.4, 0.15, 0 };
/*
 * A window that stayed open for less than this before its money was gone was none to keep open,
 * whatever its burst had looked like: the next ones are bursts, for so long at first and at most.
 * Bursts begin at random, so what they see stands for all of the time; what is seen until the money
 * is gone only stands for itself.
 */
static const double SHORT_STAY_NS = 10e9, FIRST_PAUSE_NS = 5e9, LONGEST_PAUSE_NS = 60e9;
/* A bucket that holds this part of what it can lets a window stay open all the same: bursts do not
 * use up what comes in, and the rest would be lost. */
static const double FULL = 0.9;

/* A family, its thread and what that has learned. */
struct channel {
	struct governor *governor;
	GThread *thread;
	struct window window;
	double dearness;	  /* moving average of bursts: cost over what the budget gains */
	double window_cost_ns[2]; /* of bursts, moving averages: those that see everything, others
				   */
	bool closed_once;	  /* a window */
	double pause_ns;	  /* the last one without windows that stay open; 0: none lately */
	uint64_t stays_from_ns;	  /* windows may stay open again */
	uint64_t rests_until_ns;  /* no window opens sooner: see budget_rest_ns() */
};

struct governor {
	struct windows windows; /* its mutex is of budget and of the channels, too */
	struct budget budget;
	GCond stop_cond;
	bool stop, crowded;
	double own_part;  /* governor_set_own_part() */
	guint processors; /* GLib reads a file each time */
	struct channel channels[FAMILY_COUNT];
	GRand *random;
};

static struct target *record(const struct governor *governor)
{
	return traced_shared(governor->windows.traced);
}

static bool is_wanted(const struct governor *governor, enum family family)
{
	return traced_plan(governor->windows.traced)->sites[family];
}

/* Waits for @ns or until the governor is stopped. Called with the mutex held. Returns false when
 * stopped. */
static bool wait_ns(struct governor *governor, double ns)
{
	int64_t end = g_get_monotonic_time() + (int64_t)MAX(ns / 1000, 1);

	while (!governor->stop &&
	       g_cond_wait_until(&governor->stop_cond, &governor->windows.mutex, end))
		;
	return !governor->stop;
}

/* With the mutex held. */
static void fill_buckets(struct governor *governor)
{
	struct target *target = record(governor);
	int64_t left[FAMILY_COUNT], added[FAMILY_COUNT];
	uint32_t wanted = 0;

	for (int family = 0; family < FAMILY_COUNT; family++) {
		left[family] = __atomic_load_n(&target->budget_ns[family], __ATOMIC_RELAXED);
		wanted |= (uint32_t)is_wanted(governor, family) << family;
	}
	budget_fill(&governor->budget, clock_now_ns(), left, wanted, added);
	for (int family = 0; family < FAMILY_COUNT; family++)
		__atomic_fetch_add(&target->budget_ns[family], added[family], __ATOMIC_RELAXED);
	target->event_cost_ns = window_event_ns(&governor->windows);
}

/* A window that had stayed open since @since_ns ran dry. */
static void consider_pause(struct channel *channel, uint64_t since_ns)
{
	uint64_t now = clock_now_ns();

	if (now - since_ns >= SHORT_STAY_NS) {
		channel->pause_ns = 0;
		return;
	}
	channel->pause_ns = CLAMP(channel->pause_ns * 2, FIRST_PAUSE_NS, LONGEST_PAUSE_NS);
	channel->stays_from_ns = now + (uint64_t)channel->pause_ns;
}

/*
 * How long the window's bucket will last at the least, in ns: all of the time goes into tracing,
 * and what needs no GIL runs on every processor.
 */
static double sure_ns(const struct channel *channel)
{
	bool alone = channel->window.family == FAMILY_PYMALLOC;

	return window_bucket(&channel->window) / (alone ? 1 : channel->governor->processors);
}

/* Mappings are made by system calls, which cost more than their traps. */
static double quiet_watch_ns(enum family family)
{
	return family == FAMILY_MMAP ? QUIET_MMAP_WATCH_NS : QUIET_WATCH_NS;
}

/* Keeps the open window as long as it costs less than its bucket gains. */
static void stay_open(struct channel *channel)
{
	struct governor *governor = channel->governor;
	struct window *window = &channel->window;
	double watch_ns = WATCH_NS;
	uint64_t events, since = clock_now_ns();

	window_stay_open(window);
	events = record(governor)->events[window->family];
	while (!window_ran_dry(window) && !governor->crowded && !record(governor)->image_gone) {
		uint64_t before = events;

		watch_ns = MAX(watch_ns * governor->windows.options.calm, sure_ns(channel));
		if (!wait_ns(governor, watch_ns))
			return;
		window_spare_log(window);
		fill_buckets(governor);
		events = record(governor)->events[window->family];
		watch_ns = events == before ? quiet_watch_ns(window->family) : WATCH_NS;
	}
	if (window_ran_dry(window))
		consider_pause(channel, since);
}

/* Waits for the time of a burst, or until its money is gone. */
static void wait_burst(struct channel *channel, double ns)
{
	uint64_t end = clock_now_ns() + (uint64_t)ns;
	double left;

	while ((left = clock_left_ns(clock_now_ns(), end)) > 0 && !window_ran_dry(&channel->window))
		if (!wait_ns(channel->governor, MIN(left, MAX(BURST_WATCH_NS, sure_ns(channel)))))
			return;
}

/*
 * Whether a window whose burst cost @cost in @ns may stay open: that was less than the budget
 * gains, and bursts mostly were. A program that makes pauses between its allocations would use up
 * the budget in the first of them that comes after.
 */
static bool is_light(struct channel *channel, double cost, double ns)
{
	double dearness =
		cost /
		MAX(ns * channel->governor->budget.share * channel->governor->budget.scale, 1);

	channel->dearness = (channel->dearness + dearness) / 2;
	return !window_ran_dry(&channel->window) && dearness <= 1 && channel->dearness <= 1;
}

static void close_window(struct channel *channel)
{
	struct governor *governor = channel->governor;
	enum family family = channel->window.family;
	double more = MORE_PARTS[family] * budget_spare_ns(&governor->budget);

	window_close(&channel->window);
	if (channel->closed_once)
		return;
	channel->closed_once = true;
	__atomic_fetch_add(&record(governor)->budget_ns[family],
			   (int64_t)MIN(more, governor->budget.cap_ns), __ATOMIC_RELAXED);
}

/* The burst of an open window. Returns how long it was held, in ns. */
static double hold(struct channel *channel)
{
	double ns = window_hold_ns(&channel->window);

	if (ns > WINDOW_PREPARE_NS)
		wait_burst(channel, ns - WINDOW_PREPARE_NS);
	window_prepare_close(&channel->window);
	wait_burst(channel, MIN(ns, WINDOW_PREPARE_NS));
	return ns;
}

/* Whether the window, whose burst is over and which held @before ns, may stay open. */
static bool may_stay_open(struct channel *channel, double before, double held_ns)
{
	struct window *window = &channel->window;
	bool full = before >= FULL * channel->governor->budget.cap_ns;

	/* What was seen of one size class says nothing of all. */
	if (window_is_focused(window))
		return false;
	/* Seen through some of the sites to be light: next time all of them, for good. */
	window->light = is_light(channel, before - window_bucket(window), held_ns);
	return !channel->governor->stop && window->light && window->fraction == 1 &&
	       (full || clock_now_ns() >= channel->stays_from_ns);
}

static double *usual_cost(struct channel *channel)
{
	return &channel->window_cost_ns[window_is_focused(&channel->window)];
}

static void run_window(struct channel *channel)
{
	struct window *window = &channel->window;
	double before, spent = window->spent_ns, held_ns;

	if (!window_open(window)) {
		window->seen.always = false;
		/* The process is going, or the kernel is short of something: try again later. */
		wait_ns(channel->governor, 1e9);
		return;
	}
	before = window_bucket(window);
	held_ns = hold(channel);
	if (may_stay_open(channel, before, held_ns)) {
		stay_open(channel);
		close_window(channel);
		return;
	}
	close_window(channel);
	*usual_cost(channel) = (*usual_cost(channel) + window->spent_ns - spent) / 2;
}

/*
 * What the bucket must hold for the next window: the cost of one as they have been and up to as
 * much again, by chance, so that windows are independent of whatever period the program has.
 */
static double next_threshold(struct channel *channel)
{
	double wanted = *usual_cost(channel) * (1 + g_rand_double(channel->governor->random));

	return MIN(wanted, channel->governor->budget.cap_ns * 0.95);
}

/* From the opening of one window to the next at least. At random for the same reason. */
static double rest_ns(struct channel *channel)
{
	struct governor *governor = channel->governor;

	return budget_rest_ns(channel->window.family, channel->window.own_ns / governor->own_part,
			      governor->windows.options.overhead_pct,
			      g_rand_double(governor->random));
}

/* Until the bucket holds @threshold at the soonest: if all of the budget went into it. */
static double filling_ns(const struct channel *channel, double threshold)
{
	const struct budget *budget = &channel->governor->budget;
	double missing = threshold - window_bucket(&channel->window);

	return CLAMP(missing / MAX(budget->share * budget->scale, 1e-6), WAIT_NS, LONGEST_WAIT_NS);
}

static void *run_channel(void *data)
{
	struct channel *channel = data;
	struct governor *governor = channel->governor;
	double threshold = 0, rest;

	window_go_first();
	g_mutex_lock(&governor->windows.mutex);
	while (!governor->stop && !record(governor)->image_gone) {
		fill_buckets(governor);
		rest = clock_left_ns(clock_now_ns(), channel->rests_until_ns);
		if (window_bucket(&channel->window) < threshold || rest > 0) {
			wait_ns(governor,
				MIN(MAX(filling_ns(channel, threshold), rest), LONGEST_WAIT_NS) *
					governor->windows.options.calm);
			continue;
		}
		run_window(channel);
		channel->rests_until_ns = channel->window.opened_ns + (uint64_t)rest_ns(channel);
		window_draw(&channel->window);
		threshold = next_threshold(channel);
	}
	g_mutex_unlock(&governor->windows.mutex);
	return NULL;
}

struct governor *governor_new(struct traced *traced, const struct governor_options *options)
{
	struct governor *governor = g_new0(struct governor, 1);

	governor->windows.traced = traced;
	governor->windows.budget = &governor->budget;
	governor->windows.options = *options;
	governor->own_part = 1;
	governor->random = g_rand_new();
	governor->processors = g_get_num_processors();
	g_mutex_init(&governor->windows.mutex);
	g_cond_init(&governor->stop_cond);
	for (int family = 0; family < FAMILY_COUNT; family++) {
		governor->channels[family].governor = governor;
		window_init(&governor->channels[family].window, &governor->windows, family);
	}
	return governor;
}

void governor_start(struct governor *governor, double pressure_pct, burst_handler handler,
		    void *context)
{
	static const char *const names[FAMILY_COUNT] = { "pymalloc", "malloc", "mmap" };
	struct target *target = record(governor);
	double burst_ns = governor->windows.options.burst_ms * 1e6;

	governor->windows.handler = handler;
	governor->windows.handler_context = context;
	/* A burst's worth: what one window, or one surprise, may cost. */
	budget_init(&governor->budget, governor->windows.options.overhead_pct,
		    CAP_BURSTS * burst_ns, clock_now_ns());
	budget_set_pressure(&governor->budget, pressure_pct);
	for (int family = 0; family < FAMILY_COUNT; family++)
		target->budget_ns[family] =
			MIN(FIRST_PARTS[family] * budget_spare_ns(&governor->budget),
			    governor->budget.cap_ns);
	target->event_cost_ns = window_event_ns(&governor->windows);
	__atomic_store_n(&target->limited, 1, __ATOMIC_RELEASE);
	for (int family = 0; family < FAMILY_COUNT; family++)
		if (is_wanted(governor, family))
			governor->channels[family].thread = g_thread_new(
				names[family], run_channel, &governor->channels[family]);
}

void governor_free(struct governor *governor)
{
	if (!governor)
		return;
	g_mutex_lock(&governor->windows.mutex);
	governor->stop = true;
	g_cond_broadcast(&governor->stop_cond);
	g_mutex_unlock(&governor->windows.mutex);
	for (int family = 0; family < FAMILY_COUNT; family++)
		if (governor->channels[family].thread)
			g_thread_join(governor->channels[family].thread);
	for (int family = 0; family < FAMILY_COUNT; family++)
		window_clear(&governor->channels[family].window);
	g_mutex_clear(&governor->windows.mutex);
	g_cond_clear(&governor->stop_cond);
	g_rand_free(governor->random);
	g_free(governor);
}

void governor_observe(struct governor *governor, enum family family,
		      struct observation *observation)
{
	struct window *window = &governor->channels[family].window;

	g_mutex_lock(&governor->windows.mutex);
	window_account(window);
	*observation = window->seen;
	g_mutex_unlock(&governor->windows.mutex);
}

double governor_set_pressure(struct governor *governor, double percent)
{
	double scale;

	g_mutex_lock(&governor->windows.mutex);
	budget_set_pressure(&governor->budget, percent);
	scale = governor->budget.scale;
	g_mutex_unlock(&governor->windows.mutex);
	return scale;
}

void governor_set_growth(struct governor *governor, double pymalloc_bytes, double malloc_bytes)
{
	g_mutex_lock(&governor->windows.mutex);
	budget_set_growth(&governor->budget, pymalloc_bytes, malloc_bytes);
	g_mutex_unlock(&governor->windows.mutex);
}

void governor_set_class_growth(struct governor *governor, const int64_t bytes[FOCUS_CLASSES])
{
	struct focus *focus = governor->channels[FAMILY_PYMALLOC].window.focus;

	g_mutex_lock(&governor->windows.mutex);
	if (focus)
		focus_set_growth(focus, bytes);
	g_mutex_unlock(&governor->windows.mutex);
}

void governor_set_crowded(struct governor *governor, bool crowded)
{
	g_mutex_lock(&governor->windows.mutex);
	governor->crowded = crowded;
	g_mutex_unlock(&governor->windows.mutex);
}

void governor_set_own_part(struct governor *governor, double part)
{
	g_mutex_lock(&governor->windows.mutex);
	governor->own_part = CLAMP(part, 1e-3, 1);
	g_mutex_unlock(&governor->windows.mutex);
}

void governor_set_overhead(struct governor *governor, double overhead_pct)
{
	g_mutex_lock(&governor->windows.mutex);
	fill_buckets(governor);
	budget_set_overhead(&governor->budget,
			    MIN(overhead_pct, governor->windows.options.overhead_pct));
	g_mutex_unlock(&governor->windows.mutex);
}

double governor_spent_ns(struct governor *governor)
{
	double spent = 0;

	g_mutex_lock(&governor->windows.mutex);
	for (int family = 0; family < FAMILY_COUNT; family++) {
		window_account(&governor->channels[family].window);
		spent += governor->channels[family].window.spent_ns;
	}
	g_mutex_unlock(&governor->windows.mutex);
	return spent;
}
