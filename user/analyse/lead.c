// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/lead.h"

#include <string.h>

/*
 * Whether the outermost frame of @stack is a script that pip or a distribution wrote: PREFIX/bin/x
 * that calls what lies in PREFIX/lib.
 */
static bool is_launcher(const struct stack *stack, uint32_t index)
{
	const struct frame *frame = &stack->frames[index];
	const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;
	size_t prefix;
	uint32_t i;

	if (index + 1 != stack->count || !slash || slash - frame->file < (int)strlen("/bin") ||
	    strncmp(slash - strlen("/bin"), "/bin", strlen("/bin")) != 0 ||
	    g_str_has_suffix(slash, ".py") || g_strcmp0(frame->function, "<module>") != 0)
		return false;
	prefix = slash - strlen("/bin") - frame->file;
	for (i = 0; i < index; i++) {
		const char *file = stack->frames[i].file;

		if (file && !strncmp(file, frame->file, prefix) &&
		    g_str_has_prefix(file + prefix, "/lib") && library_path(file))
			return true;
	}
	return false;
}

uint32_t stack_lead(const struct stack *stack, struct known_frames *known)
{
	enum frame_rank best_rank = FRAME_RANK_EXCLUDED;
	uint32_t i, best = 0;

	for (i = 0; i < stack->count; i++) {
		enum frame_rank rank = known_frames_get(known, &stack->frames[i])->rank;

		if (rank == FRAME_RANK_USER && is_launcher(stack, i))
			rank = FRAME_RANK_PYTHON;
		if (rank > best_rank) {
			best_rank = rank;
			best = i;
		}
	}
	return best;
}
