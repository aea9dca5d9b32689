/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is running: its target, its state, and what each event does first and last. */
#ifndef PYLEAK_BPF_THREAD_H
#define PYLEAK_BPF_THREAD_H

static __always_inline void lose(struct target *target, enum lost_reason reason)
{
	__sync_fetch_and_add(&target->lost[reason], 1);
}

/* Pays for an event. Its family is disarmed when the budget is used up; this event still counts. */
static __always_inline void spend(struct target *target, enum family family, __s64 cost)
{
	if (!target->limited || __sync_fetch_and_sub(&target->budget_ns[family], cost) >= cost)
		return;
	if (!target->dried_ns[family])
		target->dried_ns[family] = bpf_ktime_get_ns();
	__sync_fetch_and_and(&target->armed, ~(1u << family));
}

/* One traced event: filled by event_begin(). */
struct event {
	struct thread *thread;
	struct target *target;
	struct pt_regs *regs;
	__u32 index; /* of target */
	__u64 began_ns;
	bool timed;
};

/*
 * False where the event is none of ours: another process (some kernels filter uprobe_multi by
 * thread, and breakpoints are inherited by fork), a family that is not armed, no room for the
 * thread's state.
 */
static __always_inline bool event_begin(struct event *event, struct pt_regs *regs,
					enum family family)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tgid = task_tgid(task);
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	struct target *target = NULL;
	__u32 index = 0;

	if (thread) {
		index = thread->target;
		target = bpf_map_lookup_elem(&targets, &index);
	}
	if (!target || target->tgid != tgid) {
		__u32 *found = bpf_map_lookup_elem(&target_index, &tgid);

		if (!found)
			return false;
		index = *found;
		target = bpf_map_lookup_elem(&targets, &index);
		if (!target)
			return false;
		if (!thread)
			thread = bpf_task_storage_get(&threads, task, NULL,
						      BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!thread) {
			lose(target, LOST_THREAD_STORAGE);
			return false;
		}
		thread->target = index;
		thread->tstate = 0;
	}
	if (!(target->armed & (1u << family))) {
		__sync_fetch_and_add(&target->idle_traps[family], 1);
		return false;
	}
	spend(target, family, target->event_cost_ns);
	event->thread = thread;
	event->target = target;
	event->regs = regs;
	event->index = index;
	event->timed = !(thread->ticks++ & (PYLEAK_TIMED_EVERY - 1));
	if (event->timed)
		__sync_fetch_and_add(&target->events[family], PYLEAK_TIMED_EVERY);
	event->began_ns = bpf_ktime_get_ns();
	return true;
}

static __always_inline __u32 event_born(const struct event *event)
{
	return PYLEAK_BORN(event->began_ns);
}

/* Longer than a program runs: something else had the processor meanwhile. */
enum { MOST_EVENT_NS = 50000, MOST_SENDING_NS = 500000 };

static __always_inline void event_end(struct event *event)
{
	__u64 ns;

	if (!event->timed)
		return;
	ns = bpf_ktime_get_ns() - event->began_ns;
	__sync_fetch_and_add(&event->target->timed_ns, ns < MOST_EVENT_NS ? ns : MOST_EVENT_NS);
	__sync_fetch_and_add(&event->target->timed_events, 1);
}

/* Its allocation does not count in this window: gives back what it was charged for no more than a
 * look. */
static __always_inline void event_skip(struct event *event, enum family family)
{
	struct target *target = event->target;

	if (event->timed)
		__sync_fetch_and_add(&target->skipped_events, PYLEAK_TIMED_EVERY);
	event->timed = false;
	if (target->event_cost_ns > target->skipped_cost_ns)
		__sync_fetch_and_add(&target->budget_ns[family],
				     target->event_cost_ns - target->skipped_cost_ns);
}

#endif
