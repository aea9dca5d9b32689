// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/host.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/arrivals.h"
#include "cli/filter.h"
#include "cli/say.h"
#include "cli/watched.h"
#include "proc/descendants.h"
#include "proc/find_python.h"
#include "proc/pids.h"
#include "trace/link_keeper.h"
#include "trace/throttle.h"

/* pyleak's own CPU time, of the machine's. */
static const double CPU_SHARE = 0.02;
/* What may be spent on summing up objects, of one processor. */
static const double OBJECTS_SHARE = 0.002;
/* Each takes memory and threads; and when effort is low, fewer get something of it. */
enum { MAX_TRACED = 16, FEWER_TRACED = 8 };
static const double LOW_EFFORT = 0.1;
static const int64_t LOOK_US = 2 * G_USEC_PER_SEC, LIST_US = 10 * G_USEC_PER_SEC;

struct host {
	struct kernel_side *kernel;
	struct targets *targets;
	const struct options *options;
	struct arrivals *arrivals;
	GHashTable *watched;	 /* pid to struct watched */
	GHashTable *listed;	 /* pids of the last list of all processes */
	GPtrArray *last_reports; /* of struct report *, on processes that have gone */
	struct throttle throttle;
	int64_t began_us, looked_us, listed_us;
	double objects_debt_ns; /* CPU time spent on objects that has not been earned yet */
};

static struct watched *find(const struct host *host, pid_t pid)
{
	return g_hash_table_lookup(host->watched, GINT_TO_POINTER(pid));
}

/* False: it may be Python later. */
static bool watch(struct host *host, pid_t pid, pid_t parent)
{
	g_autoptr(GError) error = NULL;
	enum likeness likeness = python_likeness(pid);
	struct watched *watched;

	if (likeness != LIKENESS_PYTHON)
		return likeness == LIKENESS_GONE;
	if (!parent)
		parent = parent_of(pid);
	watched = watched_new(pid, find(host, parent) ? parent : 0, &error);
	if (!watched) {
		/* Called python, or with a libpython, and not of a kind that can be traced. */
		if (error->code != PYLEAK_ERROR_NO_TARGET)
			say_more(host->options, "%s", error->message);
		return error->code != PYLEAK_ERROR_NO_TARGET;
	}
	if (!filter_passes(&host->options->filter, pid, watched->target->cmdline)) {
		watched_free(watched);
		return true;
	}
	arrivals_follow(host->arrivals, pid);
	g_hash_table_insert(host->watched, GINT_TO_POINTER(pid), watched);
	say_more(host->options, "pid %d: Python %s is watched", pid,
		 watched->target->python_version);
	return true;
}

static void forget(struct host *host, struct watched *watched)
{
	struct report *report;

	/* Of one that is traced, targets_refresh() makes the last report. */
	if (!watched->traced_us) {
		report = watched_report(watched);
		report->last = report->exited = true;
		g_ptr_array_add(host->last_reports, report);
	}
	g_hash_table_remove(host->watched, GINT_TO_POINTER(watched->pid));
}

static void expect_children(struct host *host, pid_t pid)
{
	g_autoptr(GArray) children = descendants_of(pid);

	for (guint i = 0; i < children->len; i++) {
		const struct descendant *child = &g_array_index(children, struct descendant, i);

		if (!find(host, child->pid))
			arrivals_expect(host->arrivals, child->pid, child->parent);
	}
}

static bool on_arrived(void *context, pid_t pid, pid_t parent, bool exec)
{
	struct host *host = context;
	struct watched *watched = find(host, pid);

	if (watched && !exec)
		return true;
	/* Another program by now: the trace of the old one must have ended first. */
	if (watched)
		forget(host, watched);
	if (targets_find(host->targets, pid))
		return false;
	if (!watch(host, pid, parent))
		return false;
	/* It may have forked before it was followed. */
	if (exec && find(host, pid))
		expect_children(host, pid);
	return true;
}

static void on_left(void *context, pid_t pid)
{
	struct host *host = context;
	struct watched *watched = find(host, pid);

	if (watched)
		forget(host, watched);
}

/* What was not told, for whatever reason, is found by listing all processes now and then. */
static void list(struct host *host)
{
	g_autoptr(GArray) pids = pids_of_host();
	GHashTable *listed = g_hash_table_new(g_direct_hash, g_direct_equal);

	for (guint i = 0; i < pids->len; i++) {
		pid_t pid = g_array_index(pids, pid_t, i);

		g_hash_table_add(listed, GINT_TO_POINTER(pid));
		if (!g_hash_table_contains(host->listed, GINT_TO_POINTER(pid)) && !find(host, pid))
			arrivals_expect(host->arrivals, pid, 0);
	}
	g_hash_table_unref(host->listed);
	host->listed = listed;
	host->listed_us = g_get_monotonic_time();
}

static void find_all(struct host *host)
{
	g_autoptr(GArray) pids = pids_of_host();

	for (guint i = 0; i < pids->len; i++) {
		pid_t pid = g_array_index(pids, pid_t, i);

		g_hash_table_add(host->listed, GINT_TO_POINTER(pid));
		watch(host, pid, 0);
	}
	host->listed_us = g_get_monotonic_time();
}

static void free_report(void *report)
{
	report_free(report);
}

struct host *host_new(struct kernel_side *kernel, struct targets *targets,
		      const struct options *options, GError **error)
{
	struct host *host = g_new0(struct host, 1);
	struct arrivals_handler handler = { on_arrived, on_left, host };

	host->kernel = kernel;
	host->targets = targets;
	host->options = options;
	host->watched = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, watched_free);
	host->listed = g_hash_table_new(g_direct_hash, g_direct_equal);
	host->last_reports = g_ptr_array_new_with_free_func(free_report);
	host->began_us = g_get_monotonic_time();
	throttle_init(&host->throttle, CPU_SHARE * sysconf(_SC_NPROCESSORS_ONLN));
	host->arrivals = arrivals_new(kernel, options, &handler, error);
	if (!host->arrivals) {
		host_free(host);
		return NULL;
	}
	/* First, so that nobody slips through between the list and the events. */
	kernel_side_watch_every_exec(kernel);
	find_all(host);
	return host;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	arrivals_free(host->arrivals);
	g_hash_table_unref(host->watched);
	g_hash_table_unref(host->listed);
	g_ptr_array_unref(host->last_reports);
	g_free(host);
}

static gint by_pid(gconstpointer a, gconstpointer b)
{
	const struct watched *const *first = a, *const *second = b;

	return (*first)->pid - (*second)->pid;
}

/* Of struct watched *, which stay the table's: it may change meanwhile. */
static GPtrArray *in_order(const struct host *host)
{
	GPtrArray *all = g_ptr_array_new();
	GHashTableIter iterator;
	void *watched;

	g_hash_table_iter_init(&iterator, host->watched);
	while (g_hash_table_iter_next(&iterator, NULL, &watched))
		g_ptr_array_add(all, watched);
	g_ptr_array_sort(all, by_pid);
	return all;
}

GPtrArray *host_headers(const struct host *host)
{
	g_autoptr(GPtrArray) all = in_order(host);
	GPtrArray *headers = g_ptr_array_new();

	for (guint i = 0; i < all->len; i++) {
		struct watched *watched = all->pdata[i];

		g_ptr_array_add(headers, report_target_copy(watched->target));
	}
	return headers;
}

static void start_tracing(struct host *host, struct watched *watched)
{
	g_autoptr(GError) error = NULL;
	struct traced_process *target =
		targets_add(host->targets, watched->pid, watched->parent, &error);

	g_clear_pointer(&watched->refusal, g_free);
	watched->refused_us = 0;
	if (target && targets_attach(host->targets, &error)) {
		watched->traced_us = g_get_monotonic_time();
		say_more(host->options, "pid %d grows, and is traced", watched->pid);
		return;
	}
	if (target)
		targets_remove(host->targets, target);
	watched->refused_us = g_get_monotonic_time();
	watched->refusal = g_strdup(error->message);
	say_more(host->options, "%s", error->message);
}

static void end_tracing(struct host *host, struct watched *watched)
{
	struct traced_process *target = targets_find(host->targets, watched->pid);

	watched->traced_us = 0;
	if (target)
		targets_retire(host->targets, target,
			       "its memory does not grow any more: it is watched from outside, and "
			       "traced again when it grows",
			       NULL);
	say_more(host->options, "pid %d is not traced any more", watched->pid);
}

static void choose(struct host *host, const GPtrArray *all)
{
	g_autofree struct candidate *candidates = g_new(struct candidate, all->len + 1);

	for (guint i = 0; i < all->len; i++)
		candidates[i] = watched_candidate(all->pdata[i]);
	attention_choose(candidates, all->len,
			 host->throttle.factor < LOW_EFFORT ? FEWER_TRACED : MAX_TRACED);
	/* Room first. */
	for (guint i = 0; i < all->len; i++)
		if (candidates[i].traced && !candidates[i].wanted)
			end_tracing(host, candidates[i].context);
	for (guint i = 0; i < all->len; i++)
		if (!candidates[i].traced && candidates[i].wanted)
			start_tracing(host, candidates[i].context);
}

static uint64_t own_cpu_ns(const struct host *host)
{
	struct rusage usage;
	int64_t us;

	getrusage(RUSAGE_SELF, &usage);
	us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
	     usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	return us * 1000 + link_keeper_cpu_ns(kernel_side_keeper(host->kernel));
}

static void look(struct host *host, int64_t now)
{
	g_autoptr(GPtrArray) all = in_order(host);
	GPtrArray *left = g_ptr_array_new();

	host->objects_debt_ns -= OBJECTS_SHARE * (now - host->looked_us) * 1000;
	host->objects_debt_ns = MAX(host->objects_debt_ns, 0);
	for (guint i = 0; i < all->len; i++) {
		struct watched *watched = all->pdata[i];

		if (!watched_look(watched)) {
			forget(host, watched);
			continue;
		}
		g_ptr_array_add(left, watched);
		/* Of one that is traced the heap is read anyway. */
		if (!watched->traced_us && host->objects_debt_ns <= 0)
			host->objects_debt_ns += watched_read_objects(watched);
	}
	throttle_update(&host->throttle, own_cpu_ns(host), now * 1000);
	targets_set_effort(host->targets, host->throttle.factor);
	choose(host, left);
	g_ptr_array_unref(left);
	host->looked_us = now;
}

void host_handle(struct host *host)
{
	int64_t now = g_get_monotonic_time();

	arrivals_handle(host->arrivals);
	if (now - host->listed_us >= LIST_US)
		list(host);
	if (now - host->looked_us >= LOOK_US)
		look(host, now);
}

struct report_overview host_report(struct host *host, bool last, GPtrArray *reports)
{
	g_autoptr(GPtrArray) all = in_order(host);
	g_autoptr(GHashTable) reported = g_hash_table_new(g_direct_hash, g_direct_equal);
	struct report_overview overview = {
		.reports = reports,
		.elapsed_s = (g_get_monotonic_time() - host->began_us) / 1e6,
		.traced = targets_count(host->targets),
		.cpu_pct = 100 * host->throttle.used / sysconf(_SC_NPROCESSORS_ONLN),
		.missed_events = kernel_side_lifecycle_lost(host->kernel),
	};

	for (guint i = 0; i < reports->len; i++) {
		struct report *report = reports->pdata[i];
		struct watched *watched = find(host, report->pid);

		report->host = true;
		if (!watched)
			continue;
		watched_complete(watched, report);
		g_hash_table_add(reported, watched);
	}
	while (host->last_reports->len)
		g_ptr_array_add(reports, g_ptr_array_steal_index(host->last_reports, 0));
	for (guint i = 0; i < all->len; i++) {
		struct report *report;

		if (g_hash_table_contains(reported, all->pdata[i]))
			continue;
		report = watched_report(all->pdata[i]);
		report->last = last;
		g_ptr_array_add(reports, report);
	}
	return overview;
}
