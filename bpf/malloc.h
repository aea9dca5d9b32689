/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The malloc family: entry, return and free. Only the outermost call of a thread counts. Nesting is
 * told by the stack pointer (a nested call's is lower), not by a depth counter: a return that is
 * never seen heals by itself.
 */
#ifndef PYLEAK_BPF_MALLOC_H
#define PYLEAK_BPF_MALLOC_H

/* Argument @number, from 1, of the function whose site has @cookie. */
static __always_inline __u64 argument(struct pt_regs *ctx, __u64 cookie, int number)
{
	return register_at(ctx, cookie >> (8 * number) & 0xff);
}

/*
 * Whether the running call is inside the thread's outermost one, tail calls (the same stack
 * pointer: glibc's realloc(NULL) jumps to malloc) included. A stale outermost call is dropped and
 * counted.
 */
static __always_inline bool is_nested(struct event *event, __u64 sp)
{
	struct thread *thread = event->thread;

	if (!thread->call_sp || thread->call_armings != event->target->armings)
		return false;
	if (sp <= thread->call_sp)
		return true;
	thread->call_sp = 0;
	lose(event->target, LOST_RETURN_MISSED);
	return false;
}

static __always_inline void malloc_enter(struct event *event, struct pt_regs *ctx)
{
	struct thread *thread = event->thread;
	__u64 cookie = bpf_get_attach_cookie(ctx), sp = PT_REGS_SP(ctx);
	__u32 function = cookie & 0xff;
	struct block old = {};

	if (is_nested(event, sp))
		return;
	thread->call_pointer = argument(ctx, cookie, 1);
	switch (function) {
	case MALLOC_SIZE_1:
		thread->call_size = argument(ctx, cookie, 1);
		break;
	case MALLOC_SIZE_2:
		thread->call_size = argument(ctx, cookie, 2);
		break;
	case MALLOC_COUNT_SIZE:
		thread->call_size = argument(ctx, cookie, 1) * argument(ctx, cookie, 2);
		break;
	case MALLOC_REALLOC:
		thread->call_size = argument(ctx, cookie, 2);
		break;
	case MALLOC_POSIX:
		thread->call_size = argument(ctx, cookie, 3);
		break;
	case MALLOC_REALLOCARRAY:
		thread->call_size = argument(ctx, cookie, 2) * argument(ctx, cookie, 3);
		break;
	}
	/* Taken out now: once realloc has freed it, another thread may be given its address before
	 * we see the return. */
	if ((function == MALLOC_REALLOC || function == MALLOC_REALLOCARRAY) && thread->call_pointer)
		block_died(event, thread->call_pointer, &old);
	thread->call_old = old;
	thread->call_function = function;
	thread->call_sp = sp;
	thread->call_armings = event->target->armings;
}

static __always_inline void malloc_leave(struct event *event, struct pt_regs *ctx)
{
	struct thread *thread = event->thread;
	__u64 result = PT_REGS_RC(ctx), size = thread->call_size;
	__u32 id;

	/* At the entry the return address was at the stack pointer; after the return it is popped.
	 */
	if (!thread->call_sp || PT_REGS_SP(ctx) != thread->call_sp + 8)
		return;
	thread->call_sp = 0;
	if (thread->call_function == MALLOC_POSIX) {
		if (result ||
		    bpf_probe_read_user(&result, sizeof(result), (void *)thread->call_pointer))
			return;
	} else if (!result) {
		/* realloc(p, 0) frees, every other failure keeps the old block. */
		if (thread->call_old.tag && size)
			block_undied(event, thread->call_pointer, &thread->call_old);
		return;
	}
	if (!result)
		return;
	id = find_context(event, FAMILY_MALLOC);
	if (id)
		block_born(event, result, size, id, event_born(event), 0);
}

SEC("uprobe")
int malloc_entry(struct pt_regs *ctx)
{
	struct event event;

	if (!event_begin(&event, ctx, FAMILY_MALLOC))
		return 0;
	malloc_enter(&event, ctx);
	event_end(&event);
	return 0;
}

SEC("uretprobe")
int malloc_return(struct pt_regs *ctx)
{
	struct event event;

	if (!event_begin(&event, ctx, FAMILY_MALLOC))
		return 0;
	malloc_leave(&event, ctx);
	event_end(&event);
	return 0;
}

SEC("uprobe")
int malloc_free(struct pt_regs *ctx)
{
	struct event event;
	struct block was;
	__u64 address = argument(ctx, bpf_get_attach_cookie(ctx), 1);

	if (!address || !event_begin(&event, ctx, FAMILY_MALLOC))
		return 0;
	if (!is_nested(&event, PT_REGS_SP(ctx)))
		block_died(&event, address, &was);
	event_end(&event);
	return 0;
}

#endif
