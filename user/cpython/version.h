/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which version of Python a file is, from the file itself: names lie (python3 may be anything, so
 * may libpython3.so). */
#ifndef PYLEAK_CPYTHON_VERSION_H
#define PYLEAK_CPYTHON_VERSION_H

#include <stdbool.h>

#include "elf/image.h"

struct python_version {
	int major, minor, micro;
	char text[24]; /* "3.13.0rc2" */
};

/* Parses "3.13.0", "3.13.0rc2", "2.7.18+". False for anything else. */
bool python_version_parse(const char *text, struct python_version *version);
/* Parses PY_VERSION_HEX (0x030d00f0). False where it is none. */
bool python_version_from_hex(unsigned long hex, struct python_version *version);
/* What a path says: libpython3.9.so.1.0, python3.9. The micro version then is 0 and the text "3.9".
 */
bool python_version_from_path(const char *path, struct python_version *version);
/*
 * From the image: the constant Py_Version (3.11 on), else the literal PY_VERSION that
 * Py_GetVersion() hands to snprintf (Python/getversion.c; all versions), else what @path says.
 */
bool python_version_detect(const struct elf_image *image, const char *path,
			   struct python_version *version);

#endif
