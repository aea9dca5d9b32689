/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwinding a copied native stack by call frame information (x86-64). libdw reads and runs the
 * tables (dwarf_cfi_addrframe()); here the rules of a frame are applied to registers and stack.
 * Pure: what is foreign, the stack and the rules, is given by the caller and never trusted.
 */
#ifndef PYLEAK_SYMBOLIZE_UNWIND_H
#define PYLEAK_SYMBOLIZE_UNWIND_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>
#include <elfutils/libdw.h>
#include <glib.h>

#include "bpf/abi.h"
#include "proc/memory.h"

enum { UNWIND_MAX_FRAMES = 512 };

struct native_frame {
	uint64_t pc;
	bool exact; /* @pc is an instruction that ran; else it is a return address, and the call
		       stands before it */
	uint64_t sp, cfa; /* the frame's part of the stack: [sp, cfa); cfa 0: not known */
};

enum unwind_end {
	UNWIND_COMPLETE, /* to the thread's first frame, or to where the caller said to stop */
	UNWIND_CUT,	 /* what it needs of the stack is not there, or too deep */
	UNWIND_NO_RULES, /* code without unwind information, or with such that makes no sense */
};

struct unwind {
	const struct memory *stack;
	/* The rules at @pc (a runtime address), owned by the caller and alive until unwind() ends;
	 * NULL where there are none. */
	Dwarf_Frame *(*rules)(void *context, uint64_t pc);
	void *context;
	/* The frame that holds this address is the last wanted; 0: all are. */
	uint64_t last_holds;
};

/*
 * Appends the frames (struct native_frame), innermost first, to @frames. @exact is of the first:
 * see struct native_frame.
 */
enum unwind_end unwind(const struct unwind *unwind, const struct native_registers *registers,
		       bool exact, GArray *frames);

#endif
