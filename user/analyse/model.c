// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/model.h"

static const char *const family_names[] = {
	[FAMILY_PYMALLOC] = "pymalloc",
	[FAMILY_MALLOC] = "malloc",
	[FAMILY_MMAP] = "mmap",
};

static const char *const family_mode_names[] = {
	[FAMILY_MODE_OFF] = "off",
	[FAMILY_MODE_SAMPLED] = "sampled",
	[FAMILY_MODE_EXACT] = "exact",
};

static const char *const verdict_names[] = {
	[VERDICT_LEAK] = "leak",
	[VERDICT_GROWING] = "growing",
	[VERDICT_STEADY] = "steady",
	[VERDICT_SHRINKING] = "shrinking",
};

static const char *const group_by_names[] = {
	[GROUP_BY_STACK] = "stack", [GROUP_BY_LINE] = "line",	  [GROUP_BY_FUNCTION] = "function",
	[GROUP_BY_FILE] = "file",   [GROUP_BY_MODULE] = "module",
};

static const struct {
	const char *name, *sentence;
} lost_reasons[] = {
	[LOST_LIVE_FULL] = { "live_full",
			     "allocations not counted: the table of live blocks is full "
			     "(--max-memory makes it larger)" },
	[LOST_CONTEXTS_FULL] = { "contexts_full", "allocations not counted: the table of stacks is "
						  "full (--max-memory makes it larger)" },
	[LOST_EVENTS_FULL] = { "events_full",
			       "new stacks reported late: the event buffer was full" },
	[LOST_POOL_UNREADABLE] = { "pool_unreadable", "allocations not counted: the pool of the "
						      "block could not be read" },
	[LOST_SLOW_PATH] = { "slow_path", "allocations not counted: the first block of a new pool "
					  "could not be told" },
	[LOST_STACK_TRUNCATED] = { "stack_truncated", "allocations counted with their stack cut at "
						      "128 frames" },
	[LOST_FRAME_UNREADABLE] = { "frame_unreadable", "allocations counted with their stack cut "
							"at a frame that could not be read" },
	[LOST_THREAD_UNKNOWN] = { "thread_unknown", "allocations counted without a stack: the "
						    "thread's state could not be looked for" },
	[LOST_RETURN_MISSED] = { "return_missed", "malloc calls not counted: their return was not "
						  "seen" },
	[LOST_THREAD_STORAGE] = { "thread_storage", "allocations not counted: no room for the "
						    "thread's state" },
	[LOST_CODE_UNREADABLE] = { "code_unreadable",
				   "frames without a name: their code object was "
				   "gone before it was read" },
	[LOST_NATIVE_FULL] = { "native_full",
			       "new stacks reported without their native part: the event buffer "
			       "was half full" },
	[LOST_NATIVE_CUT] = { "native_cut", "stacks with their native part cut: it was deeper than "
					    "what was copied" },
	[LOST_NATIVE_NO_UNWIND] = { "native_no_unwind",
				    "stacks with their native part cut at code without unwind "
				    "information" },
};

G_STATIC_ASSERT(G_N_ELEMENTS(family_names) == FAMILY_COUNT);
G_STATIC_ASSERT(G_N_ELEMENTS(lost_reasons) == LOST_COUNT);

const char *family_name(enum family family)
{
	return (size_t)family < G_N_ELEMENTS(family_names) ? family_names[family] : "unknown";
}

const char *family_mode_name(enum family_mode mode)
{
	return (size_t)mode < G_N_ELEMENTS(family_mode_names) ? family_mode_names[mode] : "off";
}

const char *group_by_name(enum group_by group_by)
{
	return (size_t)group_by < G_N_ELEMENTS(group_by_names) ? group_by_names[group_by] : "stack";
}

const char *verdict_name(enum verdict verdict)
{
	return (size_t)verdict < G_N_ELEMENTS(verdict_names) ? verdict_names[verdict] : "steady";
}

const char *lost_reason_name(enum lost_reason reason)
{
	return (size_t)reason < G_N_ELEMENTS(lost_reasons) ? lost_reasons[reason].name : "unknown";
}

const char *lost_reason_sentence(enum lost_reason reason)
{
	return (size_t)reason < G_N_ELEMENTS(lost_reasons) ? lost_reasons[reason].sentence
							   : "events lost";
}

/* Whatever element destructor the maker of @array chose, or none, the elements are freed once. */
static void free_pointer_array(GPtrArray *array, GDestroyNotify free_element)
{
	if (!array)
		return;
	g_ptr_array_set_free_func(array, free_element);
	g_ptr_array_unref(array);
}

static void site_clear(void *element)
{
	struct site *site = element;

	g_free(site->stack.frames);
	g_free(site->source);
	if (site->types)
		g_array_unref(site->types);
}

void report_free(struct report *report)
{
	if (!report)
		return;
	if (report->sites) {
		g_array_set_clear_func(report->sites, site_clear);
		g_array_unref(report->sites);
	}
	if (report->curve_points)
		g_array_unref(report->curve_points);
	if (report->pids)
		g_array_unref(report->pids);
	free_pointer_array(report->notes, g_free);
	report_target_free(report->target);
	g_free(report);
}

struct report *report_head(const struct report *report, uint32_t top)
{
	struct report *head = g_memdup2(report, sizeof(*report));
	guint count = MIN(report->sites->len, top);

	head->sites = g_array_sized_new(FALSE, FALSE, sizeof(struct site), count);
	g_array_append_vals(head->sites, report->sites->data, count);
	return head;
}

void report_head_free(struct report *head)
{
	if (!head)
		return;
	g_array_unref(head->sites);
	g_free(head);
}

struct report_target *report_target_copy(const struct report_target *target)
{
	struct report_target *copy = g_memdup2(target, sizeof(*target));

	copy->cmdline = g_strdupv(target->cmdline);
	copy->exe = g_strdup(target->exe);
	copy->python_version = g_strdup(target->python_version);
	copy->allocator = g_strdup(target->allocator);
	copy->cgroup = g_strdup(target->cgroup);
	copy->container = g_strdup(target->container);
	return copy;
}

void report_target_free(void *element)
{
	struct report_target *target = element;

	if (!target)
		return;
	g_strfreev(target->cmdline);
	g_free(target->exe);
	g_free(target->python_version);
	g_free(target->allocator);
	g_free(target->cgroup);
	g_free(target->container);
	g_free(target);
}

void report_header_free(struct report_header *header)
{
	if (!header)
		return;
	g_free(header->version);
	g_free(header->host);
	g_free(header->kernel);
	free_pointer_array(header->targets, report_target_free);
	free_pointer_array(header->option_names, g_free);
	free_pointer_array(header->option_values, g_free);
	g_free(header);
}
