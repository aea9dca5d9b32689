/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instructions of which files of a process are to be probed, by which program. Made once per
 * process; attaching is tracer.h's.
 */
#ifndef PYLEAK_TRACE_PROBE_PLAN_H
#define PYLEAK_TRACE_PROBE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/interpreter.h"
#include "proc/maps.h"
#include "proc/process.h"
#include "trace/kernel_side.h"

/* Probes of one program in one file: becomes one link. */
struct probe_group {
	enum family family;
	enum kernel_program program;
	bool at_return;
	char *path;	/* to open the file, process_mapping_path() */
	GArray *probes; /* of struct uprobe */
};

struct probe_plan {
	GPtrArray *groups; /* of struct probe_group *, in the order of attaching: frees before
			      allocations */
	struct address_range allocators[PYLEAK_MAX_ALLOCATORS]; /* code of malloc implementations */
	uint32_t allocator_count;
	bool malloc_is_glibc;		  /* and no other allocator is loaded */
	struct address_range interpreter; /* code of the interpreter */
	struct address_range arena_alloc; /* 0, 0: unknown */
	char *unseen_mmap;    /* an object whose own mmap is called instead of libc's and cannot be
				 probed (tcmalloc); or NULL */
	uint32_t slow_probes; /* on instructions that the kernel does not emulate */
	uint32_t sites[FAMILY_COUNT];
	GArray *classes; /* of int: what pymalloc's sites serve, allocation_site_classes(); or NULL
			  */
};

/*
 * Plans for @process. @interpreter NULL: no pymalloc. NULL and @error when nothing could be planned
 * (gone, not permitted, no allocation site in a build that has pymalloc).
 */
struct probe_plan *probe_plan_new(const struct process *process,
				  const struct interpreter *interpreter, GError **error);
/* The plan of process @from for @to, which was forked from it: the same code at the same addresses.
 */
struct probe_plan *probe_plan_copy(const struct probe_plan *plan, pid_t from, pid_t to);
void probe_plan_free(struct probe_plan *plan);

#endif
