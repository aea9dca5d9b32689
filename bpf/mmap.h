/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Anonymous memory that the program maps itself. The probes stand right after the system call in
 * libc's wrappers, where the result and the arguments are all in registers. What an allocator maps
 * for itself is told by the return address and left out.
 */
#ifndef PYLEAK_BPF_MMAP_H
#define PYLEAK_BPF_MMAP_H

enum {
	PAGE_MASK = 4095,
	/* include/uapi/asm-generic/mman-common.h */
	PROT_WRITE_BIT = 0x2,
	MAP_ANONYMOUS_BIT = 0x20,
};

static __always_inline bool in_range(const struct address_range *range, __u64 address)
{
	return address >= range->start && address < range->end;
}

static __always_inline bool called_by_allocator(const struct target *target, __u64 slot,
						__u64 length)
{
	__u64 caller = 0;
	int i;

	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)slot))
		return false;
	for (i = 0; i < PYLEAK_MAX_ALLOCATORS; i++)
		if (in_range(&target->allocators[i], caller))
			return true;
	if (target->arena_alloc.start)
		return in_range(&target->arena_alloc, caller);
	/* Before the interpreter's tables are known, or where there are none (2.7): by size. */
	return length == target->layout.arena_size && in_range(&target->interpreter, caller);
}

static __always_inline void mmap_event(struct event *event, struct pt_regs *ctx, __u64 cookie)
{
	/* System calls keep all registers but rax, rcx and r11; the fourth argument is in r10. */
	__u64 result = ctx->ax, address = ctx->di;
	__u64 length = (ctx->si + PAGE_MASK) & ~(__u64)PAGE_MASK;
	__u64 slot = ctx->sp + (cookie >> 8); /* of the return address */
	__u32 function = cookie & 0xff;
	struct block was = {};
	__u32 id;

	if (result >= (__u64)-4095)
		return;
	if (function != MMAP_MAP && called_by_allocator(event->target, slot, 0))
		return;
	switch (function) {
	case MMAP_MAP:
		if (!(ctx->r10 & MAP_ANONYMOUS_BIT) || !(ctx->dx & PROT_WRITE_BIT) ||
		    called_by_allocator(event->target, slot, length))
			return;
		break;
	case MMAP_UNMAP:
		block_died(event, address, &was);
		/* The rest of a block whose beginning was unmapped goes on living. Other partial
		 * unmaps: user space, from maps. */
		if (was.tag && was.size > length)
			block_born(event, address + length, was.size - length,
				   PYLEAK_TAG_CONTEXT(was.tag), PYLEAK_TAG_BORN(was.tag), 0);
		return;
	case MMAP_REMAP:
		block_died(event, address, &was);
		if (!was.tag)
			return;
		length = (ctx->dx + PAGE_MASK) & ~(__u64)PAGE_MASK;
		break;
	}
	id = find_context(event, FAMILY_MMAP);
	if (id)
		block_born(event, result, length, id, event_born(event), 0);
}

SEC("uprobe")
int mmap_site(struct pt_regs *ctx)
{
	struct event event;

	if (!event_begin(&event, ctx, FAMILY_MMAP))
		return 0;
	mmap_event(&event, ctx, bpf_get_attach_cookie(ctx));
	event_end(&event);
	return 0;
}

#endif
