// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/traced_process.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#include "analyse/estimate.h"
#include "analyse/snapshot_file.h"
#include "base/error.h"
#include "collect/census.h"
#include "collect/collector.h"
#include "collect/forget.h"
#include "collect/garbage.h"
#include "proc/container.h"
#include "proc/pressure.h"
#include "symbolize/names.h"
#include "symbolize/sources.h"
#include "trace/governor.h"

static const double REFRESH_SECONDS = 0.5;
/* So long after attach a process that was named is looked at for what grows: windows go on from
 * that, and the looks at all of its blocks are rare. Of a large heap that takes long: no more than
 * this share of a processor, so some are left out. */
static const double GROWTH_LOOKS_SECONDS[] = { 0.7, 1.3, 2, 3, 4, 5.5, 7, 9, 11, 13, 15.5, 18 };
static const double GROWTH_LOOKS_SHARE = 0.01;

struct traced_process {
	struct process *process;
	struct interpreter *interpreter;
	struct kernel_side *kernel;
	struct traced *traced;
	struct governor *governor; /* NULL: everything is traced */
	struct collector *collector;
	struct census *census; /* NULL: the objects of this version are not known */
	struct names *names;
	struct sources *sources;
	struct analysis *analysis;
	struct snapshot *snapshot; /* the last one taken while the process lived */
	struct garbage_watch garbage;
	uint64_t image_token;
	pid_t parent_pid; /* 0: traced on its own account */
	bool late, attached;
	uint64_t reports;
	int64_t refreshed_us; /* monotonic */
	int64_t attached_us;
	guint growth_looks;
	double growth_rests_until_s; /* since attach */
	FILE *recording; /* of every snapshot that is reported on; NULL: none is wanted */
};

/* What was planned for @parent, if that still is the program that the process runs. */
static const struct traced *parent_plan(const struct traced_process *target,
					const struct traced_process *parent)
{
	return parent && target->image_token && target->image_token == parent->image_token
		       ? parent->traced
		       : NULL;
}

/* Of a target that was named, not of its children. False and @error when the file cannot be
 * opened. */
static bool open_recording(struct traced_process *target, GError **error)
{
	const char *path = g_getenv("PYLEAK_SNAPSHOTS");

	if (!path || !*path || target->parent_pid)
		return true;
	target->recording = fopen(path, "ae");
	if (!target->recording)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot write to %s, which PYLEAK_SNAPSHOTS names: %s", path,
			    g_strerror(errno));
	return target->recording;
}

struct traced_process *traced_process_new(struct kernel_side *kernel, pid_t pid,
					  const struct traced_process_options *options,
					  GError **error)
{
	struct traced_process *target = g_new0(struct traced_process, 1);

	target->kernel = kernel;
	target->parent_pid = options->parent_pid;
	target->late = options->late;
	if (!open_recording(target, error))
		goto fail;
	target->process = process_open(pid, error);
	if (!target->process)
		goto fail;
	target->image_token = process_image_token(target->process);
	target->interpreter = interpreter_discover(target->process, error);
	if (!target->interpreter)
		goto fail;
	target->traced = traced_new(kernel, target->process, target->interpreter,
				    parent_plan(target, options->parent), error);
	if (!target->traced)
		goto fail;
	interpreter_close_image(target->interpreter);
	target->collector = collector_new(kernel, target->traced, target->process,
					  target->interpreter, options->trap_ns);
	target->census = census_new(&target->process->memory.base, target->process->pid,
				    target->interpreter);
	if (!options->exact) {
		struct governor_options governor = { options->overhead_pct, options->burst_ms,
						     options->trap_ns, options->calm };

		target->governor = governor_new(target->traced, &governor);
		collector_set_governor(target->collector, target->governor);
	}
	target->names = names_new(target->process, target->interpreter);
	names_set_native(target->names, options->native, traced_plan(target->traced)->interpreter,
			 options->debug_bytes_left);
	traced_shared(target->traced)->native_bytes = native_stack_bytes(options->native);
	traced_shared(target->traced)->native_full = options->native == NATIVE_FULL;
	target->sources = sources_new(target->process);
	target->analysis = analysis_new(options->analysis);
	return target;
fail:
	traced_process_free(target);
	return NULL;
}

void traced_process_free(struct traced_process *target)
{
	if (!target)
		return;
	snapshot_free(target->snapshot);
	if (target->analysis)
		analysis_free(target->analysis);
	sources_free(target->sources);
	names_free(target->names);
	/* The governor's threads use what is traced and tell the collector. */
	governor_free(target->governor);
	collector_free(target->collector);
	census_free(target->census);
	if (target->traced) {
		traced_disarm(target->traced, traced_armed(target->traced));
		forget_target(target->kernel, traced_index(target->traced));
	}
	traced_free(target->traced);
	interpreter_free(target->interpreter);
	process_free(target->process);
	g_clear_pointer(&target->recording, fclose);
	g_free(target);
	/* What a process's names, tables and threads took is scattered over the heaps of threads:
	 * where processes come and go it would add up. */
	malloc_trim(0);
}

static bool read_gc(const struct traced_process *target, struct gc_state *state)
{
	return gc_state_read(&target->process->memory.base, &target->interpreter->facts,
			     target->interpreter->layout.interpreters_head, state);
}

bool traced_process_attach(struct traced_process *target, GError **error)
{
	static const struct arming all = { NULL, 1 };
	struct gc_state gc;

	if (target->attached)
		return true;
	if (!target->governor && !traced_arm(target->traced, (1u << FAMILY_COUNT) - 1, &all, error))
		return false;
	if (!traced_process_is_alive(target)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
			    "process %d was gone before tracing began", target->process->pid);
		return false;
	}
	collector_set_baseline(target->collector);
	if (target->governor)
		governor_start(target->governor, pressure_cpu(), sampling_burst_ended,
			       collector_sampling(target->collector));
	target->attached_us = target->refreshed_us = g_get_monotonic_time();
	garbage_watch_begin(&target->garbage, read_gc(target, &gc) ? &gc : NULL,
			    target->refreshed_us * 1000ULL);
	target->attached = true;
	return true;
}

void traced_process_set_overhead(struct traced_process *target, double overhead_pct)
{
	if (target->governor)
		governor_set_overhead(target->governor, overhead_pct);
}

void traced_process_set_own_part(struct traced_process *target, double part)
{
	if (target->governor)
		governor_set_own_part(target->governor, part);
}

void traced_process_set_heap_bytes(struct traced_process *target, uint64_t bytes)
{
	collector_set_heap_bytes(target->collector, bytes);
}

void traced_process_add_stack(struct traced_process *target, const struct context_event *event,
			      const struct raw_frame *frames)
{
	struct names_missed missed = names_add(target->names, event, frames);

	while (missed.unnamed--)
		collector_lose(target->collector, LOST_CODE_UNREADABLE);
	if (missed.native_cut)
		collector_lose(target->collector, LOST_NATIVE_CUT);
	if (missed.native_no_unwind)
		collector_lose(target->collector, LOST_NATIVE_NO_UNWIND);
}

void traced_process_add_piece(struct traced_process *target, const struct stack_piece *piece)
{
	names_add_piece(target->names, piece);
}

static void forget_dead_code(struct traced_process *target)
{
	g_autoptr(GArray) contexts = names_forget_dead_code(target->names);

	for (guint i = 0; i < contexts->len; i++)
		kernel_side_seal_context(target->kernel, g_array_index(contexts, uint32_t, i));
}

static bool take(struct traced_process *target, double min_age_s, GError **error)
{
	struct snapshot *snapshot = collector_take(target->collector, min_age_s, error);
	struct gc_state gc;

	target->refreshed_us = g_get_monotonic_time();
	if (!snapshot)
		return false;
	garbage_watch_look(&target->garbage, read_gc(target, &gc) ? &gc : NULL, snapshot);
	estimate_contexts(snapshot);
	snapshot_free(target->snapshot);
	target->snapshot = snapshot;
	return true;
}

static void look_at_growth(struct traced_process *target)
{
	double passed = (g_get_monotonic_time() - target->attached_us) / 1e6, took;

	if (target->parent_pid || target->growth_looks >= G_N_ELEMENTS(GROWTH_LOOKS_SECONDS) ||
	    passed < GROWTH_LOOKS_SECONDS[target->growth_looks])
		return;
	target->growth_looks++;
	if (passed < target->growth_rests_until_s)
		return;
	collector_look_at_growth(target->collector);
	took = (g_get_monotonic_time() - target->attached_us) / 1e6 - passed;
	target->growth_rests_until_s = passed + took / GROWTH_LOOKS_SHARE;
}

void traced_process_refresh(struct traced_process *target, double min_age_s, double interval_s,
			    double share)
{
	double spent = collector_seconds(target->collector) + census_seconds(target->census);
	double pause = MAX(spent / share, REFRESH_SECONDS);

	look_at_growth(target);
	if ((g_get_monotonic_time() - target->refreshed_us) / 1e6 < MIN(pause, interval_s) ||
	    !traced_process_is_alive(target))
		return;
	forget_dead_code(target);
	/* So that there is something to say of a process that exits. */
	if (!take(target, min_age_s, NULL))
		return;
	census_look_at_largest(target->census, target->snapshot);
	analysis_look(target->analysis, target->snapshot);
}

static const struct stack *stack_of(void *context, uint32_t id)
{
	const struct traced_process *target = context;

	return names_stack(target->names, id);
}

static char *source_line_of(void *context, const char *file, int32_t line)
{
	struct traced_process *target = context;

	return sources_line(target->sources, file, line);
}

static const GArray *types_of(void *context, uint32_t id)
{
	const struct traced_process *target = context;

	return census_types(target->census, id);
}

static void add_notes(struct traced_process *target, struct report *report, bool alive)
{
	uint64_t unchecked = collector_unchecked_blocks(target->collector);
	double ago = (g_get_real_time() - target->snapshot->time_us) / 1e6;
	const struct probe_plan *plan = traced_plan(target->traced);

	if (!alive)
		g_ptr_array_add(report->notes,
				g_strdup_printf("the process has exited; figures of %.1f s before",
						MAX(ago, 0)));
	if (!alive && unchecked)
		g_ptr_array_add(report->notes, g_strdup_printf("%" G_GUINT64_FORMAT
							       " young blocks could not be checked",
							       unchecked));
	if (plan->slow_probes)
		g_ptr_array_add(report->notes,
				g_strdup_printf("%u probes are slow: single-stepped by the kernel",
						plan->slow_probes));
	if (plan->unseen_mmap)
		g_ptr_array_add(
			report->notes,
			g_strdup_printf("memory mapped through %s is not seen", plan->unseen_mmap));
	if (names_without_room(target->names))
		g_ptr_array_add(
			report->notes,
			g_strdup_printf("debug information of native code is left out for "
					"--max-memory: of %u %s",
					names_without_room(target->names),
					names_without_room(target->names) == 1 ? "file" : "files"));
	if (target->interpreter->tracemalloc)
		g_ptr_array_add(report->notes,
				g_strdup("tracemalloc is running in the process: its own memory "
					 "is among the sites"));
}

struct report *traced_process_report(struct traced_process *target, double min_age_s,
				     GError **error)
{
	struct analysis_sources sources = { stack_of, source_line_of, target, types_of };
	bool alive = traced_process_is_alive(target);
	struct report *report;

	/* A process that has exited cannot be asked which blocks lived: the last look from before
	 * counts. */
	if (alive)
		forget_dead_code(target);
	if ((alive || !target->snapshot) && !take(target, min_age_s, error))
		return NULL;
	census_begin(target->census, target->snapshot, alive);
	if (alive && target->recording &&
	    !snapshot_write(target->recording, target->snapshot, &sources, error))
		return NULL;
	report = analysis_add(target->analysis, target->snapshot, &sources);
	report->pid = target->process->pid;
	report->parent_pid = target->parent_pid;
	report->target = target->late ? traced_process_header(target) : NULL;
	report->last = report->exited = !alive;
	report->seq = ++target->reports;
	collector_begin_interval(target->collector);
	add_notes(target, report, alive);
	return report;
}

bool traced_process_seems_alive(const struct traced_process *target)
{
	return process_is_alive(target->process) && !traced_record(target->traced)->image_gone;
}

bool traced_process_is_alive(const struct traced_process *target)
{
	return traced_process_seems_alive(target) &&
	       process_image_token(target->process) == target->image_token;
}

const struct process *traced_process_process(const struct traced_process *target)
{
	return target->process;
}

const struct interpreter *traced_process_interpreter(const struct traced_process *target)
{
	return target->interpreter;
}

uint32_t traced_process_index(const struct traced_process *target)
{
	return traced_index(target->traced);
}

char *traced_process_describe(const struct traced_process *target)
{
	const struct interpreter *interpreter = target->interpreter;
	const struct probe_plan *plan = traced_plan(target->traced);

	return g_strdup_printf("pid %d: Python %s (%s%s), %s; %u pymalloc sites, %u malloc "
			       "functions, %u mmap sites",
			       target->process->pid, interpreter->version,
			       interpreter->shared ? "shared" : "static",
			       interpreter->stripped ? ", stripped" : "",
			       object_allocator_name(interpreter->allocator),
			       plan->sites[FAMILY_PYMALLOC], plan->sites[FAMILY_MALLOC],
			       plan->sites[FAMILY_MMAP]);
}

struct report_target *describe_target(const struct process *process,
				      const struct interpreter *interpreter)
{
	struct report_target *header = g_new0(struct report_target, 1);
	struct container container;

	header->pid = process->pid;
	header->cmdline = g_strdupv(process->cmdline);
	header->exe = g_strdup(process->exe);
	header->python_version = g_strdup(interpreter->version);
	header->shared = interpreter->shared;
	header->stripped = interpreter->stripped;
	/* A command that has just been started has not chosen one yet. */
	if (interpreter->allocator != ALLOCATOR_UNKNOWN)
		header->allocator = g_strdup(object_allocator_name(interpreter->allocator));
	container_read(process->pid, &container);
	header->cgroup = g_steal_pointer(&container.cgroup);
	header->container = g_steal_pointer(&container.id);
	header->namespace_pid = container.namespace_pid;
	container_clear(&container);
	return header;
}

struct report_target *traced_process_header(const struct traced_process *target)
{
	return describe_target(target->process, target->interpreter);
}
