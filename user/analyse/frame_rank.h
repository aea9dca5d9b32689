/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose code a frame is, and so how well it may lead its stack (lead.h). */
#ifndef PYLEAK_ANALYSE_FRAME_RANK_H
#define PYLEAK_ANALYSE_FRAME_RANK_H

#include "symbolize/stack.h"

/*
 * The part of @file below the folder that libraries are installed in (site-packages, dist-packages,
 * __pypackages__, an egg, the standard library's lib/pythonX.Y, a zip of it), or NULL when the file
 * is not a library's. Points into @file.
 */
const char *library_path(const char *file);

/* More is better. */
enum frame_rank {
	FRAME_RANK_EXCLUDED,
	FRAME_RANK_ANY,
	FRAME_RANK_PYTHON,  /* a library's, or the interpreter's own */
	FRAME_RANK_NO_FILE, /* "<string>", "<stdin>": `python -c`, exec, generated methods */
	FRAME_RANK_USER,
	FRAME_RANK_INCLUDED,
};

/* Globs (fnmatch(3), `*` spans `/`) are held against the path and the base name of the frame's
 * file; the arrays are NULL-terminated or NULL. */
enum frame_rank frame_rank(const struct frame *frame, char *const *include, char *const *exclude);

#endif
