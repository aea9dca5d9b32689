// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/group.h"

#include <string.h>

#include "analyse/lead.h"

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

/* Strings with their terminating zero, so that ("ab", "c") and ("a", "bc") differ. */
static void hash_string(GChecksum *checksum, const char *text)
{
	text = text ? text : "";
	g_checksum_update(checksum, (const guchar *)text, strlen(text) + 1);
}

static void hash_number(GChecksum *checksum, uint64_t number)
{
	uint64_t little_endian = GUINT64_TO_LE(number);

	g_checksum_update(checksum, (const guchar *)&little_endian, sizeof(little_endian));
}

static void hash_frame(GChecksum *checksum, const struct frame *frame)
{
	hash_number(checksum, frame->kind);
	hash_string(checksum, frame->function);
	hash_string(checksum, frame->file);
	hash_string(checksum, frame->module);
	hash_number(checksum, (uint64_t)frame->line);
	/* Addresses move from build to build: they count only where there is no name. */
	hash_number(checksum, frame->function ? 0 : frame->offset);
}

uint64_t group_site_id(enum group_by group_by, enum family family, const struct stack *stack,
		       uint32_t lead)
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize size = sizeof(digest);
	uint64_t id;
	uint32_t i;

	hash_number(checksum, stack ? 0 : 1);
	if (group_by == GROUP_BY_STACK) {
		hash_string(checksum, family_name(family));
		for (i = 0; stack && i < stack->count; i++)
			hash_frame(checksum, &stack->frames[i]);
		hash_number(checksum, stack && stack->truncated);
	} else if (stack && lead < stack->count) {
		struct frame frame = shared_frame(group_by, &stack->frames[lead]);

		/* A line with a lambda or a comprehension is of several functions. */
		if (group_by == GROUP_BY_LINE && frame.file && frame.line > 0)
			frame.function = NULL;
		hash_frame(checksum, &frame);
	}
	g_checksum_get_digest(checksum, digest, &size);
	memcpy(&id, digest, sizeof(id));
	id = GUINT64_FROM_BE(id);
	return id ? id : 1;
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
