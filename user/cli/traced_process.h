/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One traced process with all that belongs to it, from discovery to reports. */
#ifndef PYLEAK_CLI_TRACED_PROCESS_H
#define PYLEAK_CLI_TRACED_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "bpf/abi.h"
#include "cpython/interpreter.h"
#include "proc/process.h"
#include "symbolize/merge.h"
#include "trace/kernel_side.h"
#include "trace/tracer.h"

struct traced_process;

struct traced_process_options {
	const struct analysis_options *analysis;
	bool exact; /* trace everything; else windows: */
	double overhead_pct, burst_ms;
	double calm;	  /* governor.h */
	double trap_ns;	  /* calibrate_trap() */
	pid_t parent_pid; /* of a process that is traced as a child; or 0 */
	bool late;	  /* reports must say who the process is: no header did */
	const struct traced_process *parent; /* the process may be a fork of it; or NULL */
	enum native_mode native;
	uint64_t *debug_bytes_left; /* of all: module_file.h; borrowed */
};

/*
 * Discovers and plans; nothing is attached yet. @kernel is borrowed; @options are copied, the
 * strings of its analysis options are not. NULL and @error: see interpreter_discover() and
 * probe_plan_new().
 */
struct traced_process *traced_process_new(struct kernel_side *kernel, pid_t pid,
					  const struct traced_process_options *options,
					  GError **error);
void traced_process_free(struct traced_process *target);

/* Attaches and arms every family, or starts opening windows, and remembers the heap as it stands.
 */
bool traced_process_attach(struct traced_process *target, GError **error);

/* Slows the target by so much at most from now on. No use with exact. */
void traced_process_set_overhead(struct traced_process *target, double overhead_pct);

/* What part of pyleak's own time for windows it has: governor_set_own_part(). */
void traced_process_set_own_part(struct traced_process *target, double part);

/* What may be remembered of its heap: collector_set_heap_bytes(). */
void traced_process_set_heap_bytes(struct traced_process *target, uint64_t bytes);

/* For a new stack of this target. */
void traced_process_add_stack(struct traced_process *target, const struct context_event *event,
			      const struct raw_frame *frames);

/* For a part of the native stack of one that is about to come. */
void traced_process_add_piece(struct traced_process *target, const struct stack_piece *piece);

/*
 * Looks at the heap and keeps what it saw, so that there is something to report should the process
 * exit: as often as costs little, which is @share of pyleak's time. Call it every tenth of a second
 * or so.
 */
void traced_process_refresh(struct traced_process *target, double min_age_s, double interval_s,
			    double share);

/* A report of now, or of just before the process exited: then it is the last. NULL and @error when
 * the kernel's tables cannot be read. */
struct report *traced_process_report(struct traced_process *target, double min_age_s,
				     GError **error);

/* Still there, and still the program that was attached to. */
bool traced_process_is_alive(const struct traced_process *target);
/* The same by what the kernel side has told, which costs little: an exec may be missed. */
bool traced_process_seems_alive(const struct traced_process *target);
const struct process *traced_process_process(const struct traced_process *target);
const struct interpreter *traced_process_interpreter(const struct traced_process *target);
uint32_t traced_process_index(const struct traced_process *target);
/* Facts for --verbose, one line, to g_free(). */
char *traced_process_describe(const struct traced_process *target);
struct report_target *traced_process_header(const struct traced_process *target);
/* The same of a process that is not traced. */
struct report_target *describe_target(const struct process *process,
				      const struct interpreter *interpreter);

#endif
