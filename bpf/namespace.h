/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pids as user space knows them. The kernel side would see those of the initial pid namespace; a
 * tracer in a container of its own (a sidecar that shares the pid namespace of what it watches)
 * knows processes by other numbers.
 */
#ifndef PYLEAK_BPF_NAMESPACE_H
#define PYLEAK_BPF_NAMESPACE_H

/* The tracer's pid namespace: how deep it lies, 0 for the initial one, and where it is. */
__u32 namespace_level = 0;
__u64 namespace_address = 0;

/* struct pid's number at @level; include/linux/pid.h */
static __always_inline struct upid pid_number(struct pid *pid, __u32 level)
{
	struct upid number = {};

	bpf_probe_read_kernel(&number, sizeof(number),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid));
	return number;
}

static __noinline __u32 tgid_in_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	struct upid number;

	if (!pid || BPF_CORE_READ(pid, level) < namespace_level)
		return 0;
	number = pid_number(pid, namespace_level);
	return (__u64)number.ns == namespace_address ? number.nr : 0;
}

/* The pid of @task's process in the tracer's pid namespace, 0 where it has none there. */
static __always_inline __u32 task_tgid(struct task_struct *task)
{
	return namespace_level ? tgid_in_namespace(task) : task->tgid;
}

/* Run once by user space, whose namespace this learns. */
SEC("syscall")
int learn_namespace(void *ctx)
{
	struct pid *pid = BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);

	namespace_address = (__u64)pid_number(pid, level).ns;
	namespace_level = level;
	return 0;
}

#endif
