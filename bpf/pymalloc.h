/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pymalloc: one probe at the conditional jump of each copy of its fast path. There the pool is in a
 * register (the cookie says which) and pool->freeblock is the block about to be returned: one trap
 * gives address, size and stack.
 *
 * Where the class has no pool with room (the register holds the empty list's head), the slow path
 * takes a new pool and hands out one of its blocks. The list was empty and frees only link pools in
 * at its front, so at the next allocation the new pool is the last of the list, with one block in
 * use: the one that was handed out. If there is no such pool any more, the block has been freed
 * meanwhile. Source: Objects/obmalloc.c, CPython 2.7 to 3.15.
 */
#ifndef PYLEAK_BPF_PYMALLOC_H
#define PYLEAK_BPF_PYMALLOC_H

enum { MAX_CLASS = 63, MAX_POOL_BLOCKS = 2048 };

struct pool_header {
	__u32 count;
	__u32 unused;
	__u64 freeblock;
	__u64 nextpool;
	__u64 prevpool;
	__u32 arenaindex;
	__u32 szidx;
	__u32 nextoffset;
	__u32 maxnextoffset;
};

struct free_list {
	__u64 next;
	__u64 sum;
	__u64 first, end; /* where blocks may be */
};

static long free_list_step(__u64 step, struct free_list *list)
{
	if (!list->next)
		return 1;
	if (list->next < list->first || list->next >= list->end)
		return 1;
	list->sum += list->next;
	if (bpf_probe_read_user(&list->next, 8, (void *)list->next))
		return 1;
	return 0;
}

static __always_inline bool pool_header_read(const struct target *target, __u64 pool,
					     struct pool_header *header)
{
	if (bpf_probe_read_user(header, sizeof(*header), (void *)pool))
		return false;
	return header->szidx <= MAX_CLASS && header->maxnextoffset < target->layout.pool_size;
}

/*
 * The only block in use of @pool: the sum of the addresses of all blocks carved so far, less the
 * sum of those on the free list. 0 where the pool does not look like that.
 */
static __noinline __u64 only_block(__u64 pool, __u64 size, __u64 nextoffset, __u64 freeblock)
{
	__u64 carved = (nextoffset - PYLEAK_POOL_HEADER_SIZE) / size;
	struct free_list list = {
		.next = freeblock,
		.first = pool + PYLEAK_POOL_HEADER_SIZE,
		.end = pool + nextoffset,
	};
	__u64 block, sum;

	if (!carved || carved > MAX_POOL_BLOCKS)
		return 0;
	bpf_loop(MAX_POOL_BLOCKS, free_list_step, &list, 0);
	if (list.next)
		return 0;
	sum = carved * list.first + size * (carved * (carved - 1) / 2);
	block = sum - list.sum;
	if (block < list.first || block >= list.end || (block - list.first) % size)
		return 0;
	return block;
}

static __noinline void resolve_slow_path(struct event *event)
{
	struct target *target = event->target;
	struct pending_slow_path pending = target->pending;
	struct pool_header header;
	__u64 pool = 0, block, size;

	target->pending.sentinel = 0;
	if (bpf_probe_read_user(
		    &pool, 8,
		    (void *)(pending.sentinel + __builtin_offsetof(struct pool_header, prevpool))))
		goto lost;
	if (pool == pending.sentinel)
		return; /* freed since, or there was no memory: nothing to account */
	if (!pool_header_read(target, pool, &header))
		goto lost;
	/* Another pool is the last: the new one has gone, which it does when its only block is
	 * freed. */
	if (header.count != 1)
		return;
	if (target->skipped_classes >> header.szidx & 1)
		return;
	size = ((__u64)header.szidx + 1) * target->layout.pool_alignment;
	if (header.nextoffset < PYLEAK_POOL_HEADER_SIZE)
		goto lost;
	block = only_block(pool, size, header.nextoffset, header.freeblock);
	if (!block)
		goto lost;
	block_born(event, block, size, pending.context, pending.born, pending.site);
	return;
lost:
	lose(target, LOST_SLOW_PATH);
}

static __always_inline void pymalloc_event(struct event *event, __u64 pool, __u32 site)
{
	struct target *target = event->target;
	struct pool_header header;
	__u64 size, end;
	__u32 id;

	if (event->thread->last_birth)
		log_content(event->thread);
	if (target->pending.sentinel)
		resolve_slow_path(event);
	if (bpf_probe_read_user(&header, sizeof(header), (void *)pool)) {
		lose(target, LOST_POOL_UNREADABLE);
		return;
	}
	if (header.nextpool == pool) {
		id = find_context(event, FAMILY_PYMALLOC);
		if (id) {
			target->pending.context = id;
			target->pending.born = event_born(event);
			target->pending.site = site;
			target->pending.sentinel = pool;
		}
		return;
	}
	size = ((__u64)header.szidx + 1) * target->layout.pool_alignment;
	end = pool + target->layout.pool_size;
	if (header.szidx > MAX_CLASS || header.freeblock < pool + PYLEAK_POOL_HEADER_SIZE ||
	    header.freeblock + size > end) {
		lose(target, LOST_POOL_UNREADABLE);
		return;
	}
	if (target->skipped_classes >> header.szidx & 1) {
		event_skip(event, FAMILY_PYMALLOC);
		return;
	}
	id = find_context(event, FAMILY_PYMALLOC);
	if (!id)
		return;
	target->latest_block = PYLEAK_BLOCK_KEY(event->index, header.freeblock);
	block_born(event, header.freeblock, size, id, event_born(event), site);
}

SEC("uprobe")
int pymalloc_site(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct event event;

	if (!event_begin(&event, ctx, FAMILY_PYMALLOC))
		return 0;
	pymalloc_event(&event, register_at(ctx, (__u32)cookie), cookie >> 32);
	event_end(&event);
	return 0;
}

#endif
