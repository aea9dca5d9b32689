/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The malloc family: entry, return and free. Only the outermost call of a thread counts. Nesting is told by the stack pointer
 * (a nested call's is lower), not by a depth counter: a return that is never seen heals by itself.
 */
#ifndef PYLEAK_BPF_MALLOC_H
#define PYLEAK_BPF_MALLOC_H

/* Whether the running call is inside the thread's outermost one. A stale outermost call is dropped and counted. */
static __always_inline bool is_nested(struct event *event, __u64 sp)
{
	struct thread *thread = event->thread;

	if (!thread->call_sp)
		return false;
	if (sp < thread->call_sp)
		return true;
	thread->call_sp = 0;
	lose(event->target, LOST_RETURN_MISSED);
	return false;
}

static __always_inline void malloc_enter(struct event *event, struct pt_regs *ctx)
{
	struct thread *thread = event->thread;
	__u64 a = PT_REGS_PARM1(ctx), b = PT_REGS_PARM2(ctx), c = PT_REGS_PARM3(ctx);
	__u32 function = bpf_get_attach_cookie(ctx);
	struct block old = {};

	if (is_nested(event, PT_REGS_SP(ctx)))
		return;
	thread->call_pointer = 0;
	switch (function) {
	case MALLOC_SIZE_1:
		thread->call_size = a;
		break;
	case MALLOC_SIZE_2:
		thread->call_size = b;
		break;
	case MALLOC_COUNT_SIZE:
		thread->call_size = a * b;
		break;
	case MALLOC_POSIX:
		thread->call_pointer = a;
		thread->call_size = c;
		break;
	case MALLOC_REALLOC:
	case MALLOC_REALLOCARRAY:
		thread->call_pointer = a;
		thread->call_size = function == MALLOC_REALLOC ? b : b * c;
		/* Taken out now: once realloc has freed it, another thread may be given its address before we see the return. */
		if (a)
			block_died(event, a, &old);
		break;
	}
	thread->call_function = function;
	thread->call_old = old;
	thread->call_sp = PT_REGS_SP(ctx);
}

static __always_inline void malloc_leave(struct event *event, struct pt_regs *ctx)
{
	struct thread *thread = event->thread;
	__u64 result = PT_REGS_RC(ctx), size = thread->call_size;
	__u32 id;

	/* At the entry the return address was at the stack pointer; after the return it is popped. */
	if (!thread->call_sp || PT_REGS_SP(ctx) != thread->call_sp + 8)
		return;
	thread->call_sp = 0;
	if (thread->call_function == MALLOC_POSIX) {
		if (result || bpf_probe_read_user(&result, sizeof(result), (void *)thread->call_pointer))
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
		block_born(event, result, size, id, event_born(event));
}

SEC("uprobe")
int malloc_entry(struct pt_regs *ctx)
{
	struct event event;

	if (!event_begin(&event, FAMILY_MALLOC))
		return 0;
	malloc_enter(&event, ctx);
	event_end(&event);
	return 0;
}

SEC("uretprobe")
int malloc_return(struct pt_regs *ctx)
{
	struct event event;

	if (!event_begin(&event, FAMILY_MALLOC))
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
	__u64 address = PT_REGS_PARM1(ctx);

	if (!address || !event_begin(&event, FAMILY_MALLOC))
		return 0;
	if (!is_nested(&event, PT_REGS_SP(ctx)))
		block_died(&event, address, &was);
	event_end(&event);
	return 0;
}

#endif
