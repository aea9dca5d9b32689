/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which file of a process holds CPython: a libpython, or the executable itself. By what it exports,
 * not by its version's name. */
#ifndef PYLEAK_CPYTHON_FIND_IMAGE_H
#define PYLEAK_CPYTHON_FIND_IMAGE_H

#include <stdint.h>
#include <glib.h>

#include "elf/image.h"
#include "proc/maps.h"
#include "proc/process.h"

/*
 * The image, to elf_image_free(); @path, to g_free(), is what it was opened by. NULL and @error:
 * NO_TARGET where there is no Python or the process is gone, UNSUPPORTED for PyPy, what
 * elf_image_open() says for a broken file.
 */
struct elf_image *find_image(const struct process *process, const struct maps *maps, char **path,
			     uint64_t *load_bias, GError **error);

#endif
