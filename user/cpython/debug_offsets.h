/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * _Py_DebugOffsets: the offsets that CPython 3.13 and later publish at the start of _PyRuntime, for
 * tools like this one. Which offset stands where holds within a minor version only.
 */
#ifndef PYLEAK_CPYTHON_DEBUG_OFFSETS_H
#define PYLEAK_CPYTHON_DEBUG_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "cpython/facts.h"

/* Bytes of _Py_DebugOffsets that are needed of any version. */
enum { DEBUG_OFFSETS_SIZE = 888 };

/* Whether @bytes begin with the cookie "xdebugpy". */
bool debug_offsets_present(const uint8_t *bytes, size_t length);

/*
 * Corrects @facts, a copy of the row of their version, by what @bytes publish. @free_threaded is
 * what they say of the build. False and @error (UNSUPPORTED) where the cookie, the version or any
 * offset makes no sense; @facts then is unchanged.
 */
bool debug_offsets_apply(const uint8_t *bytes, size_t length, struct python_facts *facts,
			 bool *free_threaded, GError **error);

#endif
