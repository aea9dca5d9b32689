/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps. Sizes given here are the smallest that load; user/trace sets the real ones from
 * --max-memory. Nothing is pinned, so all of it goes away with the tracer.
 */
#ifndef PYLEAK_BPF_MAPS_H
#define PYLEAK_BPF_MAPS_H

/* tgid to index in targets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, PYLEAK_MAX_TARGETS);
} target_index SEC(".maps");

/* Index 0 is never used. Shared with user space, which arms and disarms in place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct target);
	__uint(max_entries, 2);
} targets SEC(".maps");

/* Live blocks by PYLEAK_BLOCK_KEY. Elements are allocated as they come: memory follows what is
 * traced. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct block);
	__uint(max_entries, 1024);
} live SEC(".maps");

/* Content hash of (target, family, stack) to context id. bpf_get_stackid is not used: it loses
 * stacks silently. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u32);
	__uint(max_entries, 1024);
} context_ids SEC(".maps");

/* Contexts by id; user space maps it and reads the totals without system calls. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct traced_context);
	__uint(max_entries, 1024);
} contexts SEC(".maps");

/* Ids given back by user space; taken from here before new ones are counted up. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1024);
} free_contexts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

/* Remembered by each thread; a power of two. */
enum { PYLEAK_IDENTITIES = 256 };

/* What a code object was identified by, and when. */
struct code_identity {
	__u64 code; /* its address; 0: none yet */
	__u64 filename, name;
	__u32 read_at; /* as struct block's born */
	__u32 reserved;
};

/* What a thread is doing. Per task rather than per CPU: a uprobe program can be preempted by
 * another on its CPU. */
struct thread {
	__u32 target; /* index, 0: not looked up yet */
	__u32 ticks;
	__u32 last_birth; /* place in the log of births of its last pymalloc block, from 1 */
	__u64 last_key;	  /* of that block */
	__u64 tstate;	  /* address of its PyThreadState, 0: unknown; checked at every use */
	__u32 looked_at;  /* when its PyThreadState was last looked for in vain */
	/* The outermost call of the malloc family that has not returned. */
	__u32 call_function;
	__u32 call_armings; /* target->armings at its entry */
	__u64 call_sp;	    /* stack pointer at its entry; 0: no call */
	__u64 call_size;
	__u64 call_pointer;    /* realloc: the old block; posix_memalign: where the result goes */
	struct block call_old; /* realloc: what the old block was, to be put back when it fails */
	/*
	 * The stack walk. Here rather than on the stack: the verifier does not follow values
	 * through a map, so that its states stay few.
	 */
	__u64 walk_frame;
	__u64 window_start;  /* what frame_bytes holds: bytes of the target's memory from here, */
	__u64 window_length; /* so many of them */
	__u64 walk_hash;
	__u32 walk_count;
	__u32 walk_cut; /* enum walk_cut */
	__u32 walk_entries;
	__u32 reserved;
	__u64 walk_loop; /* address in the native frame that runs the innermost Python frame; 0:
			    not known */
	__u64 tstate_bytes[PYLEAK_TSTATE_WINDOW / 8];
	__u64 frame_bytes[PYLEAK_FRAMES_WINDOW / 8];
	struct code_identity identities[PYLEAK_IDENTITIES];
	/* The event as it is sent: kept together. */
	struct context_event event;
	struct raw_frame frames[PYLEAK_MAX_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* Births in windows, one log after the other, so that survivors can be looked at as soon as a
 * window closes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct birth);
	__uint(max_entries, PYLEAK_BIRTH_LOGS *PYLEAK_BIRTHS);
} births SEC(".maps");

/* Filled by user space before it runs the retiring program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct dead_block);
	__uint(max_entries, PYLEAK_RETIRE_BATCH);
} dead_blocks SEC(".maps");

/* Processes whose forks and execs user space wants to know of, by tgid; with their children. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, PYLEAK_MAX_FOLLOWED);
} followed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} lifecycle_events SEC(".maps");

/* Set by user space: execs of all processes are told, not only of those followed. */
__u32 watch_every_exec = 0;
/* Events without room in the buffer, and children without room in @followed. */
__u64 lifecycle_lost = 0;

/* Set before loading. */
const volatile __u32 max_contexts = 1024;

/* The highest id given out so far; 0 is never used. */
__u32 last_context = 0;

#endif
