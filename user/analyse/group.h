/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes two contexts one site (--group-by). Identity is by names, so that a source line whose
 * code object was made anew (a reload, exec, another run of the program) stays the same site.
 */
#ifndef PYLEAK_ANALYSE_GROUP_H
#define PYLEAK_ANALYSE_GROUP_H

#include <stdint.h>

#include "analyse/known_frames.h"
#include "analyse/model.h"

/*
 * The id of the site that @stack (NULL: not known yet) belongs to: 64 bits of a SHA-256 over names,
 * never 0. By stack: the family and every frame. By line, function, file and module: that of the
 * frame @lead, families together. The module of a library's file is its package ("numpy"), that of
 * the user's own file the folder it lies in.
 */
uint64_t group_site_id(enum group_by group_by, enum family family, const struct stack *stack,
		       uint32_t lead, struct known_frames *known);

/*
 * What a site shows: a copy of the whole stack by stack; else the one frame that its stacks share,
 * with only what they share in it: function NULL by file and module, line 0 by all but line, and by
 * module the module's name in file. By line the function is that of @stack: others may be on the
 * line too. An unknown stack has no frame and is truncated. g_free() the frames.
 */
struct stack group_site_stack(enum group_by group_by, const struct stack *stack, uint32_t lead);

#endif
