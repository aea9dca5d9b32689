/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The target's life, and forgetting the dead. */
#ifndef PYLEAK_BPF_LIFECYCLE_H
#define PYLEAK_BPF_LIFECYCLE_H

/* exec: nothing that happens in the new image is of the program that we trace. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 *index = bpf_map_lookup_elem(&target_index, &tgid);
	struct target *target;

	if (!index)
		return 0;
	target = bpf_map_lookup_elem(&targets, index);
	if (target) {
		target->armed = 0;
		target->image_gone = 1;
	}
	return 0;
}

struct retire_request {
	__u32 count;   /* of dead_blocks */
	__u32 retired; /* out: how many still were as given */
	__u32 erase;   /* take the entries out of the table too, dead ones included */
};

static long retire_step(__u64 step, struct retire_request *request)
{
	__u32 i = step;
	struct dead_block *dead = bpf_map_lookup_elem(&dead_blocks, &i);
	struct block *block;
	__u64 key, tag, size;

	if (!dead)
		return 1;
	key = dead->key;
	tag = dead->tag;
	block = bpf_map_lookup_elem(&live, &key);
	if (!block)
		return 0;
	size = block->size;
	if (tag) {
		/* Only if it has not been handed out again since it was read. */
		if (__sync_val_compare_and_swap(&block->tag, tag, 0) != tag)
			return 0;
		context_freed(PYLEAK_TAG_CONTEXT(tag), size);
	}
	request->retired++;
	if (request->erase && !block->tag)
		bpf_map_delete_elem(&live, &key);
	return 0;
}

/* Marks the blocks in dead_blocks as dead. Run by user space with a struct retire_request. */
SEC("syscall")
int retire_blocks(struct retire_request *request)
{
	struct retire_request work = { .count = request->count, .erase = request->erase };

	if (work.count > PYLEAK_RETIRE_BATCH)
		return -1;
	bpf_loop(work.count, retire_step, &work, 0);
	request->retired = work.retired;
	return 0;
}

/* Does nothing, on a function of the tracer's own: what a bare trap costs on this host. */
SEC("uprobe")
int calibrate(void *ctx)
{
	return 0;
}

#endif
