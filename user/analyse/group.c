// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/group.h"

#include <string.h>

#include "analyse/names_hash.h"

static const char *frame_module(const struct frame *frame)
{
	g_autofree char *name = NULL;
	const char *below;

	if (frame->kind == FRAME_NATIVE || !frame->file || *frame->file == '<')
		return frame->module ? frame->module : frame->file;
	below = library_path(frame->file);
	if (!below) {
		name = g_path_get_dirname(frame->file);
	} else {
		name = g_strndup(below, strcspn(below, "/"));
		if (g_str_has_suffix(name, ".py"))
			name[strlen(name) - strlen(".py")] = '\0';
	}
	return g_intern_string(name);
}

/* @frame with only what the stacks of its group share. */
static struct frame shared_frame(enum group_by group_by, const struct frame *frame)
{
	struct frame shared = *frame;

	if (group_by == GROUP_BY_LINE && (frame->line || frame->kind == FRAME_PYTHON))
		shared.offset = 0;
	if (group_by == GROUP_BY_LINE || group_by == GROUP_BY_STACK)
		return shared;
	shared.line = 0;
	/* A native function without a name is told by its place, or all of them would be one. */
	if (frame->function)
		shared.offset = 0;
	if (group_by == GROUP_BY_FUNCTION)
		return shared;
	shared.offset = 0;
	shared.function = NULL;
	if (group_by == GROUP_BY_MODULE)
		shared.file = frame_module(frame);
	return shared;
}

uint64_t group_site_id(enum group_by group_by, enum family family, const struct stack *stack,
		       uint32_t lead, struct known_frames *known)
{
	GChecksum *hash = names_hash_new();

	names_hash_number(hash, stack ? 0 : 1);
	if (group_by == GROUP_BY_STACK) {
		names_hash_string(hash, family_name(family));
		for (uint32_t i = 0; stack && i < stack->count; i++)
			names_hash_number(hash, known_frames_get(known, &stack->frames[i])->id);
		names_hash_number(hash, stack && stack->truncated);
	} else if (stack && lead < stack->count) {
		struct frame frame = shared_frame(group_by, &stack->frames[lead]);

		/* A line with a lambda or a comprehension is of several functions. */
		if (group_by == GROUP_BY_LINE && frame.file && frame.line > 0)
			frame.function = NULL;
		names_hash_number(hash, frame_id(&frame));
	}
	return names_hash_end(hash);
}

struct stack group_site_stack(enum group_by group_by, const struct stack *stack, uint32_t lead)
{
	struct stack shown = { .truncated = true };

	if (!stack)
		return shown;
	shown.truncated = stack->truncated;
	if (!stack->count)
		return shown;
	if (group_by == GROUP_BY_STACK) {
		shown.count = stack->count;
		shown.frames = g_memdup2(stack->frames, stack->count * sizeof(*stack->frames));
		return shown;
	}
	shown.truncated = false;
	shown.count = 1;
	shown.frames = g_new(struct frame, 1);
	shown.frames[0] = shared_frame(group_by, &stack->frames[MIN(lead, stack->count - 1)]);
	return shown;
}
