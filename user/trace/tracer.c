// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/tracer.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "trace/link_keeper.h"
#include "trace/own_function.h"

struct traced {
	struct kernel_side *kernel;
	const struct process *process;
	struct probe_plan *plan;
	uint32_t index;
	uint32_t armed;
	GPtrArray *slots; /* of struct link_slot *, by group of the plan */
	struct link_slot *warm_slots[FAMILY_COUNT];
};

/* The windows of PyThreadState and of a frame that the kernel side reads at once. */
static bool set_windows(struct target *target, GError **error)
{
	const struct python_layout *layout = &target->layout;
	uint32_t tstate_end = MAX(layout->tstate_frame, layout->tstate_thread_id) + 8;

	target->tstate_start = MIN(layout->tstate_frame, layout->tstate_thread_id) / 8 * 8;
	target->tstate_length = tstate_end - target->tstate_start;
	target->frame_length = MAX(MAX(layout->frame_code, layout->frame_previous),
				   MAX(MAX(layout->frame_instruction, layout->frame_owner),
				       layout->frame_is_entry) /
					   8 * 8) +
			       8;
	/* 3.11 and later push frames of Python calls on a stack of their own (Python/pystate.c,
	 * _PyThreadState_PushFrame). */
	target->frames_adjacent = layout->instruction == INSTRUCTION_POINTER;
	if (target->tstate_length > PYLEAK_TSTATE_WINDOW ||
	    target->frame_length > PYLEAK_FRAME_WINDOW) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "this interpreter's structures are larger than pyleak can read: update "
			    "pyleak");
		return false;
	}
	return true;
}

static uint32_t free_index(const struct kernel_side *kernel)
{
	for (uint32_t i = 1; i < PYLEAK_MAX_TARGETS; i++)
		if (!kernel_side_target(kernel, i)->tgid)
			return i;
	return 0;
}

static bool publish(struct traced *traced, const struct interpreter *interpreter, GError **error)
{
	struct target target = { .tgid = traced->process->pid };

	target.layout.chain = CHAIN_NONE;
	if (interpreter) {
		target.layout = interpreter->layout;
		if (!set_windows(&target, error))
			return false;
	}
	memcpy(target.allocators, traced->plan->allocators, sizeof(target.allocators));
	target.arena_alloc = traced->plan->arena_alloc;
	target.interpreter = traced->plan->interpreter;
	traced->index = free_index(traced->kernel);
	if (!traced->index) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "more than %d processes at once", PYLEAK_MAX_TARGETS - 1);
		return false;
	}
	*kernel_side_target(traced->kernel, traced->index) = target;
	if (!kernel_side_target_publish(traced->kernel, target.tgid, traced->index)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot register process %d with the kernel", traced->process->pid);
		return false;
	}
	return true;
}

static bool open_slots(struct traced *traced, GError **error)
{
	for (int family = 0; family < FAMILY_COUNT; family++) {
		traced->warm_slots[family] =
			link_slot_new(kernel_side_keeper(traced->kernel), error);
		if (!traced->warm_slots[family])
			return false;
	}
	for (guint i = 0; i < traced->plan->groups->len; i++) {
		struct link_slot *slot = link_slot_new(kernel_side_keeper(traced->kernel), error);

		if (!slot)
			return false;
		g_ptr_array_add(traced->slots, slot);
	}
	return true;
}

static void free_slot(void *slot)
{
	link_slot_free(slot);
}

struct traced *traced_new(struct kernel_side *kernel, const struct process *process,
			  const struct interpreter *interpreter, const struct traced *parent,
			  GError **error)
{
	struct traced *traced = g_new0(struct traced, 1);

	traced->kernel = kernel;
	traced->process = process;
	traced->slots = g_ptr_array_new_with_free_func(free_slot);
	traced->plan = parent ? probe_plan_copy(parent->plan, parent->process->pid, process->pid)
			      : probe_plan_new(process, interpreter, error);
	if (!traced->plan || !open_slots(traced, error) || !publish(traced, interpreter, error)) {
		traced_free(traced);
		return NULL;
	}
	return traced;
}

void traced_free(struct traced *traced)
{
	if (!traced)
		return;
	if (traced->armed)
		traced_disarm(traced, traced->armed);
	g_ptr_array_unref(traced->slots);
	for (int family = 0; family < FAMILY_COUNT; family++)
		link_slot_free(traced->warm_slots[family]);
	if (traced->index) {
		kernel_side_target_withdraw(traced->kernel, traced->process->pid);
		kernel_side_target(traced->kernel, traced->index)->tgid = 0;
	}
	probe_plan_free(traced->plan);
	g_free(traced);
}

/* The kernel side clears bits of its own when a budget is used up, so bits are set and cleared one
 * by one. */
static void set_armed(struct traced *traced, uint32_t families)
{
	__atomic_fetch_or(&traced->armed, families, __ATOMIC_RELAXED);
	__atomic_fetch_or(&kernel_side_target(traced->kernel, traced->index)->armed, families,
			  __ATOMIC_RELEASE);
}

static void clear_armed(struct traced *traced, uint32_t families)
{
	__atomic_fetch_and(&traced->armed, ~families, __ATOMIC_RELAXED);
	__atomic_fetch_and(&kernel_side_target(traced->kernel, traced->index)->armed, ~families,
			   __ATOMIC_RELEASE);
}

/* Each probe with the same chance: what is seen of any site is then worth 1 / @fraction. */
static void leave_to_chance(GArray *probes, double fraction)
{
	guint wanted = MAX(1, (guint)(probes->len * fraction + 0.5));

	while (probes->len > wanted)
		g_array_remove_index_fast(probes, g_random_int_range(0, probes->len));
}

/* Those of the group that are to be armed. */
static GArray *choose_probes(const struct probe_group *group, const struct arming *arming)
{
	GArray *chosen;

	if (group->family != FAMILY_PYMALLOC)
		return g_array_ref(group->probes);
	chosen = g_array_new(false, false, sizeof(struct uprobe));
	for (guint i = 0; i < group->probes->len; i++)
		if (!arming->sites || arming->sites[i])
			g_array_append_val(chosen, g_array_index(group->probes, struct uprobe, i));
	leave_to_chance(chosen, arming->fraction);
	return chosen;
}

bool traced_arm(struct traced *traced, uint32_t families, const struct arming *arming,
		GError **error)
{
	for (guint i = 0; i < traced->plan->groups->len; i++) {
		const struct probe_group *group = traced->plan->groups->pdata[i];
		struct link_slot *slot = traced->slots->pdata[i];
		g_autoptr(GArray) probes = NULL;

		if (!(families & 1u << group->family) || link_slot_has_link(slot))
			continue;
		probes = choose_probes(group, arming);
		if (!link_slot_create(slot, kernel_side_program_fd(traced->kernel, group->program),
				      group->path, probes, traced->process->pid, group->at_return,
				      error)) {
			traced_disarm(traced, families & ~traced->armed);
			return false;
		}
	}
	__atomic_fetch_add(&kernel_side_target(traced->kernel, traced->index)->armings, 1,
			   __ATOMIC_RELAXED);
	set_armed(traced, families);
	return true;
}

void traced_disarm(struct traced *traced, uint32_t families)
{
	guint count = traced->plan->groups->len;

	clear_armed(traced, families);
	/* Removing a link mostly waits for the kernel's grace periods: begin with all of them. */
	for (guint i = count; i-- > 0;) {
		const struct probe_group *group = traced->plan->groups->pdata[i];

		if (families & 1u << group->family)
			link_slot_close_begin(traced->slots->pdata[i]);
	}
	for (guint i = 0; i < count; i++) {
		const struct probe_group *group = traced->plan->groups->pdata[i];

		if (families & 1u << group->family)
			link_slot_close_finish(traced->slots->pdata[i]);
	}
	for (int family = 0; family < FAMILY_COUNT; family++) {
		if (!(families & 1u << family))
			continue;
		link_slot_close_begin(traced->warm_slots[family]);
		link_slot_close_finish(traced->warm_slots[family]);
	}
}

void traced_warm_up(struct traced *traced, enum family family)
{
	struct link_slot *slot = traced->warm_slots[family];
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
	struct uprobe probe;

	if (link_slot_has_link(slot) || !own_function_probe(&probe))
		return;
	g_array_append_val(probes, probe);
	/* The target has not mapped that file: no breakpoint is written anywhere. */
	link_slot_create(slot, kernel_side_program_fd(traced->kernel, PROGRAM_CALIBRATE),
			 OWN_FUNCTION_PATH, probes, traced->process->pid, false, NULL);
}

void traced_prepare_disarm(struct traced *traced, enum family family)
{
	link_slot_close_begin(traced->warm_slots[family]);
}

static uint64_t sum_of_slots(const struct traced *traced, enum family family,
			     uint64_t (*time)(const struct link_slot *slot))
{
	uint64_t sum = time(traced->warm_slots[family]);

	for (guint i = 0; i < traced->plan->groups->len; i++) {
		const struct probe_group *group = traced->plan->groups->pdata[i];

		if (group->family == family)
			sum += time(traced->slots->pdata[i]);
	}
	return sum;
}

uint64_t traced_arming_cpu_ns(const struct traced *traced, enum family family)
{
	return sum_of_slots(traced, family, link_slot_cpu_ns);
}

uint64_t traced_arming_beside_ns(const struct traced *traced, enum family family)
{
	return sum_of_slots(traced, family, link_slot_beside_ns);
}

void traced_stop_counting(struct traced *traced, uint32_t families)
{
	clear_armed(traced, families);
}

struct kernel_side *traced_kernel(const struct traced *traced)
{
	return traced->kernel;
}

uint32_t traced_index(const struct traced *traced)
{
	return traced->index;
}

uint32_t traced_armed(const struct traced *traced)
{
	return traced->armed;
}

const struct probe_plan *traced_plan(const struct traced *traced)
{
	return traced->plan;
}

struct target *traced_shared(const struct traced *traced)
{
	return kernel_side_target(traced->kernel, traced->index);
}

const struct target *traced_record(const struct traced *traced)
{
	return kernel_side_target(traced->kernel, traced->index);
}
