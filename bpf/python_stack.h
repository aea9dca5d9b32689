/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Python stack of the running thread: find its PyThreadState, then follow its frames, innermost
 * first, into thread->frames. Each object is read in one go; only (code address, instruction)
 * leaves the kernel.
 */
#ifndef PYLEAK_BPF_PYTHON_STACK_H
#define PYLEAK_BPF_PYTHON_STACK_H

enum {
	MAX_INTERPRETERS = 32, /* looked at when searching for a thread */
	MAX_THREADS = 4096,    /* of one interpreter */
	LOOK_AGAIN = 4, /* after a search in vain, in units of struct block's born (1.05 ms) */
	/* Boundary frames to C do not count as frames but take steps of the walk. */
	MAX_STEPS = 2 * PYLEAK_MAX_FRAMES,
	/* Frames a call of bpf_loop's callback takes: its call and return cost as much as a frame
	   does. */
	STEP_FRAMES = 8,
};

enum walk_cut { CUT_NOT, CUT_DEEP, CUT_UNREADABLE };

struct thread_search {
	const struct python_layout *layout;
	__u64 thread_id;
	__u64 interp, tstate;
	__u64 found;
	bool unreadable;
};

/* One step of the search: the next PyThreadState, or the next interpreter's first. */
static long search_step(__u64 step, struct thread_search *search)
{
	const struct python_layout *layout = search->layout;
	__u64 id = 0;

	if (!search->tstate) {
		if (!search->interp)
			return 1;
		if (bpf_probe_read_user(&search->tstate, 8,
					(void *)(search->interp + layout->interp_tstate_head)) ||
		    bpf_probe_read_user(&search->interp, 8,
					(void *)(search->interp + layout->interp_next))) {
			search->unreadable = true;
			return 1;
		}
		return 0;
	}
	if (bpf_probe_read_user(&id, 8, (void *)(search->tstate + layout->tstate_thread_id))) {
		search->unreadable = true;
		return 1;
	}
	if (id == search->thread_id) {
		search->found = search->tstate;
		return 1;
	}
	if (bpf_probe_read_user(&search->tstate, 8,
				(void *)(search->tstate + layout->tstate_next))) {
		search->unreadable = true;
		return 1;
	}
	return 0;
}

static __always_inline __u64 thread_pointer(void)
{
	return bpf_get_current_task_btf()->thread.fsbase;
}

/* Walks interpreters -> threads for the one of this thread: works for every version, libc and kind
 * of build. */
static __noinline __u64 find_tstate(struct target *target)
{
	struct thread_search search = {
		.layout = &target->layout,
		.thread_id = thread_pointer(),
	};

	if (!target->layout.interpreters_head ||
	    bpf_probe_read_user(&search.interp, 8, (void *)target->layout.interpreters_head)) {
		lose(target, LOST_THREAD_UNKNOWN);
		return 0;
	}
	bpf_loop(MAX_INTERPRETERS + MAX_THREADS, search_step, &search, 0);
	if (search.unreadable)
		lose(target, LOST_THREAD_UNKNOWN);
	return search.found;
}

static __always_inline __u64 tstate_word(const struct thread *thread, const struct target *target,
					 __u32 offset)
{
	__u32 word = (offset - target->tstate_start) / 8;

	return word < PYLEAK_TSTATE_WINDOW / 8 ? thread->tstate_bytes[word] : 0;
}

static __always_inline bool tstate_load(struct thread *thread, const struct target *target,
					__u64 thread_id)
{
	__u32 length = target->tstate_length;

	if (!thread->tstate || length > PYLEAK_TSTATE_WINDOW)
		return false;
	if (bpf_probe_read_user(thread->tstate_bytes, length,
				(void *)(thread->tstate + target->tstate_start)))
		return false;
	return tstate_word(thread, target, target->layout.tstate_thread_id) == thread_id;
}

/*
 * Sees to it that @frame is in thread->frame_bytes. A call of bpf_probe_read_user costs far more
 * than the bytes it copies, so where frames stand side by side several are read at once.
 */
static __always_inline bool frame_load(struct thread *thread, const struct target *target,
				       __u64 frame)
{
	__u64 need = target->frame_length, from = frame, length;

	if (frame >= thread->window_start &&
	    frame + need <= thread->window_start + thread->window_length)
		return true;
	if (target->frames_adjacent) {
		/* Not across the page's beginning: the page before it may not be there, and a fault
		 * is dear. */
		__u64 page = frame & ~4095ULL;

		from = frame + need - PYLEAK_FRAMES_WINDOW;
		if (from < page)
			from = page;
		if (from > frame)
			from = frame;
	}
	length = frame + need - from;
	if (length > PYLEAK_FRAMES_WINDOW)
		return false;
	if (bpf_probe_read_user(thread->frame_bytes, length, (void *)from))
		return false;
	thread->window_start = from;
	thread->window_length = length;
	return true;
}

/* A word of the frame that begins @at bytes into the window. */
static __always_inline __u64 frame_word(const struct thread *thread, __u64 at, __u32 offset)
{
	return thread->frame_bytes[(at + offset) / 8 & (PYLEAK_FRAMES_WINDOW / 8 - 1)];
}

static __always_inline __u32 frame_byte(const struct thread *thread, __u64 at, __u32 offset)
{
	return frame_word(thread, at, offset) >> (offset % 8 * 8) & 0xff;
}

/* Notes that C called the loop that ran the frames so far. */
static __always_inline void add_entry(struct thread *thread, __u64 address, __u32 frame)
{
	__u32 count = thread->walk_entries;

	if (count >= PYLEAK_MAX_ENTRIES)
		return;
	thread->event.entries[count & (PYLEAK_MAX_ENTRIES - 1)] = PYLEAK_ENTRY(address, frame);
	thread->walk_entries = count + 1;
}

static __always_inline void add_frame(struct thread *thread, __u32 count, __u64 code,
				      __u64 instruction)
{
	struct raw_frame *frame = &thread->frames[count & (PYLEAK_MAX_FRAMES - 1)];

	frame->code = code;
	frame->instruction = instruction;
}

/* Two odd multipliers and a shift a frame: enough to keep 64-bit content hashes apart. */
static __always_inline __u64 hash_frame(__u64 hash, __u64 code, __u64 instruction)
{
	hash = (hash ^ (code * 0x9e3779b97f4a7c15ULL + instruction)) * 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

struct walk {
	struct thread *thread;
	const struct target *target;
};

/* Takes one frame. Returns false when the walk is over. */
static __always_inline bool walk_frame(struct thread *thread, const struct target *target)
{
	const struct python_layout *layout = &target->layout;
	__u64 code, instruction, at, frame = thread->walk_frame;
	__u32 count = thread->walk_count;

	if (!frame)
		return false;
	if (!frame_load(thread, target, frame)) {
		thread->walk_cut = CUT_UNREADABLE;
		return false;
	}
	at = frame - thread->window_start;
	thread->walk_frame = frame_word(thread, at, layout->frame_previous);
	if (layout->frame_owner) {
		__u32 owner = frame_byte(thread, at, layout->frame_owner);

		if (owner >= layout->owner_boundary_min && owner <= layout->owner_boundary_max) {
			/* A variable of the loop's native frame: Python/ceval.c, 3.12 on. */
			add_entry(thread, frame, count);
			return true;
		}
	}
	code = frame_word(thread, at, layout->frame_code) & ~(__u64)layout->code_tag_mask;
	if (!code || code == layout->none_object)
		return true;
	if (count >= PYLEAK_MAX_FRAMES) {
		thread->walk_cut = CUT_DEEP;
		return false;
	}
	instruction = frame_word(thread, at, layout->frame_instruction);
	if (layout->instruction == INSTRUCTION_POINTER)
		instruction -= code;
	else
		instruction = (__s64)(__s32)(instruction >> (layout->frame_instruction % 8 * 8));
	add_frame(thread, count, code, instruction);
	thread->walk_hash = hash_frame(thread->walk_hash, code, instruction);
	thread->walk_count = count + 1;
	if (layout->frame_is_entry && frame_byte(thread, at, layout->frame_is_entry))
		add_entry(thread, 0, count + 1);
	return true;
}

static long walk_step(__u64 step, struct walk *walk)
{
	for (int i = 0; i < STEP_FRAMES; i++)
		if (!walk_frame(walk->thread, walk->target))
			return 1;
	return 0;
}

static __always_inline void walk_frames(struct thread *thread, const struct target *target,
					__u64 frame)
{
	struct walk walk = { .thread = thread, .target = target };

	thread->walk_frame = frame;
	thread->window_length = 0;
	bpf_loop(MAX_STEPS / STEP_FRAMES, walk_step, &walk, 0);
	if (thread->walk_cut == CUT_NOT && thread->walk_frame)
		thread->walk_cut = CUT_DEEP;
}

/* Finds the thread's PyThreadState, or sees that the one known is still its own. */
static __always_inline bool tstate_find(struct event *event)
{
	struct thread *thread = event->thread;
	__u64 thread_id = thread_pointer();
	__u32 now = event_born(event);

	if (tstate_load(thread, event->target, thread_id))
		return true;
	if (thread->looked_at && now - thread->looked_at < LOOK_AGAIN)
		return false;
	thread->tstate = find_tstate(event->target);
	thread->looked_at = thread->tstate ? 0 : now;
	return tstate_load(thread, event->target, thread_id);
}

/* Fills thread->frames, walk_count, walk_cut and walk_hash. No Python frame is a stack too: count
 * 0. */
static __always_inline void walk_python_stack(struct event *event)
{
	struct thread *thread = event->thread;
	struct target *target = event->target;
	const struct python_layout *layout = &target->layout;
	__u64 frame;

	thread->walk_count = 0;
	thread->walk_cut = CUT_NOT;
	thread->walk_hash = 0;
	thread->walk_entries = 0;
	thread->walk_loop = 0;
	if (layout->chain == CHAIN_NONE || !tstate_find(event))
		return;
	frame = tstate_word(thread, target, layout->tstate_frame);
	/* A variable of the innermost loop's native frame: Python/ceval.c, 3.11 and 3.12. */
	if (layout->chain == CHAIN_CFRAME)
		thread->walk_loop = frame;
	if (layout->chain == CHAIN_CFRAME && frame &&
	    bpf_probe_read_user(&frame, 8, (void *)(frame + layout->cframe_current_frame))) {
		lose(target, LOST_FRAME_UNREADABLE);
		return;
	}
	walk_frames(thread, target, frame);
	if (!thread->walk_loop && thread->walk_entries)
		thread->walk_loop = PYLEAK_ENTRY_ADDRESS(thread->event.entries[0]);
	if (thread->walk_cut == CUT_DEEP)
		lose(target, LOST_STACK_TRUNCATED);
	else if (thread->walk_cut == CUT_UNREADABLE)
		lose(target, LOST_FRAME_UNREADABLE);
}

#endif
