/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names for the stacks of one target: resolved when a stack is new, because code objects die (exec,
 * lambdas, reloads), and remembered by context.
 */
#ifndef PYLEAK_SYMBOLIZE_NAMES_H
#define PYLEAK_SYMBOLIZE_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/interpreter.h"
#include "proc/process.h"
#include "symbolize/native.h"
#include "symbolize/stack.h"

struct names;

/* @process and @interpreter (may be NULL: no Python frames) are borrowed and must outlive the
 * result. */
struct names *names_new(const struct process *process, const struct interpreter *interpreter);
void names_free(struct names *names);

/* From now on stacks have native frames by @mode. @interpreter: where its code is.
 * @debug_bytes_left: native_new(). */
void names_set_native(struct names *names, enum native_mode mode, struct address_range interpreter,
		      uint64_t *debug_bytes_left);
/* How many files of native code tell no source lines for lack of room. */
uint32_t names_without_room(const struct names *names);
/* A part of the native stack of a context that is about to come. Copied. */
void names_add_piece(struct names *names, const struct stack_piece *piece);

struct names_missed {
	uint32_t unnamed; /* Python frames without a name because they could not be read */
	bool native_cut, native_no_unwind; /* see LOST_NATIVE_CUT and LOST_NATIVE_NO_UNWIND */
};

/* Resolves the stack of a context: Python frames, and native ones if they are wanted. */
struct names_missed names_add(struct names *names, const struct context_event *event,
			      const struct raw_frame *frames);

/* The stack of a context, owned by @names; NULL while it is unknown. */
const struct stack *names_stack(const struct names *names, uint32_t context);

/*
 * Looks whether the code objects met so far still are where they were; those that are not are
 * forgotten. Returns the ids (uint32_t) of contexts that lead through one of them: allocations at
 * those addresses belong to other stacks from now on, while what was counted keeps its names.
 * g_array_unref() it.
 */
GArray *names_forget_dead_code(struct names *names);

#endif
