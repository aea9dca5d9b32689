/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The native part of a stack. Distributions build without frame pointers, so the kernel cannot walk
 * it: of a new context registers and stack are copied, once, and unwound in user space
 * (user/symbolize/native.h).
 */
#ifndef PYLEAK_BPF_NATIVE_STACK_H
#define PYLEAK_BPF_NATIVE_STACK_H

enum {
	MAX_PIECES = 128,
	SMALL_PIECE = 256,
	SMALL_PIECE_RECORD = __builtin_offsetof(struct stack_piece, bytes) + SMALL_PIECE,
	/* A thread's own stack is no larger; beyond, an address is of something else. */
	MAX_STACK_SHIFT = 28,
};

/* Whether @address may be in the stack that grows down to @sp. */
static __always_inline bool is_up_stack(__u64 sp, __u64 address)
{
	return address > sp && !((address - sp) >> MAX_STACK_SHIFT);
}

/*
 * What tells native paths apart that lead to the same Python frame: how far the stack has grown
 * since, which one path always does by the same amount. It stands in registers: nothing is read.
 */
static __always_inline __u64 native_depth(const struct event *event)
{
	__u64 sp = event->regs->sp, base = event->thread->walk_loop;

	return (is_up_stack(sp, base) ? base : thread_pointer()) - sp;
}

/*
 * The native part of a context's identity. For malloc and mmap the depth and who called. Objects of
 * pymalloc are the interpreter's own, and told by the line of Python; its contexts would double in
 * number. Once half of the contexts are used up (code that takes stack by the size of its data
 * makes many) the Python stack alone has to do.
 */
static __always_inline __u64 native_identity(const struct event *event, enum family family)
{
	__u64 depth;

	if (!event->target->native_bytes || last_context > max_contexts / 2 ||
	    (family == FAMILY_PYMALLOC && event->thread->walk_count))
		return 0;
	depth = native_depth(event) * 0xd6e8feb86659fd93ULL;
	return depth ^ (event->regs->ip * 0xa0761d6478bd642fULL);
}

/*
 * Whether the stack of this allocation is to be sent: the first of its context, the first again
 * until its native part could be sent, and of pymalloc a few that came by another native path.
 */
static __always_inline bool is_news(const struct event *event, const struct traced_context *context,
				    __u32 *path)
{
	*path = 1;
	if (!context->sent || !event->target->native_bytes)
		return !context->sent;
	if (context->family != FAMILY_PYMALLOC)
		return !context->paths;
	*path = 1u << ((native_depth(event) * 0xd6e8feb86659fd93ULL) >> 59);
	return context->sent < PYLEAK_MAX_PATHS && !(context->paths & *path);
}

struct stack_copy {
	struct target *target;
	__u64 stamp;
	__u64 from, end;
	__u32 context, index;
	bool full;
};

static long copy_step(__u64 step, struct stack_copy *copy)
{
	__u64 length = PYLEAK_STACK_PIECE - (copy->from & (PYLEAK_STACK_PIECE - 1));
	struct stack_piece *piece;

	if (copy->from >= copy->end)
		return 1;
	if (length > copy->end - copy->from)
		length = copy->end - copy->from;
	/* The size must be a constant; most stacks end after little. */
	if (length <= SMALL_PIECE)
		piece = bpf_ringbuf_reserve(&events, SMALL_PIECE_RECORD, 0);
	else
		piece = bpf_ringbuf_reserve(&events, sizeof(*piece), 0);
	if (!piece) {
		copy->full = true;
		return 1;
	}
	piece->kind = EVENT_STACK_PIECE;
	piece->context = copy->context;
	piece->target = copy->index;
	piece->stamp = copy->stamp;
	piece->address = copy->from;
	piece->length = length;
	copy->from += length;
	/* The verifier forgets the bound on the way. */
	asm volatile("" : "+r"(length));
	if (length > PYLEAK_STACK_PIECE ||
	    bpf_probe_read_user(piece->bytes, length, (void *)(copy->from - length)))
		bpf_ringbuf_discard(piece, 0);
	else
		bpf_ringbuf_submit(piece, 0);
	return 0;
}

/* Where the part of the stack ends that is wanted, if that can be told; else 0. */
static __always_inline __u64 wanted_end(const struct event *event, __u64 sp)
{
	__u64 loop = event->thread->walk_loop, base = thread_pointer();

	if (!event->target->native_full && is_up_stack(sp, loop))
		return loop;
	/* glibc and musl put what the thread pointer leads to above a thread's stack. The main
	 * thread's is elsewhere. */
	if (is_up_stack(sp, base))
		return base;
	base = BPF_CORE_READ(bpf_get_current_task_btf(), mm, start_stack);
	return is_up_stack(sp, base) ? base : 0;
}

/* Fills the event's registers and sends the pieces. False where the ring buffer has no room. */
static __noinline bool copy_native_stack(struct event *event, __u32 context)
{
	struct context_event *sent = &event->thread->event;
	struct pt_regs *regs = event->regs;
	__u64 end, most = event->target->native_bytes;
	struct stack_copy copy = {
		.target = event->target,
		.stamp = sent->stamp,
		.from = regs->sp,
		.context = context,
		.index = event->index,
	};

	sent->registers = (struct native_registers){ regs->ip,	regs->sp,  regs->bp,  regs->bx,
						     regs->r12, regs->r13, regs->r14, regs->r15 };
	end = wanted_end(event, copy.from);
	if (!end || end - copy.from > most)
		end = copy.from + most;
	copy.end = end;
	sent->native_end = end;
	bpf_loop(MAX_PIECES, copy_step, &copy, 0);
	return !copy.full;
}

#endif
