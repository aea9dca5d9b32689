/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One stack out of two: native frames, which the processor was in, and Python frames, which the
 * interpreter's loop was running in some of those. Pure.
 */
#ifndef PYLEAK_SYMBOLIZE_MERGE_H
#define PYLEAK_SYMBOLIZE_MERGE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "symbolize/stack.h"

enum native_mode {
	NATIVE_OFF,
	NATIVE_LEAF, /* those below the innermost Python frame */
	NATIVE_FULL, /* all, in the order of calls, to the thread's first */
};

struct native_line {
	struct frame frame;
	bool named;	  /* frame.function is a symbol's name, not made up */
	bool interpreter; /* in the interpreter's own code */
	uint64_t sp, cfa; /* its part of the stack, [sp, cfa); cfa 0: not known */
};

/*
 * Python frames in the order of their calls, leaf first, in runs: one call of the interpreter's
 * loop ran frames [end of the run before, end). @address lies in the loop's native frame; 0: not
 * known, then the loop is told by its symbol.
 */
struct python_run {
	uint32_t end;
	uint64_t address;
};

struct merge {
	enum native_mode mode;
	enum family family;
	const struct native_line *native; /* leaf first */
	uint32_t native_count;
	const struct frame *python;
	const struct python_run *runs; /* they cover all Python frames */
	uint32_t run_count;
};

/* Appends frames (struct frame) to @frames. Folds away what only runs bytecode: the interpreter's
 * loop and how it calls; by leaf also allocators of the interpreter and its functions without a
 * symbol; and of pymalloc, where there is nothing but the interpreter, all. */
void merge_stacks(const struct merge *merge, GArray *frames);

/* Whether native code that is not the interpreter's stands below the innermost Python frame. */
bool merge_is_foreign(const struct merge *merge);

/* Whether the innermost Python frame's loop is among the native frames: nothing below it is missing
 * then. */
bool merge_reaches_python(const struct merge *merge);

#endif
