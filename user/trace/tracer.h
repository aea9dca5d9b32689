/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracing one process: attaching the planned probes, arming and disarming families. Windows open
 * and close through traced_arm() and traced_disarm(); exact tracing is one window that never
 * closes.
 */
#ifndef PYLEAK_TRACE_TRACER_H
#define PYLEAK_TRACE_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "cpython/interpreter.h"
#include "proc/process.h"
#include "trace/kernel_side.h"
#include "trace/probe_plan.h"

struct traced;

/*
 * Registers @process with the kernel side and plans its probes; attaches nothing yet. @interpreter
 * may be NULL. Both are borrowed and must outlive the result. @parent: a process that @process was
 * forked from, whose plan is then its own; or NULL. NULL and @error as in probe_plan_new().
 */
struct traced *traced_new(struct kernel_side *kernel, const struct process *process,
			  const struct interpreter *interpreter, const struct traced *parent,
			  GError **error);
/* Disarms, withdraws and frees. NULL is allowed. */
void traced_free(struct traced *traced);

/* Which of pymalloc's sites. */
struct arming {
	const bool *sites; /* by number in the plan; at least one is true; NULL: all */
	double fraction;   /* of these, chosen at random; 1: all */
};

/*
 * Attaches the probes of @families (a bit each), then lets them count: no event counts before the
 * last probe of them all stands. Families that are armed already stay so. On failure nothing more
 * is attached than before. Different families may be armed and disarmed by different threads.
 */
bool traced_arm(struct traced *traced, uint32_t families, const struct arming *arming,
		GError **error);
/* Stops counting, then removes the probes: allocations before frees. Takes up to a few hundred
 * milliseconds. */
void traced_disarm(struct traced *traced, uint32_t families);

/*
 * The kernel's lock for changing breakpoints makes its taker wait for an RCU grace period, some 10
 * ms, unless somebody had it a grace period ago (dup_mmap_sem in kernel/events/uprobes.c,
 * kernel/rcu/sync.c, Linux 6.18). The target's breakpoints stand meanwhile. So a probe of pyleak's
 * own function goes ahead of the family's: traced_warm_up() just before arming, which takes the 10
 * ms; traced_prepare_disarm() as long before disarming, which returns at once. Neither is needed
 * for more than speed. For the thread that arms and disarms the family.
 */
void traced_warm_up(struct traced *traced, enum family family);
void traced_prepare_disarm(struct traced *traced, enum family family);

/* Processor time that arming and disarming the family has taken of the keeper so far, in ns. For
 * the thread that does so. */
uint64_t traced_arming_cpu_ns(const struct traced *traced, enum family family);
/* The part of that which was spent on the target's own processor. */
uint64_t traced_arming_beside_ns(const struct traced *traced, enum family family);

/* Only the first half of traced_disarm(): from now on nothing counts. At once. */
void traced_stop_counting(struct traced *traced, uint32_t families);

struct kernel_side *traced_kernel(const struct traced *traced);
uint32_t traced_index(const struct traced *traced);
uint32_t traced_armed(const struct traced *traced);
const struct probe_plan *traced_plan(const struct traced *traced);
/* The kernel's record, shared: see kernel_side_target(). */
const struct target *traced_record(const struct traced *traced);
struct target *traced_shared(const struct traced *traced);

#endif
