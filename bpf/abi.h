/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel side and user space share: fixed-width types, limits, drop reasons. The only header both include.
 * User space includes <linux/types.h> first; the kernel side has them from vmlinux.h.
 */
#ifndef PYLEAK_BPF_ABI_H
#define PYLEAK_BPF_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	PYLEAK_MAX_FRAMES = 128,     /* Python frames of a stack; deeper ones are cut and counted */
	PYLEAK_TSTATE_WINDOW = 256,  /* bytes of PyThreadState read at once */
	PYLEAK_FRAME_WINDOW = 128,   /* bytes of a frame read at once */
	PYLEAK_TARGET_BITS = 16,     /* of a block key that name the target */
	PYLEAK_POOL_HEADER_SIZE = 48, /* sizeof(struct pool_header), CPython 2.7 to 3.15 */
};

/* Where memory comes from. */
enum family {
	FAMILY_PYMALLOC,
	FAMILY_MALLOC,
	FAMILY_MMAP,
	FAMILY_COUNT,
};

/* What was missed and why; one counter each. Names for people and JSON: report of user/collect. */
enum lost_reason {
	LOST_LIVE_FULL,	       /* an allocation not kept: the table of live blocks is full */
	LOST_CONTEXTS_FULL,    /* an allocation not kept: the table of contexts is full */
	LOST_EVENTS_FULL,      /* a new stack could not be sent just now (it is sent again at its next allocation) */
	LOST_POOL_UNREADABLE,  /* an allocation not kept: the pool header could not be read or made no sense */
	LOST_SLOW_PATH,	       /* an allocation by pymalloc's slow path whose block could not be told */
	LOST_STACK_TRUNCATED,  /* a stack deeper than PYLEAK_MAX_FRAMES; its allocation is kept */
	LOST_FRAME_UNREADABLE, /* a stack cut where a frame could not be read; its allocation is kept */
	LOST_THREAD_UNKNOWN,   /* a thread whose PyThreadState could not be looked for (unreadable list) */
	LOST_RETURN_MISSED,    /* a malloc call whose return was not seen */
	LOST_THREAD_STORAGE,   /* an event without room for the thread's state */
	LOST_COUNT,
};

/* How PyThreadState leads to the innermost frame. */
enum frame_chain {
	CHAIN_FRAME,	/* tstate->frame, a PyFrameObject: 2.7 to 3.10 */
	CHAIN_CFRAME,	/* tstate->cframe->current_frame: 3.11, 3.12 */
	CHAIN_CURRENT,	/* tstate->current_frame: 3.13 on */
	CHAIN_NONE,	/* not Python: no frames are looked for */
};

/* What the instruction word of a frame is. */
enum instruction_kind {
	INSTRUCTION_INDEX,   /* int f_lasti, kept as it is */
	INSTRUCTION_POINTER, /* pointer into the code object; kept as bytes from the code object's start */
};

/*
 * Where one interpreter keeps what the stack walk needs. Offsets are in bytes. Every member of PyThreadState named here lies
 * in [tstate_start, tstate_start + PYLEAK_TSTATE_WINDOW), every member of a frame in
 * [frame_start, frame_start + PYLEAK_FRAME_WINDOW).
 */
struct python_layout {
	__u64 interpreters_head; /* address of the pointer to the first PyInterpreterState */
	__u32 interp_next;
	__u32 interp_tstate_head; /* of threads.head (the pointer to the first PyThreadState) */
	__u32 tstate_next;
	__u32 tstate_thread_id; /* pthread_self() of its thread, the fs base on x86-64 */
	__u32 tstate_frame;	/* of frame, cframe or current_frame, by @chain */
	__u32 cframe_current_frame;
	__u32 chain;		/* enum frame_chain */
	__u32 frame_code;
	__u32 frame_previous;
	__u32 frame_instruction;
	__u32 instruction;	/* enum instruction_kind */
	__u32 frame_owner;	/* of the char that tells C boundaries; 0: there is none */
	__u32 owner_boundary_min; /* owner values from here to owner_boundary_max are boundaries, to be skipped */
	__u32 owner_boundary_max;
	__u32 code_tag_mask;	/* low bits of the code pointer that are not address (3.14: 3 and such) */
	__u32 pool_size;	/* 4096 or 16384 */
	__u32 pool_alignment;	/* of blocks: 8 or 16 */
	__u32 arena_size;
	__u32 reserved;
	__u64 arena_alloc;	/* address of the function that maps arenas; 0: unknown */
	__u64 none_object;	/* address of None where a frame's code may be None; 0: unknown */
};

/* One line of a stack: raw, as it leaves the kernel. */
struct raw_frame {
	__u64 code;	   /* address of the code object */
	__s64 instruction; /* f_lasti, or bytes from the start of the code object, by python_layout.instruction */
};

#endif
