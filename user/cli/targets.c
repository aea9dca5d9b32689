// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/targets.h"

#include <math.h>

#include "base/error.h"

/* Looking at heaps between reports may take this share of a processor for one process, and in all:
 * with 1 % and 3 it was a third of what pyleak took. */
static const double REFRESH_SHARE = 0.002, REFRESH_SHARE_OF_ALL = 0.01;

/* With a host's processes to look after, their buckets are looked at less often: a sudden load may
 * then cost 40 ms before it is noticed. */
static const double HOST_CALM = 10;

struct targets {
	struct kernel_side *kernel;
	const struct options *options;
	double trap_ns;
	double effort;
	uint64_t debug_bytes_left; /* for targets that are, and will be */
	bool begun;		   /* the header has been written */
	GPtrArray *items;	   /* of struct traced_process * */
	GPtrArray *last_reports;   /* of struct report *, on processes that have exited */
};

static void free_target(void *target)
{
	traced_process_free(target);
}

static void free_report(void *report)
{
	report_free(report);
}

struct targets *targets_new(struct kernel_side *kernel, const struct options *options,
			    double trap_ns)
{
	struct targets *targets = g_new0(struct targets, 1);

	targets->kernel = kernel;
	targets->options = options;
	targets->trap_ns = trap_ns;
	targets->effort = 1;
	targets->debug_bytes_left = kernel_side_plan(kernel)->debug_bytes;
	targets->items = g_ptr_array_new_with_free_func(free_target);
	targets->last_reports = g_ptr_array_new();
	return targets;
}

void targets_free(struct targets *targets)
{
	if (!targets)
		return;
	g_ptr_array_unref(targets->items);
	g_ptr_array_set_free_func(targets->last_reports, free_report);
	g_ptr_array_unref(targets->last_reports);
	g_free(targets);
}

/* What may be remembered of heaps, in equal parts. */
static void divide_memory(struct targets *targets)
{
	uint64_t bytes =
		memory_plan_heap_bytes(kernel_side_plan(targets->kernel), targets->items->len);

	for (guint i = 0; i < targets->items->len; i++)
		traced_process_set_heap_bytes(targets->items->pdata[i], bytes);
}

/*
 * Several processes may take more of pyleak's time than one, but not as many times as much: each
 * has fewer windows, which on workers that do the same add up.
 */
static void divide_time(struct targets *targets)
{
	double part = 1 / sqrt(MAX(targets->items->len, 1));

	for (guint i = 0; i < targets->items->len; i++)
		traced_process_set_own_part(targets->items->pdata[i], part);
}

struct traced_process *targets_add(struct targets *targets, pid_t pid, pid_t parent, GError **error)
{
	const struct options *options = targets->options;
	struct traced_process_options tracing = {
		.analysis = &options->analysis,
		.exact = options->exact,
		.overhead_pct = options->overhead_pct,
		.burst_ms = options->burst_ms,
		.calm = options->whole_host ? HOST_CALM : 1,
		.trap_ns = targets->trap_ns,
		.native = options->native,
		.debug_bytes_left = &targets->debug_bytes_left,
		.parent_pid = parent,
		.late = targets->begun,
		.parent = targets_find(targets, parent),
	};
	struct traced_process *target = traced_process_new(targets->kernel, pid, &tracing, error);

	if (!target)
		return NULL;
	traced_process_set_overhead(target, options->overhead_pct * targets->effort);
	g_ptr_array_add(targets->items, target);
	divide_memory(targets);
	return target;
}

struct traced_process *targets_find(const struct targets *targets, pid_t pid)
{
	for (guint i = 0; i < targets->items->len; i++)
		if (traced_process_process(targets->items->pdata[i])->pid == pid)
			return targets->items->pdata[i];
	return NULL;
}

guint targets_count(const struct targets *targets)
{
	return targets->items->len;
}

bool targets_attach(struct targets *targets, GError **error)
{
	targets->begun = true;
	for (guint i = 0; i < targets->items->len; i++)
		if (!traced_process_attach(targets->items->pdata[i], error))
			return false;
	return true;
}

GPtrArray *targets_headers(const struct targets *targets)
{
	GPtrArray *headers = g_ptr_array_new();

	for (guint i = 0; i < targets->items->len; i++)
		g_ptr_array_add(headers, traced_process_header(targets->items->pdata[i]));
	return headers;
}

void targets_remove(struct targets *targets, struct traced_process *target)
{
	g_ptr_array_remove(targets->items, target);
}

void targets_add_stack(struct targets *targets, const struct context_event *event,
		       const struct raw_frame *frames)
{
	for (guint i = 0; i < targets->items->len; i++)
		if (traced_process_index(targets->items->pdata[i]) == event->target)
			traced_process_add_stack(targets->items->pdata[i], event, frames);
}

void targets_add_piece(struct targets *targets, const struct stack_piece *piece)
{
	for (guint i = 0; i < targets->items->len; i++)
		if (traced_process_index(targets->items->pdata[i]) == piece->target)
			traced_process_add_piece(targets->items->pdata[i], piece);
}

static struct report *report_on(const struct targets *targets, guint index, GError **error)
{
	return traced_process_report(targets->items->pdata[index], targets->options->min_age_s,
				     error);
}

bool targets_refresh(struct targets *targets, GError **error)
{
	double share = MIN(REFRESH_SHARE, REFRESH_SHARE_OF_ALL / MAX(targets->items->len, 1)) *
		       targets->effort;

	divide_memory(targets);
	divide_time(targets);
	for (guint i = targets->items->len; i-- > 0;) {
		struct traced_process *target = targets->items->pdata[i];
		struct report *report;

		traced_process_refresh(target, targets->options->min_age_s,
				       targets->options->interval_s, share);
		if (traced_process_seems_alive(target))
			continue;
		report = report_on(targets, i, error);
		if (!report)
			return false;
		g_ptr_array_add(targets->last_reports, report);
		g_ptr_array_remove_index(targets->items, i);
	}
	return true;
}

bool targets_retire(struct targets *targets, struct traced_process *target, const char *why,
		    GError **error)
{
	guint index;
	struct report *report;

	if (!g_ptr_array_find(targets->items, target, &index))
		return true;
	report = report_on(targets, index, error);
	if (!report)
		return false;
	g_ptr_array_add(report->notes, g_strdup(why));
	g_ptr_array_add(targets->last_reports, report);
	g_ptr_array_remove_index(targets->items, index);
	return true;
}

void targets_set_effort(struct targets *targets, double effort)
{
	targets->effort = effort;
	for (guint i = 0; i < targets->items->len; i++)
		traced_process_set_overhead(targets->items->pdata[i],
					    targets->options->overhead_pct * effort);
}

bool targets_report(struct targets *targets, bool last, GPtrArray *reports, GError **error)
{
	while (targets->last_reports->len)
		g_ptr_array_add(reports, g_ptr_array_steal_index(targets->last_reports, 0));
	for (guint i = 0; i < targets->items->len;) {
		struct report *report = report_on(targets, i, error);

		if (!report)
			return false;
		g_ptr_array_add(reports, report);
		/* It has exited just now: that was its last. */
		if (report->exited)
			g_ptr_array_remove_index(targets->items, i);
		else
			i++;
		report->last |= last;
	}
	return true;
}
