// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/frame_name.h"

const char *stack_placeholder(const struct stack *stack)
{
	if (!stack->count)
		return stack->truncated ? "[stack not known]" : "[no Python frame]";
	return stack->truncated ? "[deeper frames cut]" : NULL;
}

char *frame_function_name(const struct frame *frame)
{
	if (frame->function)
		return g_utf8_make_valid(frame->function, -1);
	if (frame->kind == FRAME_NATIVE)
		return g_strdup_printf("+0x%" G_GINT64_MODIFIER "x", frame->offset);
	return g_strdup("?");
}
