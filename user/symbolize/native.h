/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The native part of new stacks of one target: takes the pieces that the kernel side sends
 * (bpf/native_stack.h), unwinds them when their context comes, and names the frames.
 */
#ifndef PYLEAK_SYMBOLIZE_NATIVE_H
#define PYLEAK_SYMBOLIZE_NATIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "proc/process.h"
#include "symbolize/merge.h"
#include "symbolize/unwind.h"

struct native;

/* @process and @debug_bytes_left (module_file.h) are borrowed and must outlive the result.
 * @interpreter: where its code is. */
struct native *native_new(const struct process *process, struct address_range interpreter,
			  uint64_t *debug_bytes_left);
uint32_t native_without_room(const struct native *native); /* native_modules.h */
void native_free(struct native *native);

/* Of the stack that is copied: what unwinding may need. */
uint32_t native_stack_bytes(enum native_mode mode);

/* Keeps a copy of @piece until its context comes. */
void native_add_piece(struct native *native, const struct stack_piece *piece);

/*
 * The native frames (struct native_line) of a context, leaf first, without that of the function
 * that allocates; to g_array_unref(). @last_holds as in struct unwind. NULL where no native stack
 * was copied. Drops the context's pieces.
 */
GArray *native_take(struct native *native, const struct context_event *event, uint64_t last_holds,
		    enum unwind_end *end);

/* Whether the native stack of a context, as far as it was copied, leaves the interpreter. Far less
 * work than native_take(). Keeps the pieces. */
bool native_leaves_interpreter(struct native *native, const struct context_event *event);

/* Drops the pieces of a context that is of no interest. */
void native_drop(struct native *native, uint32_t context);

/* Looks whether code was loaded or unloaded. */
void native_refresh(struct native *native);

#endif
