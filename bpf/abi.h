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
	PYLEAK_MAX_FOLLOWED = 16384, /* processes whose children are told of */
	PYLEAK_TIMED_EVERY = 64,     /* events of a thread, of which one is timed; a power of two */
	PYLEAK_BIRTH_LOGS = 16,	     /* windows that can be open at once */
	PYLEAK_BIRTHS = 8192,	     /* blocks that a log holds */
	PYLEAK_BIRTH_WORDS = 6,	     /* of a block's beginning: where the type of an object is */
	PYLEAK_RETIRE_BATCH = 4096,  /* dead blocks handed to the kernel side in one go */
	PYLEAK_STACK_PIECE = 1024,   /* bytes of native stack sent at once; a power of two */
	PYLEAK_MAX_ENTRIES = 32,     /* calls of the interpreter from C that a stack tells apart */
	PYLEAK_MAX_PATHS = 4,	     /* native paths sent of a pymalloc context */
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
	LOST_NATIVE_FULL,     /* a new stack sent without its native part, which comes with a later
				 allocation: the ring buffer was half full */
	LOST_NATIVE_CUT,      /* the native part of a stack, cut where no more of it had been copied
				 (counted in user space, like the next) */
	LOST_NATIVE_NO_UNWIND, /* the same, cut at code that does not say how to unwind it */
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
	__u32 frame_is_entry; /* of the bool that says that C called this frame's loop (3.11); 0:
				 there is none */
	__u32 code_tag_mask; /* low bits of the code pointer that are not address (3.14: 3 and such)
			      */
	__u32 pool_size;     /* 4096 or 16384 */
	__u32 pool_alignment; /* of blocks: 8 or 16 */
	__u32 arena_size;
	__u32 code_filename, code_name; /* of the pointers that tell a code object from a later one
					   at its address */
	__u64 arena_alloc;		/* address of the function that maps arenas; 0: unknown */
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
	__u32 site;
	__u32 reserved;
};

/* A traced process. User space writes it before arming; @pending, @lost and the sums are the kernel
 * side's. */
struct target {
	__u32 tgid;	  /* as in the tracer's pid namespace; 0: a free slot */
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
	/* While the family was not armed, because a window was opening or closing. */
	__u64 idle_traps[FAMILY_COUNT];
	/*
	 * What may still be spent on each family, filled up by user space; an event costs
	 * @event_cost_ns. A family that has nothing left is disarmed at once, here, before user
	 * space has noticed. No limit: @limited is 0.
	 */
	__u32 limited;
	__u32 event_cost_ns;
	__s64 budget_ns[FAMILY_COUNT];
	__u64 dried_ns[FAMILY_COUNT]; /* when that was, CLOCK_MONOTONIC; 0: not yet */
	/*
	 * Size classes of pymalloc whose allocations do not count in the open window, a bit each
	 * (trace/focus.h). An event of theirs costs @skipped_cost_ns; @skipped_events are in
	 * @events, too.
	 */
	__u64 skipped_classes;
	__u64 skipped_events;
	__u64 skipped_cost_ns;
	/*
	 * The open window's log of births: which of the PYLEAK_BIRTH_LOGS, from 1 (0: none), and
	 * how many there were. A log that is full takes no more, or, where @birth_ring, the next
	 * take the places of the first.
	 */
	__u32 birth_log[FAMILY_COUNT];
	__u32 birth_count[FAMILY_COUNT];
	__u32 birth_ring[FAMILY_COUNT];
	__u32 reserved;
	/* Of a new stack's native part so many bytes are copied at most; 0: no native frames. */
	__u32 native_bytes;
	__u32 native_full; /* copy it to the thread's first frame, not just to the Python frame */
	__u64 sent_ns[FAMILY_COUNT]; /* time taken to send new stacks, which is not in @timed_ns */
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
	/* Of these, what was seen in windows that did not see all (trace/focus.h). */
	__u64 focused_blocks, focused_bytes;
	__u64 free_blocks, free_bytes; /* seen or learnt by reading */
	__u32 sent;		       /* how often its stack has been sent */
	__u32 paths;		       /* native paths that were sent, a bit of a hash each */
};

/* What a record in the ring buffer is. */
enum event_kind {
	EVENT_CONTEXT,	   /* struct context_event */
	EVENT_STACK_PIECE, /* struct stack_piece; those of a stack come before its context */
};

/* What unwinding starts from; names as in struct pt_regs. */
struct native_registers {
	__u64 ip, sp, bp, bx, r12, r13, r14, r15;
};

/*
 * A call of the interpreter's loop from C: between Python frames @frame - 1 and @frame, leaf first,
 * C stands. @address lies in the native frame of the loop; 0: not known.
 */
#define PYLEAK_ENTRY(address, frame) (((__u64)(frame) << 48) | ((address) & ((1ULL << 48) - 1)))
#define PYLEAK_ENTRY_ADDRESS(entry)  ((entry) & ((1ULL << 48) - 1))
#define PYLEAK_ENTRY_FRAME(entry)    ((__u32)((entry) >> 48))

/*
 * The stack of a context, when it is new; of pymalloc, whose contexts do not differ by native path,
 * a few times more with another path (@again). @count frames follow, leaf first.
 */
struct context_event {
	__u32 kind;
	__u32 context;
	__u32 target;
	__u16 family;
	__u16 count;
	__u32 truncated;   /* frames were cut (deeper than PYLEAK_MAX_FRAMES, or unreadable) */
	__u32 entry_count; /* of @entries; those beyond PYLEAK_MAX_ENTRIES are not told */
	__u32 again;
	__u32 reserved;
	__u64 stamp;	  /* tells the pieces of this stack from those of another attempt */
	__u64 native_end; /* the native stack was copied up to here; 0: not at all */
	__u64 loop; /* address in the native frame that runs the innermost Python frame; 0: not
		       known */
	struct native_registers registers;
	__u64 entries[PYLEAK_MAX_ENTRIES]; /* PYLEAK_ENTRY */
};

/* A part of a native stack. Parts that could not be read are not sent. */
struct stack_piece {
	__u32 kind;
	__u32 context;
	__u64 stamp;
	__u64 address;
	__u32 length; /* of @bytes */
	__u32 target;
	__u8 bytes[PYLEAK_STACK_PIECE];
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

/* The cookie of a site of pymalloc: its number, and the offset in struct pt_regs of the register
 * that holds the pool. */
#define PYLEAK_PYMALLOC_COOKIE(site, offset) ((__u64)(site) << 32 | (offset))

/* A site of the mmap family, as its cookie: what it is, and how far above the stack pointer the
 * return address is. */
#define PYLEAK_MMAP_COOKIE(function, return_slot) ((__u64)(function) | (__u64)(return_slot) << 8)

enum mmap_function {
	MMAP_MAP,
	MMAP_UNMAP,
	MMAP_REMAP,
};

/* A block that was born in a window. */
struct birth {
	__u64 key;
	__u64 tag;
	__u32 size; /* bytes, as in struct block, at most UINT32_MAX */
	/*
	 * pymalloc: how many bytes of @words hold what the block held at the next allocation of its
	 * thread, when it had just been initialised; 0: there was none.
	 */
	__u16 content;
	__u16 site; /* pymalloc: which allocated it, as in its cookie */
	__u64 words[PYLEAK_BIRTH_WORDS];
};

/* What happens to processes: see bpf/lifecycle.h. Ids are as in the initial pid namespace. */
enum lifecycle {
	LIFECYCLE_FORK, /* @pid is a new process, @parent made it */
	LIFECYCLE_EXEC, /* @pid runs another program now */
	LIFECYCLE_EXIT, /* @pid has gone */
};

struct lifecycle_event {
	__u32 kind; /* enum lifecycle */
	__u32 pid, parent;
	__u32 time_ms; /* CLOCK_MONOTONIC, modulo 2^32 */
};

/* Blocks found dead by reading, for the program that retires them: only an entry that still has
 * @tag is touched. */
struct dead_block {
	__u64 key;
	__u64 tag;
};

#endif
