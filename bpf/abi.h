/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel side and user space share: fixed-width types, limits, drop reasons. The only
 * header both include. User space includes <linux/types.h> first; the kernel side has them from
 * vmlinux.h.
 */
#ifndef PYLEAK_BPF_ABI_H
#define PYLEAK_BPF_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	PYLEAK_MAX_FRAMES = 128,     /* Python frames of a stack; deeper ones are cut and counted */
	PYLEAK_TSTATE_WINDOW = 256,  /* bytes of PyThreadState read at once */
	PYLEAK_FRAME_WINDOW = 128,   /* bytes of a frame that hold what is needed, at most */
	PYLEAK_FRAMES_WINDOW = 1024, /* bytes of frames read at once where frames stand side by
					side; a power of two */
	PYLEAK_TARGET_BITS = 16,     /* of a block key that name the target */
	PYLEAK_POOL_HEADER_SIZE = 48, /* sizeof(struct pool_header), CPython 2.7 to 3.15 */
	PYLEAK_MAX_ALLOCATORS = 8,    /* address ranges of malloc implementations in one process */
	PYLEAK_MAX_TARGETS = 1024,
	PYLEAK_TIMED_EVERY = 64,    /* events of a thread, of which one is timed; a power of two */
	PYLEAK_BIRTH_LOGS = 8,	    /* windows that can be open at once */
	PYLEAK_BIRTHS = 16384,	    /* blocks that a log holds */
	PYLEAK_RETIRE_BATCH = 4096, /* dead blocks handed to the kernel side in one go */
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
	LOST_LIVE_FULL,	    /* an allocation not kept: the table of live blocks is full */
	LOST_CONTEXTS_FULL, /* an allocation not kept: the table of contexts is full */
	LOST_EVENTS_FULL,   /* a new stack could not be sent just now (it is sent again at its next
			       allocation) */
	LOST_POOL_UNREADABLE, /* an allocation not kept: the pool header could not be read or made
				 no sense */
	LOST_SLOW_PATH, /* an allocation by pymalloc's slow path whose block could not be told */
	LOST_STACK_TRUNCATED,  /* a stack deeper than PYLEAK_MAX_FRAMES; its allocation is kept */
	LOST_FRAME_UNREADABLE, /* a stack cut where a frame could not be read; its allocation is
				  kept */
	LOST_THREAD_UNKNOWN,   /* a thread whose PyThreadState could not be looked for (unreadable
				  list) */
	LOST_RETURN_MISSED,    /* a malloc call whose return was not seen */
	LOST_THREAD_STORAGE,   /* an event without room for the thread's state */
	LOST_CODE_UNREADABLE, /* a frame without a name: its code object was gone before it was read
				 (counted in user space) */
	LOST_COUNT,
};

/* How PyThreadState leads to the innermost frame. */
enum frame_chain {
	CHAIN_FRAME,   /* tstate->frame, a PyFrameObject: 2.7 to 3.10 */
	CHAIN_CFRAME,  /* tstate->cframe->current_frame: 3.11, 3.12 */
	CHAIN_CURRENT, /* tstate->current_frame: 3.13 on */
	CHAIN_NONE,    /* not Python: no frames are looked for */
};

/* What the instruction word of a frame is. */
enum instruction_kind {
	INSTRUCTION_INDEX,   /* int f_lasti, kept as it is */
	INSTRUCTION_POINTER, /* pointer into the code object; kept as bytes from the code object's
				start */
};

/*
 * Where one interpreter keeps what the stack walk needs. Offsets are in bytes. Every member of
 * PyThreadState named here lies in [tstate_start, tstate_start + PYLEAK_TSTATE_WINDOW), every
 * member of a frame in [frame_start, frame_start + PYLEAK_FRAME_WINDOW).
 */
struct python_layout {
	__u64 interpreters_head; /* address of the pointer to the first PyInterpreterState */
	__u32 interp_next;
	__u32 interp_tstate_head; /* of threads.head (the pointer to the first PyThreadState) */
	__u32 tstate_next;
	__u32 tstate_thread_id; /* pthread_self() of its thread, the fs base on x86-64 */
	__u32 tstate_frame;	/* of frame, cframe or current_frame, by @chain */
	__u32 cframe_current_frame;
	__u32 chain; /* enum frame_chain */
	__u32 frame_code;
	__u32 frame_previous;
	__u32 frame_instruction;
	__u32 instruction;	  /* enum instruction_kind */
	__u32 frame_owner;	  /* of the char that tells C boundaries; 0: there is none */
	__u32 owner_boundary_min; /* owner values from here to owner_boundary_max are boundaries, to
				     be skipped */
	__u32 owner_boundary_max;
	__u32 code_tag_mask; /* low bits of the code pointer that are not address (3.14: 3 and such)
			      */
	__u32 pool_size;     /* 4096 or 16384 */
	__u32 pool_alignment; /* of blocks: 8 or 16 */
	__u32 arena_size;
	__u32 code_filename, code_name; /* of the pointers that tell a code object from a later one
					   at its address */
	__u32 reserved;
	__u64 arena_alloc; /* address of the function that maps arenas; 0: unknown */
	__u64 none_object; /* address of None where a frame's code may be None; 0: unknown */
};

/* One line of a stack: raw, as it leaves the kernel. */
struct raw_frame {
	__u64 code;	   /* address of the code object */
	__s64 instruction; /* f_lasti, or bytes from the start of the code object, by
			      python_layout.instruction */
	/* Of the code object when its stack was new: addresses of str objects, which mostly outlive
	 * it. 0: unreadable. */
	__u64 filename, name;
};

/* [start, end) in the target's address space. */
struct address_range {
	__u64 start, end;
};

/* An allocation by pymalloc's slow path whose block is not known yet: see bpf/pymalloc.h. */
struct pending_slow_path {
	__u64 sentinel; /* address of the empty list head of the size class; 0: nothing is pending
			 */
	__u32 context;
	__u32 born;
};

/* A traced process. User space writes it before arming; @pending, @lost and the sums are the kernel
 * side's. */
struct target {
	__u32 tgid;	  /* as in the initial pid namespace; 0: a free slot */
	__u32 armed;	  /* bit per family: count its events */
	__u32 armings;	  /* how often families have been armed: a malloc call from before is not
			     waited for */
	__u32 image_gone; /* set once the process has called exec */
	__u32 tstate_start,
		tstate_length; /* the window of PyThreadState that holds all members needed */
	__u32 frame_length;    /* bytes of a frame from its start that hold all members needed */
	__u32 frames_adjacent; /* frames stand side by side, callers first (3.11 on): read several
				  at once */
	struct python_layout layout;
	struct address_range
		allocators[PYLEAK_MAX_ALLOCATORS]; /* code whose own mmap calls are an allocator's:
						      libc, libjemalloc, ... */
	struct address_range arena_alloc;	   /* the function that maps pymalloc's arenas */
	struct address_range interpreter;	   /* code of the interpreter */
	struct pending_slow_path pending;
	/*
	 * Key of the latest pymalloc block. Until its thread goes on from the trap the block still
	 * is on its pool's free list; as that thread holds the GIL, there is no later one then.
	 */
	__u64 latest_block;
	__u64 timed_events, timed_ns; /* one event in PYLEAK_TIMED_EVERY: run time of the program */
	__u64 events[FAMILY_COUNT];   /* that counted */
	__u64 idle_traps; /* of families that were not armed: while a window opens or closes */
	/*
	 * What may still be spent on each family, filled up by user space; an event costs
	 * @event_cost_ns. A family that has nothing left is disarmed at once, here, before user
	 * space has noticed. No limit: @limited is 0.
	 */
	__u32 limited;
	__u32 event_cost_ns;
	__s64 budget_ns[FAMILY_COUNT];
	/* The open window's log of births: which of the PYLEAK_BIRTH_LOGS, from 1 (0: none), and
	 * how many there were. */
	__u32 birth_log[FAMILY_COUNT];
	__u32 birth_count[FAMILY_COUNT];
	__u64 lost[LOST_COUNT];
};

/* Key of a live block: address in the low 48 bits, index of the target above. */
#define PYLEAK_BLOCK_KEY(target, address)                                                          \
	(((__u64)(target) << 48) | ((address) & ((1ULL << 48) - 1)))
#define PYLEAK_KEY_ADDRESS(key) ((key) & ((1ULL << 48) - 1))
#define PYLEAK_KEY_TARGET(key)	((__u32)((key) >> 48))

/*
 * A live block. @tag is context | born << 32, replaced as a whole; 0: the block is dead and its
 * entry may be used again. born is CLOCK_MONOTONIC in units of 2^20 ns (1.05 ms), 32 bits: it wraps
 * after 52 days.
 */
struct block {
	__u64 tag;
	__u64 size; /* bytes: of the size class for pymalloc, as asked for otherwise */
};
#define PYLEAK_TAG(context, born) ((__u64)(context) | ((__u64)(born) << 32))
#define PYLEAK_TAG_CONTEXT(tag)	  ((__u32)(tag))
#define PYLEAK_TAG_BORN(tag)	  ((__u32)((tag) >> 32))
#define PYLEAK_BORN(ns)		  ((__u32)((ns) >> 20))

/* A context: one stack in one family of one target, with totals since it was first seen. Id 0 is
 * never used. */
struct traced_context {
	__u64 hash;
	__u32 target;
	__u32 family;
	__u64 alloc_blocks, alloc_bytes;
	__u64 free_blocks, free_bytes; /* seen or learnt by reading */
	__u32 sent;		       /* its stack has been sent */
	__u32 reserved;
};

/* What the ring buffer carries: the stack of a context, once, when it is new. @count frames follow,
 * leaf first. */
struct context_event {
	__u32 context;
	__u32 target;
	__u16 family;
	__u16 count;
	__u32 truncated; /* frames were cut (deeper than PYLEAK_MAX_FRAMES, or unreadable) */
};

/*
 * The cookie of a site of the malloc family: enum malloc_function in the lowest byte, then for each
 * of the first three arguments a byte with the offset in struct pt_regs of the register that holds
 * it at the site.
 */
#define PYLEAK_MALLOC_COOKIE(function, a, b, c)                                                    \
	((__u64)(function) | (__u64)(a) << 8 | (__u64)(b) << 16 | (__u64)(c) << 24)

enum malloc_function {
	MALLOC_SIZE_1,	     /* f(size): malloc, valloc, pvalloc, operator new */
	MALLOC_SIZE_2,	     /* f(alignment, size): memalign, aligned_alloc */
	MALLOC_COUNT_SIZE,   /* f(count, size): calloc */
	MALLOC_REALLOC,	     /* f(old, size) */
	MALLOC_REALLOCARRAY, /* f(old, count, size) */
	MALLOC_POSIX,	     /* f(&result, alignment, size) */
};

/* What a site of the mmap family is, as its cookie. */
enum mmap_function {
	MMAP_MAP,
	MMAP_UNMAP,
	MMAP_REMAP,
};

/* A block that was born in a window. */
struct birth {
	__u64 key;
	__u64 tag;
	__u64 size; /* bytes, as in struct block */
};

/* Blocks found dead by reading, for the program that retires them: only an entry that still has
 * @tag is touched. */
struct dead_block {
	__u64 key;
	__u64 tag;
};

#endif
