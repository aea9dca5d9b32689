/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Python stack of the running thread: find its PyThreadState, then follow its frames, innermost first, into
 * thread->frames. Each object is read in one go; only (code address, instruction) leaves the kernel.
 */
#ifndef PYLEAK_BPF_PYTHON_STACK_H
#define PYLEAK_BPF_PYTHON_STACK_H

enum {
	MAX_INTERPRETERS = 32, /* looked at when searching for a thread */
	MAX_THREADS = 4096,    /* of one interpreter */
	LOOK_AGAIN = 4,	       /* after a search in vain, in units of struct block's born (1.05 ms) */
	/* Boundary frames to C do not count as frames but take steps of the walk. */
	MAX_STEPS = 2 * PYLEAK_MAX_FRAMES,
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
	if (bpf_probe_read_user(&search->tstate, 8, (void *)(search->tstate + layout->tstate_next))) {
		search->unreadable = true;
		return 1;
	}
	return 0;
}

static __always_inline __u64 thread_pointer(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();

	return BPF_CORE_READ(task, thread.fsbase);
}

/* Walks interpreters -> threads for the one of this thread: works for every version, libc and kind of build. */
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

static __always_inline __u64 tstate_word(const struct thread *thread, const struct target *target, __u32 offset)
{
	__u32 word = (offset - target->tstate_start) / 8;

	return word < PYLEAK_TSTATE_WINDOW / 8 ? thread->tstate_bytes[word] : 0;
}

static __always_inline bool tstate_load(struct thread *thread, const struct target *target, __u64 thread_id)
{
	__u32 length = target->tstate_length;

	if (!thread->tstate || length > PYLEAK_TSTATE_WINDOW)
		return false;
	if (bpf_probe_read_user(thread->tstate_bytes, length, (void *)(thread->tstate + target->tstate_start)))
		return false;
	return tstate_word(thread, target, target->layout.tstate_thread_id) == thread_id;
}

static __always_inline __u64 frame_word(const struct thread *thread, __u32 offset)
{
	return thread->frame_bytes[(offset / 8) & (PYLEAK_FRAME_WINDOW / 8 - 1)];
}

struct walk {
	struct thread *thread;
	struct target *target;
};

static long walk_step(__u64 step, struct walk *walk)
{
	struct thread *thread = walk->thread;
	const struct target *target = walk->target;
	const struct python_layout *layout = &target->layout;
	__u32 length = target->frame_length, count = thread->walk_count;
	__u64 frame = thread->walk_frame, code, instruction;

	if (!frame)
		return 1;
	if (length > PYLEAK_FRAME_WINDOW || bpf_probe_read_user(thread->frame_bytes, length, (void *)frame)) {
		thread->walk_cut = CUT_UNREADABLE;
		return 1;
	}
	thread->walk_frame = frame_word(thread, layout->frame_previous);
	if (layout->frame_owner) {
		__u32 owner = frame_word(thread, layout->frame_owner) >> (layout->frame_owner % 8 * 8) & 0xff;

		if (owner >= layout->owner_boundary_min && owner <= layout->owner_boundary_max)
			return 0;
	}
	code = frame_word(thread, layout->frame_code) & ~(__u64)layout->code_tag_mask;
	if (!code || code == layout->none_object)
		return 0;
	instruction = frame_word(thread, layout->frame_instruction);
	if (layout->instruction == INSTRUCTION_POINTER)
		instruction -= code;
	else
		instruction = (__s64)(__s32)(instruction >> (layout->frame_instruction % 8 * 8));
	if (count >= PYLEAK_MAX_FRAMES) {
		thread->walk_cut = CUT_DEEP;
		return 1;
	}
	thread->frames[count].code = code;
	thread->frames[count].instruction = instruction;
	thread->walk_count = count + 1;
	/* Two odd multipliers and a shift a frame: enough to keep 64-bit content hashes apart. */
	thread->walk_hash = (thread->walk_hash ^ (code * 0x9e3779b97f4a7c15ULL + instruction)) * 0xd6e8feb86659fd93ULL;
	thread->walk_hash ^= thread->walk_hash >> 32;
	return 0;
}

/* Fills thread->frames, walk_count, walk_cut and walk_hash. No Python frame is a stack too: count 0. */
static __always_inline void walk_python_stack(struct thread *thread, struct target *target)
{
	const struct python_layout *layout = &target->layout;
	struct walk walk = { .thread = thread, .target = target };
	__u64 thread_id = thread_pointer(), frame;

	thread->walk_count = 0;
	thread->walk_cut = CUT_NOT;
	thread->walk_hash = 0;
	if (layout->chain == CHAIN_NONE)
		return;
	if (!tstate_load(thread, target, thread_id)) {
		__u32 now = now_born();

		if (thread->looked_at && now - thread->looked_at < LOOK_AGAIN)
			return;
		thread->tstate = find_tstate(target);
		thread->looked_at = thread->tstate ? 0 : now;
		if (!tstate_load(thread, target, thread_id))
			return;
	}
	frame = tstate_word(thread, target, layout->tstate_frame);
	if (layout->chain == CHAIN_CFRAME && frame &&
	    bpf_probe_read_user(&frame, 8, (void *)(frame + layout->cframe_current_frame))) {
		thread->walk_cut = CUT_UNREADABLE;
		frame = 0;
	}
	thread->walk_frame = frame;
	bpf_loop(MAX_STEPS, walk_step, &walk, 0);
	if (thread->walk_cut == CUT_NOT && thread->walk_frame && thread->walk_count == PYLEAK_MAX_FRAMES)
		thread->walk_cut = CUT_DEEP;
	if (thread->walk_cut == CUT_DEEP)
		lose(target, LOST_STACK_TRUNCATED);
	else if (thread->walk_cut == CUT_UNREADABLE)
		lose(target, LOST_FRAME_UNREADABLE);
}

#endif
