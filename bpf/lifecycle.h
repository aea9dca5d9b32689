/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The target's life, and forgetting the dead. */
#ifndef PYLEAK_BPF_LIFECYCLE_H
#define PYLEAK_BPF_LIFECYCLE_H

/* Without waking user space up: it looks several times a second, and an exec costs more than that.
 */
static __always_inline void tell(enum lifecycle kind, __u32 pid, __u32 parent)
{
	struct lifecycle_event event = {
		.kind = kind,
		.pid = pid,
		.parent = parent,
		.time_ms = bpf_ktime_get_ns() / 1000000,
	};

	/* 0: not in the tracer's pid namespace. */
	if (pid && bpf_ringbuf_output(&lifecycle_events, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&lifecycle_lost, 1);
}

/* exec: nothing that happens in the new image is of the program that we trace. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx)
{
	__u32 tgid = task_tgid(bpf_get_current_task_btf());
	__u32 *index = bpf_map_lookup_elem(&target_index, &tgid);
	struct target *target;

	if (watch_every_exec || bpf_map_lookup_elem(&followed, &tgid))
		tell(LIFECYCLE_EXEC, tgid, 0);
	if (!index)
		return 0;
	target = bpf_map_lookup_elem(&targets, index);
	if (target) {
		target->armed = 0;
		target->image_gone = 1;
	}
	return 0;
}

/* A child of a followed process is followed from its first moment: it may fork in its turn before
 * user space has heard of it. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_tgid = task_tgid(parent), tgid = task_tgid(child), yes = 1;

	if (child->pid != child->tgid || !bpf_map_lookup_elem(&followed, &parent_tgid))
		return 0;
	if (bpf_map_update_elem(&followed, &tgid, &yes, BPF_ANY))
		__sync_fetch_and_add(&lifecycle_lost, 1);
	tell(LIFECYCLE_FORK, tgid, parent_tgid);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u32 tgid = task_tgid(task);

	/* The last thread to leave takes the process with it; it need not be the first. */
	if (task->signal->live.counter || bpf_map_delete_elem(&followed, &tgid))
		return 0;
	tell(LIFECYCLE_EXIT, tgid, 0);
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
