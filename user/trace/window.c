// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/window.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "trace/budget.h"
#include "trace/burst.h"

/* First guesses, replaced by what is measured: how long arming takes, and until the last breakpoint
 * is gone. */
static const double ARMING_NS = 10e6;
static const double CLOSING_NS = 4e6;
/* And what arming and removing a site takes of pyleak's time. */
static const double OWN_SITE_NS = 20e3;
/* Shorter windows see too little for what they cost. */
static const double SHORTEST_HOLD_NS = 2e6;
/* An event that does not count: the trap and the first lines of the program. */
static const double IDLE_PROGRAM_NS = 60;
/*
 * What arming and removing a site costs the target beside the traps: its mmap lock is taken, a page
 * copied and put back, TLBs flushed, and the processor beside it is busy. Measured as the lost
 * throughput of a loop without allocations whose 184 sites were armed and removed at once, 11 times
 * a second, against phases without, in turn: 5 us in the median of 12, 10 on average.
 */
static const double SITE_NS = 10e3;
/*
 * What an event takes of the target's time over what is measured of it: the trap among code and
 * data that the caches hold, and the program. With --exact the lost throughput is 1.15 (churn) to
 * 1.4 (json_service) times that (overhead.py --pyleak-args --exact).
 */
static const double BEYOND_COUNTERS = 1.2;
/* Of the threads that arm and disarm; they use little time. */
static const int ARMING_NICE = -10;
/* A counted event's program, before it has been timed; and that of one that is skipped. */
static const double PROGRAM_NS = 500, SKIPPED_PROGRAM_NS = 250;

static struct target *record(const struct window *window)
{
	return traced_shared(window->common->traced);
}

/* Processor time of all threads of the target so far; 0 where it cannot be told. */
static uint64_t cpu_ns(const struct window *window)
{
	clockid_t clock;

	return clock_getcpuclockid(record(window)->tgid, &clock) ? 0 : clock_ns(clock);
}

static const int *site_classes(const struct probe_plan *plan)
{
	return plan->classes ? (const int *)plan->classes->data : NULL;
}

void window_init(struct window *window, struct windows *common, enum family family)
{
	window->common = common;
	window->family = family;
	window->arming_ns = ARMING_NS;
	window->own_ns = traced_plan(common->traced)->sites[family] * OWN_SITE_NS;
	if (family == FAMILY_PYMALLOC && window->own_ns > 0)
		window->focus = focus_new(traced_plan(common->traced)->sites[family],
					  site_classes(traced_plan(common->traced)),
					  record(window)->layout.pool_alignment);
	window->seen.always = traced_plan(common->traced)->sites[family];
	window->seen.own_share = 1;
	window->seen.kept_share = 1;
	window_draw(window);
}

void window_clear(struct window *window)
{
	focus_free(window->focus);
}

void window_draw(struct window *window)
{
	window->view = (struct focus_view){
		.armed = traced_plan(window->common->traced)->sites[window->family],
		.length = 1,
	};
	/* What may stay open shall see everything. */
	window->drawn = window->focus && !window->light;
	if (window->drawn)
		focus_draw(window->focus, g_random_double(), &window->view);
}

bool window_is_focused(const struct window *window)
{
	return window->view.skipped_classes;
}

double window_event_ns(const struct windows *common)
{
	const struct target *target = traced_shared(common->traced);
	double program =
		target->timed_events ? (double)target->timed_ns / target->timed_events : PROGRAM_NS;

	return BEYOND_COUNTERS * (common->options.trap_ns + program);
}

static double skipped_event_ns(const struct windows *common)
{
	return BEYOND_COUNTERS * (common->options.trap_ns + SKIPPED_PROGRAM_NS);
}

static double idle_trap_ns(const struct windows *common)
{
	return BEYOND_COUNTERS * (common->options.trap_ns + IDLE_PROGRAM_NS);
}

static uint64_t skipped_events(const struct window *window)
{
	return window->family == FAMILY_PYMALLOC ? record(window)->skipped_events : 0;
}

double window_bucket(const struct window *window)
{
	return __atomic_load_n(&record(window)->budget_ns[window->family], __ATOMIC_RELAXED);
}

/*
 * Takes from the bucket what the kernel side does not: traps that do not count. No further below
 * nothing than a bucket holds: on a busy host estimates of cost can be far too high.
 */
static void charge(struct window *window, double ns)
{
	__s64 *bucket = &record(window)->budget_ns[window->family];
	double least = budget_least_ns(window->common->budget);
	double left = __atomic_sub_fetch(bucket, (int64_t)ns, __ATOMIC_RELAXED);

	window->spent_ns += ns;
	if (left < least)
		__atomic_fetch_add(bucket, (int64_t)(least - left), __ATOMIC_RELAXED);
}

static double burst_ns(const struct windows *common)
{
	return common->options.burst_ms * 1e6;
}

/* How many of the sites can be armed so that arming leaves some time of a burst. */
static double arming_fraction(const struct window *window)
{
	double room = burst_ns(window->common) - CLOSING_NS - SHORTEST_HOLD_NS;

	if (window->family != FAMILY_PYMALLOC || window->light)
		return 1;
	return CLAMP(room / window->arming_ns, 0.02, 1);
}

double window_hold_ns(const struct window *window)
{
	double arming_ns = window->counted_from_ns - window->opened_ns;

	return MAX((burst_ns(window->common) - CLOSING_NS - arming_ns) * window->view.length,
		   SHORTEST_HOLD_NS);
}

void window_prepare_close(struct window *window)
{
	traced_prepare_disarm(window->common->traced, window->family);
}

bool window_ran_dry(const struct window *window)
{
	return !(record(window)->armed & 1u << window->family);
}

/* When the window stopped seeing, @now at the latest. */
static uint64_t seen_until(const struct window *window, uint64_t now)
{
	uint64_t dried = record(window)->dried_ns[window->family];

	return dried ? CLAMP(dried, window->counted_from_ns, now) : now;
}

/*
 * Adds the part of the open window up to @now to what was seen, and begins the next part. @time and
 * @births: which parts of its time and of its births count as observed. Returns what it added to
 * observed_ns.
 */
static double account(struct window *window, uint64_t now, double time, double births)
{
	struct windows *common = window->common;
	struct target *target = record(window);
	uint64_t events = target->events[window->family];
	uint64_t skipped = skipped_events(window);
	uint64_t sent_ns = target->sent_ns[window->family];
	double wall = seen_until(window, now) - window->counted_from_ns;
	double cpu = cpu_ns(window), ran = MAX(cpu - window->cpu_before_ns, 0), seen;
	double looks = skipped - window->skipped_before;
	double cost = (events - window->events_before - looks) * window_event_ns(common) +
		      looks * skipped_event_ns(common) + (sent_ns - window->sent_before_ns);

	/* Tracing stretches what the target does by the part that it takes of its processor time.
	 */
	seen = burst_own_ns(wall, cost > 0 ? cost / MAX(ran, cost) : 0, time, births);
	seen *= window->fraction;
	window->seen.observed_ns += window_is_focused(window) ? 0 : seen;
	window->spent_ns += cost;
	if (!window->burst) {
		window->seen.whole_ns += seen;
	} else {
		window->burst_cpu_ns += ran;
		window->burst_cost_ns += cost;
		window->seen.own_share =
			1 - window->burst_cost_ns /
				    MAX(window->burst_cpu_ns, MAX(window->burst_cost_ns, 1));
	}
	window->counted_from_ns = now;
	window->cpu_before_ns = cpu;
	window->events_before = events;
	window->skipped_before = skipped;
	window->sent_before_ns = sent_ns;
	return seen;
}

void window_account(struct window *window)
{
	if (window->open && !window->burst)
		account(window, clock_now_ns(), 1, 1);
}

/* Processor time of the keeper's that arming and removing has taken so far. */
static uint64_t keeper_cpu_ns(const struct window *window)
{
	return traced_arming_cpu_ns(window->common->traced, window->family);
}

/* The same of all of pyleak's, with that of looking at births. */
static uint64_t own_cpu_ns(const struct window *window)
{
	return keeper_cpu_ns(window) + clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* While sites are armed or removed. @beside_ns: the keeper's time on the target's processor. */
struct change {
	uint64_t began_ns, beside_ns;
};

static uint64_t beside_ns(const struct window *window)
{
	return traced_arming_beside_ns(window->common->traced, window->family);
}

static struct change change_begin(const struct window *window)
{
	return (struct change){
		.began_ns = clock_now_ns(),
		.beside_ns = beside_ns(window),
	};
}

/*
 * Charges for traps that did not count, those since the bucket was empty among them, and for half
 * of what the sites themselves cost: the other half comes at the other end. Where the keeper runs
 * on the target's processor it costs that at least the keeper's own time. All of it is at most the
 * time that it lasted.
 */
static void charge_change(struct window *window, const struct change *before)
{
	const struct windows *common = window->common;
	uint64_t dried_ns = record(window)->dried_ns[window->family];
	uint64_t idle = record(window)->idle_traps[window->family];
	double traps = idle - window->idle_charged;
	double beside = beside_ns(window) - before->beside_ns;
	double sites = window->view.armed * window->fraction * SITE_NS / 2;
	double cost = traps * idle_trap_ns(common) + MAX(sites, beside);
	double took =
		clock_now_ns() - (dried_ns ? MIN(dried_ns, before->began_ns) : before->began_ns);

	window->idle_charged = idle;
	charge(window, MIN(cost, took));
}

/* Arms the family, without the mutex. How long that took, in ns; 0 where it failed. @before: what
 * it can be charged by. */
static double arm(struct window *window, struct change *before)
{
	struct windows *common = window->common;
	struct arming arming = { window->view.sites, window->fraction };
	bool armed;

	g_mutex_unlock(&common->mutex);
	traced_warm_up(common->traced, window->family);
	*before = change_begin(window);
	window->opened_ns = before->began_ns;
	armed = traced_arm(common->traced, 1u << window->family, &arming, NULL);
	g_mutex_lock(&common->mutex);
	return armed ? clock_now_ns() - window->opened_ns + 1 : 0;
}

bool window_open(struct window *window)
{
	struct windows *common = window->common;
	struct target *target = record(window);
	struct change change;
	uint64_t own;
	double took;

	window->log = kernel_side_acquire_birth_log(traced_kernel(common->traced));
	if (!window->log)
		return false;
	target->dried_ns[window->family] = 0;
	target->birth_count[window->family] = 0;
	window->handed_over = 0;
	target->birth_ring[window->family] = 0;
	target->birth_log[window->family] = window->log;
	window->fraction = arming_fraction(window);
	own = own_cpu_ns(window);
	if (window->family == FAMILY_PYMALLOC) {
		target->skipped_classes = window->view.skipped_classes;
		target->skipped_cost_ns = (__u64)skipped_event_ns(common);
	}
	took = arm(window, &change);
	if (took <= 0) {
		target->birth_log[window->family] = 0;
		kernel_side_release_birth_log(traced_kernel(common->traced), window->log);
		return false;
	}
	if (!window_is_focused(window))
		window->arming_ns = (window->arming_ns + took / window->fraction) / 2;
	charge_change(window, &change);
	window->open = true;
	window->burst = true;
	window->seen.windows++;
	window->counted_from_ns = clock_now_ns();
	window->cpu_before_ns = cpu_ns(window);
	window->events_before = target->events[window->family];
	window->skipped_before = skipped_events(window);
	window->sent_before_ns = target->sent_ns[window->family];
	window->own_ns = own_cpu_ns(window) - own;
	return true;
}

/*
 * While sites are being armed the target traps and nothing counts: on a busy host that must not
 * wait for a turn. Where the right to it (CAP_SYS_NICE) is missing all stays as it is.
 */
void window_go_first(void)
{
	setpriority(PRIO_PROCESS, gettid(), ARMING_NICE);
}

static void *remove_probes(void *data)
{
	struct window *window = data;

	window_go_first();
	traced_disarm(window->common->traced, 1u << window->family);
	return NULL;
}

/* Those from the @from-th on, as far as the log still has them. Without the mutex. */
static void hand_over_births(const struct window *window, uint32_t from, uint32_t births,
			     uint32_t kept, double window_ns)
{
	const struct windows *common = window->common;
	const struct birth *log;
	g_autofree struct birth *in_order = NULL;
	struct ended_burst burst = {
		.family = window->family,
		.kept = kept,
		.window_ns = window_ns,
		.focus = window->drawn ? window->focus : NULL,
	};
	uint32_t first;

	if (!common->handler || !window->log)
		return;
	log = kernel_side_births(traced_kernel(common->traced), window->log);
	if (window->burst) {
		burst.births = log;
		burst.count = MIN(births, PYLEAK_BIRTHS);
		if (window->focus && !window_is_focused(window))
			focus_learn(window->focus, log, burst.count);
		common->handler(common->handler_context, &burst);
		return;
	}
	burst.count = burst.kept = MIN(births - from, PYLEAK_BIRTHS);
	first = (births - burst.count) % PYLEAK_BIRTHS;
	in_order = g_new(struct birth, burst.count + 1);
	for (uint32_t i = 0; i < burst.count; i++)
		in_order[i] = log[(first + i) % PYLEAK_BIRTHS];
	burst.births = in_order;
	common->handler(common->handler_context, &burst);
}

/* The burst is over, whether the window closes or stays open. Returns what it saw; @kept: births
 * that count. */
static double end_burst(struct window *window, uint32_t births, uint32_t *kept)
{
	const struct birth *log =
		kernel_side_births(traced_kernel(window->common->traced), window->log);
	uint64_t now = clock_now_ns();
	struct burst_part part = burst_part_that_counts(log, births, window->counted_from_ns,
							seen_until(window, now));

	*kept = part.births;
	window->births += births;
	window->births_kept += part.births;
	window->seen.kept_share = window->births ? window->births_kept / window->births : 1;
	return account(window, now, part.time, births ? (double)part.births / births : part.time);
}

void window_stay_open(struct window *window)
{
	uint64_t own = own_cpu_ns(window);
	double window_ns;
	uint32_t kept;

	window->handed_over = record(window)->birth_count[window->family];
	window_ns = end_burst(window, window->handed_over, &kept);
	/* Survivors of a long window are looked at while it is open: only the last births matter.
	 */
	record(window)->birth_ring[window->family] = 1;
	g_mutex_unlock(&window->common->mutex);
	hand_over_births(window, 0, window->handed_over, kept, window_ns);
	g_mutex_lock(&window->common->mutex);
	window->own_ns += own_cpu_ns(window) - own;
	window->burst = false;
	window->seen.whole_since_ns = window->counted_from_ns;
	window->seen.whole_until_ns = UINT64_MAX;
}

void window_close(struct window *window)
{
	struct windows *common = window->common;
	struct kernel_side *kernel = traced_kernel(common->traced);
	struct target *target = record(window);
	struct change change = change_begin(window);
	uint64_t own = own_cpu_ns(window);
	uint32_t births, kept = 0;
	double window_ns = 0;
	GThread *remover;

	traced_stop_counting(common->traced, 1u << window->family);
	births = target->birth_count[window->family];
	if (window->burst)
		window_ns = end_burst(window, births, &kept);
	else
		account(window, clock_now_ns(), 1, 1);
	window->open = false;
	window->seen.always = false;
	if (!window->burst)
		window->seen.whole_until_ns = window->counted_from_ns;
	g_mutex_unlock(&common->mutex);
	/* At once, while the probes are being removed: places of temporaries are soon taken by
	 * others. */
	remover = g_thread_new("disarm", remove_probes, window);
	hand_over_births(window, window->handed_over, births, kept, window_ns);
	g_thread_join(remover);
	target->birth_log[window->family] = 0;
	kernel_side_release_birth_log(kernel, window->log);
	g_mutex_lock(&common->mutex);
	window->own_ns += own_cpu_ns(window) - own;
	charge_change(window, &change);
}

/*
 * Windows that stay open may be many, logs are few. One in four is left to those that open; without
 * its log, a window's last births are no survivors once it has closed.
 */
void window_spare_log(struct window *window)
{
	struct kernel_side *kernel = traced_kernel(window->common->traced);

	/* The second time: by then no event writes to it any more. */
	if (window->log && !record(window)->birth_log[window->family]) {
		kernel_side_release_birth_log(kernel, window->log);
		window->log = 0;
	} else if (kernel_side_free_birth_logs(kernel) < PYLEAK_BIRTH_LOGS / 4) {
		record(window)->birth_log[window->family] = 0;
	}
}
