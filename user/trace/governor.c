// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/governor.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "trace/budget.h"

/* A window that stays open is looked after this often: with the bucket's cap it bounds what a
 * sudden load can cost. */
static const double WATCH_NS = 4e6;
/* The same where nothing happened since the last look. */
static const double QUIET_WATCH_NS = 16e6;
/* As a burst is, for what it sees must be set against the time that it had money. */
static const double BURST_WATCH_NS = 1e6;
/* Between looks at a bucket that is filling up: at least, and at most, for the target may be gone.
 */
static const double WAIT_NS = 20e6, LONGEST_WAIT_NS = 500e6;
/* How much more than a burst a bucket holds: room for the random part of the time between windows.
 */
static const double CAP_BURSTS = 1.5;
/* First guesses, replaced by what is measured: how long arming takes, and until the last breakpoint
 * is gone. */
static const double ARMING_NS = 10e6;
static const double CLOSING_NS = 4e6;
/* Of the births of a burst, those that were at least some time ago when it ended. */
static const double KEPT_BIRTHS = 0.7;
/* Shorter windows see too little for what they cost. */
static const double SHORTEST_HOLD_NS = 2e6;
/* An event that does not count: the trap and the first lines of the program. */
static const double IDLE_PROGRAM_NS = 60;
/*
 * What arming and removing a site costs the target beside the traps: its mmap lock is taken, a page
 * copied and put back, TLBs flushed. Measured as the lost throughput of a loop whose sites are
 * armed and removed at once, 6 times a second (make bench).
 */
static const double SITE_NS = 20e3;
/* Of the threads that arm and disarm; they use little time. */
static const int ARMING_NICE = -15;
/* A counted event's program, before it has been timed. */
static const double PROGRAM_NS = 500;

struct channel {
	struct governor *governor;
	enum family family;
	GThread *thread, *remover;
	bool open;
	uint64_t counted_from_ns; /* of the open window */
	uint64_t cpu_before_ns;	  /* the target's processor time then */
	uint64_t events_before;	  /* when it opened */
	uint64_t sent_before_ns;  /* the same, of target->sent_ns */
	double fraction;	  /* of the sites that are armed */
	bool light;		  /* the last window could have stayed open */
	double dearness;	  /* moving average of bursts: cost over what the budget gains */
	bool burst;		  /* the open window has not been found cheap enough to stay open */
	uint32_t log;		  /* of its births */
	uint32_t handed_over;	  /* births of it that the handler has been told of */
	double burst_cpu_ns, burst_cost_ns, births, births_kept; /* sums over all bursts */
	double arming_ns;					 /* moving average, all sites */
	double window_cost_ns;					 /* moving average */
	struct observation seen;				 /* without the open window */
};

struct governor {
	struct traced *traced;
	struct governor_options options;
	struct budget budget;
	GMutex mutex; /* of budget and of what governor_observe() reads */
	GCond stop_cond;
	bool stop, crowded;
	struct channel channels[FAMILY_COUNT];
	GRand *random;
	burst_handler handler;
	void *handler_context;
	double spent_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static struct target *record(const struct governor *governor)
{
	return traced_shared(governor->traced);
}

/* Processor time of all threads of the target so far; 0 where it cannot be told. */
static uint64_t cpu_ns(const struct governor *governor)
{
	clockid_t clock;
	struct timespec time;

	if (clock_getcpuclockid(record(governor)->tgid, &clock) || clock_gettime(clock, &time))
		return 0;
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static bool is_wanted(const struct governor *governor, enum family family)
{
	return traced_plan(governor->traced)->sites[family];
}

/* Waits for @ns or until the governor is stopped. Called with the mutex held. Returns false when
 * stopped. */
static bool wait_ns(struct governor *governor, double ns)
{
	int64_t end = g_get_monotonic_time() + (int64_t)MAX(ns / 1000, 1);

	while (!governor->stop && g_cond_wait_until(&governor->stop_cond, &governor->mutex, end))
		;
	return !governor->stop;
}

static double program_ns(const struct target *target)
{
	return target->timed_events ? (double)target->timed_ns / target->timed_events : PROGRAM_NS;
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
	budget_fill(&governor->budget, now_ns(), left, wanted, added);
	for (int family = 0; family < FAMILY_COUNT; family++)
		__atomic_fetch_add(&target->budget_ns[family], added[family], __ATOMIC_RELAXED);
	target->event_cost_ns = governor->options.trap_ns + program_ns(target);
}

static double bucket(const struct channel *channel)
{
	return __atomic_load_n(&record(channel->governor)->budget_ns[channel->family],
			       __ATOMIC_RELAXED);
}

/* Takes from the bucket what the kernel side does not: traps that do not count. */
static void charge(struct channel *channel, double ns)
{
	__atomic_fetch_sub(&record(channel->governor)->budget_ns[channel->family], (int64_t)ns,
			   __ATOMIC_RELAXED);
	channel->governor->spent_ns += ns;
}

static double burst_ns(const struct governor *governor)
{
	return governor->options.burst_ms * 1e6;
}

/* How many of the sites can be armed so that arming leaves some time of a burst. */
static double arming_fraction(const struct channel *channel)
{
	double room = burst_ns(channel->governor) - CLOSING_NS - SHORTEST_HOLD_NS;

	if (channel->family != FAMILY_PYMALLOC || channel->light)
		return 1;
	return CLAMP(room / channel->arming_ns, 0.02, 1);
}

static double hold_ns(const struct channel *channel, double arming_ns)
{
	return MAX(burst_ns(channel->governor) - CLOSING_NS - arming_ns, SHORTEST_HOLD_NS);
}

/*
 * Adds the part of the open window up to now to what was seen, and begins the next part. @kept:
 * which part of its births count as observed. Returns what it added to observed_ns.
 */
static double account_window(struct channel *channel, double kept)
{
	struct governor *governor = channel->governor;
	struct target *target = record(governor);
	uint64_t now = now_ns(), events = target->events[channel->family];
	uint64_t sent_ns = target->sent_ns[channel->family];
	uint64_t dried = target->dried_ns[channel->family];
	uint64_t until = dried ? CLAMP(dried, channel->counted_from_ns, now) : now;
	double cpu = cpu_ns(governor), ran = MAX(cpu - channel->cpu_before_ns, 0), seen;
	double cost = (events - channel->events_before) *
			      (governor->options.trap_ns + program_ns(target)) +
		      (sent_ns - channel->sent_before_ns);

	/*
	 * Tracing stretches what the target does by the part that it takes of its processor time.
	 * That is known to some percent: of a window that was nearly all cost, a tenth is taken as
	 * the target's own.
	 */
	seen = until - channel->counted_from_ns;
	if (cost > 0)
		seen *= MAX(1 - cost / MAX(ran, cost), 0.1);
	seen *= channel->fraction * kept;
	channel->seen.observed_ns += seen;
	governor->spent_ns += cost;
	if (!channel->burst) {
		channel->seen.whole_ns += seen;
	} else {
		channel->burst_cpu_ns += ran;
		channel->burst_cost_ns += cost;
		channel->seen.own_share =
			1 - channel->burst_cost_ns /
				    MAX(channel->burst_cpu_ns, MAX(channel->burst_cost_ns, 1));
	}
	channel->counted_from_ns = now;
	channel->cpu_before_ns = cpu;
	channel->events_before = events;
	channel->sent_before_ns = sent_ns;
	return seen;
}

/* In ns of the target's time; never more than the @took ns that arming took and removing will. */
static double arming_cost(const struct channel *channel, uint64_t traps, double took)
{
	const struct governor *governor = channel->governor;
	double sites = traced_plan(governor->traced)->sites[channel->family] * channel->fraction;

	return MIN(traps * (governor->options.trap_ns + IDLE_PROGRAM_NS) + sites * SITE_NS,
		   took + CLOSING_NS);
}

/* Drops the mutex while it waits for the kernel. */
static bool open_window(struct channel *channel)
{
	struct governor *governor = channel->governor;
	struct target *target = record(governor);
	uint64_t began = now_ns(), idle = target->idle_traps;
	double took;
	bool armed;

	channel->log = kernel_side_acquire_birth_log(traced_kernel(governor->traced));
	if (!channel->log)
		return false;
	target->dried_ns[channel->family] = 0;
	target->birth_count[channel->family] = 0;
	channel->handed_over = 0;
	target->birth_ring[channel->family] = 0;
	target->birth_log[channel->family] = channel->log;
	channel->fraction = arming_fraction(channel);
	g_mutex_unlock(&governor->mutex);
	armed = traced_arm(governor->traced, 1u << channel->family, channel->fraction, NULL);
	g_mutex_lock(&governor->mutex);
	took = now_ns() - began;
	if (!armed) {
		kernel_side_release_birth_log(traced_kernel(governor->traced), channel->log);
		return false;
	}
	channel->arming_ns = (channel->arming_ns + took / channel->fraction) / 2;
	charge(channel, arming_cost(channel, target->idle_traps - idle, took));
	channel->open = true;
	channel->burst = true;
	channel->seen.windows++;
	channel->counted_from_ns = now_ns();
	channel->cpu_before_ns = cpu_ns(governor);
	channel->events_before = target->events[channel->family];
	channel->sent_before_ns = target->sent_ns[channel->family];
	return true;
}

/*
 * While sites are being armed the target traps and nothing counts: on a busy host that must not
 * wait for a turn. Where the right to it (CAP_SYS_NICE) is missing all stays as it is.
 */
static void go_first(void)
{
	setpriority(PRIO_PROCESS, gettid(), ARMING_NICE);
}

static void *remove_probes(void *data)
{
	struct channel *channel = data;

	go_first();
	traced_disarm(channel->governor->traced, 1u << channel->family);
	return NULL;
}

/* How many of a burst's births count: not the last ones, and no more than were logged. */
static uint32_t births_kept(uint32_t births)
{
	return MIN((uint32_t)(births * KEPT_BIRTHS), PYLEAK_BIRTHS);
}

/* Those from the @from-th on, as far as the log still has them. Without the mutex. */
static void hand_over_births(const struct channel *channel, uint32_t from, uint32_t births,
			     uint32_t kept, double window_ns)
{
	const struct governor *governor = channel->governor;
	const struct birth *log;
	g_autofree struct birth *in_order = NULL;
	uint32_t count, first;

	if (!governor->handler || !channel->log)
		return;
	log = kernel_side_births(traced_kernel(governor->traced), channel->log);
	if (channel->burst) {
		governor->handler(governor->handler_context, channel->family, log,
				  MIN(births, PYLEAK_BIRTHS), kept, window_ns);
		return;
	}
	count = MIN(births - from, PYLEAK_BIRTHS);
	first = (births - count) % PYLEAK_BIRTHS;
	in_order = g_new(struct birth, count + 1);
	for (uint32_t i = 0; i < count; i++)
		in_order[i] = log[(first + i) % PYLEAK_BIRTHS];
	governor->handler(governor->handler_context, channel->family, in_order, count, count, 0);
}

/* The burst is over, whether the window closes or stays open. Returns what it saw; @kept: births
 * that count. */
static double end_burst(struct channel *channel, uint32_t births, uint32_t *kept)
{
	*kept = births_kept(births);
	channel->births += births;
	channel->births_kept += *kept;
	channel->seen.kept_share = channel->births ? channel->births_kept / channel->births : 1;
	return account_window(channel, births ? (double)*kept / births : 1);
}

static void close_window(struct channel *channel, uint64_t opened_ns)
{
	struct governor *governor = channel->governor;
	struct kernel_side *kernel = traced_kernel(governor->traced);
	struct target *target = record(governor);
	uint32_t births, kept = 0;
	double window_ns = 0;

	traced_stop_counting(governor->traced, 1u << channel->family);
	births = target->birth_count[channel->family];
	if (channel->burst)
		window_ns = end_burst(channel, births, &kept);
	else
		account_window(channel, 1);
	channel->seen.longest_ms =
		MAX(channel->seen.longest_ms,
		    channel->burst ? (channel->counted_from_ns - opened_ns + CLOSING_NS) / 1e6 : 0);
	channel->open = false;
	channel->seen.always = false;
	if (!channel->burst)
		channel->seen.whole_until_ns = channel->counted_from_ns;
	g_mutex_unlock(&governor->mutex);
	/* At once, while the probes are being removed: places of temporaries are soon taken by
	 * others. */
	channel->remover = g_thread_new("disarm", remove_probes, channel);
	hand_over_births(channel, channel->handed_over, births, kept, window_ns);
	g_thread_join(channel->remover);
	target->birth_log[channel->family] = 0;
	kernel_side_release_birth_log(kernel, channel->log);
	g_mutex_lock(&governor->mutex);
}

static bool ran_dry(const struct channel *channel)
{
	return !(record(channel->governor)->armed & 1u << channel->family);
}

/*
 * Windows that stay open may be many, logs are few. One in four is left to those that open; without
 * its log, a window's last births are no survivors once it has closed.
 */
static void give_up_log(struct channel *channel)
{
	struct kernel_side *kernel = traced_kernel(channel->governor->traced);

	/* The second time: by then no event writes to it any more. */
	if (channel->log && !record(channel->governor)->birth_log[channel->family]) {
		kernel_side_release_birth_log(kernel, channel->log);
		channel->log = 0;
	} else if (kernel_side_free_birth_logs(kernel) < PYLEAK_BIRTH_LOGS / 4) {
		record(channel->governor)->birth_log[channel->family] = 0;
	}
}

/* Keeps the open window as long as it costs less than its bucket gains. */
static bool stay_open(struct channel *channel)
{
	struct governor *governor = channel->governor;
	double window_ns, watch_ns = WATCH_NS;
	uint64_t events;
	uint32_t kept;

	channel->handed_over = record(governor)->birth_count[channel->family];
	window_ns = end_burst(channel, channel->handed_over, &kept);
	/* Survivors of a long window are looked at while it is open: only the last births matter.
	 */
	record(governor)->birth_ring[channel->family] = 1;
	g_mutex_unlock(&governor->mutex);
	hand_over_births(channel, 0, channel->handed_over, kept, window_ns);
	g_mutex_lock(&governor->mutex);
	channel->burst = false;
	channel->seen.whole_since_ns = channel->counted_from_ns;
	channel->seen.whole_until_ns = UINT64_MAX;
	events = record(governor)->events[channel->family];
	while (!ran_dry(channel) && !governor->crowded && !record(governor)->image_gone) {
		uint64_t before = events;

		if (!wait_ns(governor, watch_ns * governor->options.calm))
			return false;
		give_up_log(channel);
		fill_buckets(governor);
		events = record(governor)->events[channel->family];
		watch_ns = events == before ? QUIET_WATCH_NS : WATCH_NS;
	}
	return true;
}

/* Waits for the time of a burst, or until its money is gone. */
static void wait_burst(struct channel *channel, double ns)
{
	uint64_t end = now_ns() + (uint64_t)ns;

	while (now_ns() < end && !ran_dry(channel))
		if (!wait_ns(channel->governor, MIN(end - now_ns(), BURST_WATCH_NS)))
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
	return !ran_dry(channel) && dearness <= 1 && channel->dearness <= 1;
}

static void run_window(struct channel *channel)
{
	struct governor *governor = channel->governor;
	uint64_t opened = now_ns();
	double before, cost = bucket(channel), hold;

	if (!open_window(channel)) {
		channel->seen.always = false;
		/* The process is going, or the kernel is short of something: try again later. */
		wait_ns(governor, 1e9);
		return;
	}
	hold = hold_ns(channel, now_ns() - opened);
	before = bucket(channel);
	wait_burst(channel, hold);
	/* Seen through some of the sites to be light: next time all of them, for good. */
	channel->light = is_light(channel, before - bucket(channel), hold);
	if (!governor->stop && channel->light && channel->fraction == 1)
		stay_open(channel);
	cost -= bucket(channel);
	channel->window_cost_ns = (channel->window_cost_ns + MAX(cost, 0)) / 2;
	close_window(channel, opened);
}

/*
 * What the bucket must hold for the next window: the cost of one as they have been and up to as
 * much again, by chance, so that windows are independent of whatever period the program has.
 */
static double next_threshold(struct channel *channel)
{
	double wanted = channel->window_cost_ns * (1 + g_rand_double(channel->governor->random));

	return MIN(wanted, channel->governor->budget.cap_ns * 0.95);
}

/* Until the bucket holds @threshold at the soonest: if all of the budget went into it. */
static double filling_ns(const struct channel *channel, double threshold)
{
	const struct budget *budget = &channel->governor->budget;
	double missing = threshold - bucket(channel);

	return CLAMP(missing / MAX(budget->share * budget->scale, 1e-6), WAIT_NS, LONGEST_WAIT_NS);
}

static void *run_channel(void *data)
{
	struct channel *channel = data;
	struct governor *governor = channel->governor;
	double threshold = 0;

	go_first();
	g_mutex_lock(&governor->mutex);
	while (!governor->stop && !record(governor)->image_gone) {
		fill_buckets(governor);
		if (bucket(channel) < threshold) {
			wait_ns(governor, filling_ns(channel, threshold) * governor->options.calm);
			continue;
		}
		run_window(channel);
		threshold = next_threshold(channel);
	}
	g_mutex_unlock(&governor->mutex);
	return NULL;
}

struct governor *governor_new(struct traced *traced, const struct governor_options *options)
{
	struct governor *governor = g_new0(struct governor, 1);

	governor->traced = traced;
	governor->options = *options;
	governor->random = g_rand_new();
	g_mutex_init(&governor->mutex);
	g_cond_init(&governor->stop_cond);
	for (int family = 0; family < FAMILY_COUNT; family++) {
		struct channel *channel = &governor->channels[family];

		channel->governor = governor;
		channel->family = family;
		channel->arming_ns = ARMING_NS;
		channel->seen.always = is_wanted(governor, family);
		channel->seen.own_share = 1;
		channel->seen.kept_share = 1;
	}
	return governor;
}

void governor_start(struct governor *governor, burst_handler handler, void *context)
{
	static const char *const names[FAMILY_COUNT] = { "pymalloc", "malloc", "mmap" };
	struct target *target = record(governor);

	governor->handler = handler;
	governor->handler_context = context;
	/* A burst's worth: what one window, or one surprise, may cost. */
	budget_init(&governor->budget, governor->options.overhead_pct,
		    CAP_BURSTS * burst_ns(governor), now_ns());
	for (int family = 0; family < FAMILY_COUNT; family++)
		target->budget_ns[family] = burst_ns(governor);
	target->event_cost_ns = governor->options.trap_ns + PROGRAM_NS;
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
	g_mutex_lock(&governor->mutex);
	governor->stop = true;
	g_cond_broadcast(&governor->stop_cond);
	g_mutex_unlock(&governor->mutex);
	for (int family = 0; family < FAMILY_COUNT; family++)
		if (governor->channels[family].thread)
			g_thread_join(governor->channels[family].thread);
	g_mutex_clear(&governor->mutex);
	g_cond_clear(&governor->stop_cond);
	g_rand_free(governor->random);
	g_free(governor);
}

void governor_observe(struct governor *governor, enum family family,
		      struct observation *observation)
{
	struct channel *channel = &governor->channels[family];

	g_mutex_lock(&governor->mutex);
	if (channel->open && !channel->burst)
		account_window(channel, 1);
	*observation = channel->seen;
	g_mutex_unlock(&governor->mutex);
}

double governor_set_pressure(struct governor *governor, double percent)
{
	double scale;

	g_mutex_lock(&governor->mutex);
	budget_set_pressure(&governor->budget, percent);
	scale = governor->budget.scale;
	g_mutex_unlock(&governor->mutex);
	return scale;
}

void governor_set_crowded(struct governor *governor, bool crowded)
{
	g_mutex_lock(&governor->mutex);
	governor->crowded = crowded;
	g_mutex_unlock(&governor->mutex);
}

void governor_set_overhead(struct governor *governor, double overhead_pct)
{
	g_mutex_lock(&governor->mutex);
	fill_buckets(governor);
	budget_set_overhead(&governor->budget, MIN(overhead_pct, governor->options.overhead_pct));
	g_mutex_unlock(&governor->mutex);
}

double governor_spent_ns(struct governor *governor)
{
	double spent;

	g_mutex_lock(&governor->mutex);
	for (int family = 0; family < FAMILY_COUNT; family++)
		if (governor->channels[family].open && !governor->channels[family].burst)
			account_window(&governor->channels[family], 1);
	spent = governor->spent_ns;
	g_mutex_unlock(&governor->mutex);
	return spent;
}
