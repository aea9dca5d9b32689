/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contexts and live blocks: what was allocated where, and what of it is still outstanding. */
#ifndef PYLEAK_BPF_ACCOUNTING_H
#define PYLEAK_BPF_ACCOUNTING_H

static __always_inline struct traced_context *context_at(__u32 id)
{
	return bpf_map_lookup_elem(&contexts, &id);
}

static __always_inline void context_freed(__u32 id, __u64 size)
{
	struct traced_context *context = context_at(id);

	if (!context)
		return;
	__sync_fetch_and_add(&context->free_blocks, 1);
	__sync_fetch_and_add(&context->free_bytes, size);
}

/* Known to the nanosecond, so it does not go into the sample of timed events. */
static __always_inline void charge_sending(struct event *event, __u32 family, __u64 ns)
{
	event->began_ns += ns;
	if (ns > MOST_SENDING_NS)
		ns = MOST_SENDING_NS;
	if (family >= FAMILY_COUNT)
		return;
	__sync_fetch_and_add(&event->target->sent_ns[family], ns);
	spend(event->target, family, ns);
}

/*
 * Does not begin what will not fit, which would be tried anew at every allocation; and leaves out
 * the native part, which is the larger one, while there is little room.
 */
static __always_inline bool has_room(struct event *event, const struct traced_context *context,
				     bool *native)
{
	__u64 used = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__u64 size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);

	*native = event->target->native_bytes && used <= size / 2;
	if (used > size / 8 * 7) {
		lose(event->target, LOST_EVENTS_FULL);
		return false;
	}
	if (event->target->native_bytes && !*native) {
		if (context->sent)
			return false;
		lose(event->target, LOST_NATIVE_FULL);
	}
	return true;
}

static __always_inline void fill_event(struct event *event, const struct traced_context *context,
				       __u32 id, __u64 stamp)
{
	struct thread *thread = event->thread;

	thread->event.kind = EVENT_CONTEXT;
	thread->event.stamp = stamp;
	thread->event.context = id;
	thread->event.target = event->index;
	thread->event.family = context->family;
	thread->event.count = thread->walk_count;
	thread->event.truncated = thread->walk_cut != CUT_NOT;
	thread->event.entry_count = thread->walk_entries;
	thread->event.again = context->sent;
	thread->event.loop = thread->walk_loop;
	thread->event.native_end = 0;
}

/* @path: the bit that stands for this native path once it has been sent. */
static __noinline void send_stack(struct event *event, struct traced_context *context, __u32 id,
				  __u32 path)
{
	struct thread *thread = event->thread;
	__u32 count = thread->walk_count, length;
	__u64 began = bpf_ktime_get_ns();
	bool native;

	if (count > PYLEAK_MAX_FRAMES || !has_room(event, context, &native))
		return;
	identify_frames(event);
	fill_event(event, context, id, began);
	length = sizeof(thread->event) + count * sizeof(struct raw_frame);
	/* Known already, but the verifier forgets the bound on the way. */
	asm volatile("" : "+r"(length));
	if (length > sizeof(thread->event) + sizeof(thread->frames))
		return;
	if ((native && !copy_native_stack(event, id)) ||
	    bpf_ringbuf_output(&events, &thread->event, length, 0)) {
		lose(event->target, LOST_EVENTS_FULL);
	} else {
		context->sent++;
		if (native)
			context->paths |= path;
	}
	charge_sending(event, context->family, bpf_ktime_get_ns() - began);
}

static __noinline __u32 new_context(struct event *event, __u64 hash, enum family family)
{
	__u32 id = 0, *other;
	struct traced_context *context;

	if (bpf_map_pop_elem(&free_contexts, &id)) {
		/* Looked at first, so that a full table does not make the counter run on. */
		if (last_context + 1 >= max_contexts)
			goto full;
		id = __sync_fetch_and_add(&last_context, 1) + 1;
		if (id >= max_contexts)
			goto full;
	}
	context = context_at(id);
	if (!context)
		goto full;
	context->hash = hash;
	context->target = event->index;
	context->family = family;
	if (bpf_map_update_elem(&context_ids, &hash, &id, BPF_NOEXIST)) {
		/* Another thread was first with the same stack: use its id and give this one back.
		 */
		context->hash = 0;
		bpf_map_push_elem(&free_contexts, &id, 0);
		other = bpf_map_lookup_elem(&context_ids, &hash);
		if (other)
			return *other;
		goto full;
	}
	return id;
full:
	lose(event->target, LOST_CONTEXTS_FULL);
	return 0;
}

/* The context of the running thread's stack in @family; 0 where there is no room for a new one. */
static __always_inline __u32 find_context(struct event *event, enum family family)
{
	struct thread *thread = event->thread;
	struct traced_context *context;
	__u64 hash;
	__u32 *known, id, path;

	walk_python_stack(event);
	hash = thread->walk_hash ^
	       ((__u64)event->index << 40 | (__u64)family << 32 | thread->walk_count);
	hash += native_identity(event, family);
	hash *= 0x9e3779b97f4a7c15ULL;
	known = bpf_map_lookup_elem(&context_ids, &hash);
	id = known ? *known : new_context(event, hash, family);
	context = context_at(id);
	if (!id || !context)
		return 0;
	if (is_news(event, context, &path))
		send_stack(event, context, id, path);
	return id;
}

static __always_inline void log_birth(struct event *event, enum family family, __u64 key, __u64 tag,
				      __u64 size, __u32 site)
{
	struct target *target = event->target;
	__u32 log = target->birth_log[family], at;
	struct birth *birth;

	if (!log)
		return;
	at = __sync_fetch_and_add(&target->birth_count[family], 1);
	if (at >= PYLEAK_BIRTHS && !target->birth_ring[family])
		return;
	at = at % PYLEAK_BIRTHS + (log - 1) * PYLEAK_BIRTHS;
	birth = bpf_map_lookup_elem(&births, &at);
	if (!birth)
		return;
	birth->key = key;
	birth->tag = tag;
	birth->size = size < (__u32)-1 ? size : (__u32)-1;
	birth->content = 0;
	birth->site = site;
	if (family == FAMILY_PYMALLOC) {
		event->thread->last_birth = at + 1;
		event->thread->last_key = key;
	}
}

/*
 * What the thread's last block became. Its place may be handed out again unseen, by a site that is
 * not armed or before anybody looks at it from outside: what it holds then is compared with this.
 */
static __always_inline void log_content(struct thread *thread)
{
	__u32 at = thread->last_birth - 1, length;
	struct birth *birth;

	thread->last_birth = 0;
	birth = bpf_map_lookup_elem(&births, &at);
	if (!birth || birth->key != thread->last_key)
		return;
	length = birth->size < sizeof(birth->words) ? birth->size : sizeof(birth->words);
	if (!bpf_probe_read_user(birth->words, length, (void *)PYLEAK_KEY_ADDRESS(birth->key)))
		birth->content = length;
}

/*
 * A block became live. A live entry at the same address means that its old block was freed without
 * being seen (pymalloc frees are never trapped) and the memory handed out again.
 */
static __always_inline void block_born(struct event *event, __u64 address, __u64 size, __u32 id,
				       __u32 born, __u32 site)
{
	__u64 key = PYLEAK_BLOCK_KEY(event->index, address);
	__u64 tag = PYLEAK_TAG(id, born);
	struct block *block = bpf_map_lookup_elem(&live, &key);
	struct traced_context *context = context_at(id);
	__u32 family;

	if (!context)
		return;
	if (block) {
		__u64 old_size = block->size;
		__u64 old_tag = __sync_lock_test_and_set(&block->tag, tag);

		block->size = size;
		if (old_tag)
			context_freed(PYLEAK_TAG_CONTEXT(old_tag), old_size);
	} else {
		struct block new_block = { .tag = tag, .size = size };

		if (bpf_map_update_elem(&live, &key, &new_block, BPF_ANY)) {
			lose(event->target, LOST_LIVE_FULL);
			return;
		}
	}
	__sync_fetch_and_add(&context->alloc_blocks, 1);
	__sync_fetch_and_add(&context->alloc_bytes, size);
	family = context->family;
	if (!event->target->limited || family >= FAMILY_COUNT)
		return;
	if (family == FAMILY_PYMALLOC && event->target->skipped_classes) {
		__sync_fetch_and_add(&context->focused_blocks, 1);
		__sync_fetch_and_add(&context->focused_bytes, size);
	}
	/* Known already, but the verifier forgets the bound on the way. */
	asm volatile("" : "+r"(family));
	if (family < FAMILY_COUNT)
		log_birth(event, family, key, tag, size, site);
}

/* A block was freed. Fills @was (tag 0: it was not known) so that a realloc that fails can put it
 * back. */
static __always_inline void block_died(struct event *event, __u64 address, struct block *was)
{
	__u64 key = PYLEAK_BLOCK_KEY(event->index, address);
	struct block *block = bpf_map_lookup_elem(&live, &key);

	was->tag = 0;
	if (!block)
		return;
	was->size = block->size;
	was->tag = __sync_lock_test_and_set(&block->tag, 0);
	if (was->tag)
		context_freed(PYLEAK_TAG_CONTEXT(was->tag), was->size);
	bpf_map_delete_elem(&live, &key);
}

/* Undoes block_died(): the block was not freed after all. */
static __always_inline void block_undied(struct event *event, __u64 address,
					 const struct block *was)
{
	__u64 key = PYLEAK_BLOCK_KEY(event->index, address);
	struct traced_context *context = context_at(PYLEAK_TAG_CONTEXT(was->tag));
	struct block block = *was;

	if (!was->tag || !context)
		return;
	if (bpf_map_update_elem(&live, &key, &block, BPF_ANY)) {
		lose(event->target, LOST_LIVE_FULL);
		return;
	}
	__sync_fetch_and_sub(&context->free_blocks, 1);
	__sync_fetch_and_sub(&context->free_bytes, was->size);
}

#endif
