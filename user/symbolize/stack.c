// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/stack.h"

void stack_free(struct stack *stack)
{
	if (!stack)
		return;
	g_free(stack->frames);
	g_free(stack);
}
