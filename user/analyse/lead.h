/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which frame of a stack leads: the line that its reader can do something about. */
#ifndef PYLEAK_ANALYSE_LEAD_H
#define PYLEAK_ANALYSE_LEAD_H

#include <stdint.h>

#include "analyse/known_frames.h"
#include "symbolize/stack.h"

/*
 * The index of the leading frame, the innermost that is the user's own code, by these preferences:
 * a file that is included; a file that is not a library's; code without a file ("<string>",
 * "<stdin>": `python -c`, exec, generated methods); any Python frame; any frame. The script that
 * starts a library's program (bin/celery, bin/gunicorn: the outermost frame, at the level of its
 * module, in the bin folder of the libraries that it calls) is a library's too. An excluded file
 * comes last of all. 0 for a stack without frames. @known says what is included and excluded.
 */
uint32_t stack_lead(const struct stack *stack, struct known_frames *known);

#endif
