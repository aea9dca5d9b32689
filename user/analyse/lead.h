/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which frame of a stack leads: the line that its reader can do something about. */
#ifndef PYLEAK_ANALYSE_LEAD_H
#define PYLEAK_ANALYSE_LEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "symbolize/stack.h"

/*
 * The part of @file below the folder that libraries are installed in (site-packages, dist-packages,
 * __pypackages__, an egg, the standard library's lib/pythonX.Y, a zip of it), or NULL when the file
 * is not a library's. Points into @file.
 */
const char *library_path(const char *file);

/*
 * The index of the leading frame, the innermost that is the user's own code, by these preferences:
 * a file that matches @include; a file that is not a library's; code without a file ("<string>",
 * "<stdin>": `python -c`, exec, generated methods); any Python frame; any frame. The script that
 * starts a library's program (bin/celery, bin/gunicorn: the outermost frame, at the level of its
 * module, in the bin folder of the libraries that it calls) is a library's too. A file that matches
 * @exclude comes last of all. Globs (fnmatch(3), `*` spans `/`) are held against the path and the
 * base name; the arrays are NULL-terminated or NULL. 0 for a stack without frames.
 */
uint32_t stack_lead(const struct stack *stack, char *const *include, char *const *exclude);

#endif
