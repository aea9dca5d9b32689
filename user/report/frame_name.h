/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What profiles call frames that have no name of their own. */
#ifndef PYLEAK_REPORT_FRAME_NAME_H
#define PYLEAK_REPORT_FRAME_NAME_H

#include "symbolize/stack.h"

/* The entry for all memory that no site in a profile accounts for. */
#define OTHER_SITES "[other sites]"

/* What stands at the root for frames that are not known, or NULL: nothing is missing. */
const char *stack_placeholder(const struct stack *stack);
/* The function, or what tells a native place without one: "+0x1f40". g_free(). */
char *frame_function_name(const struct frame *frame);

#endif
