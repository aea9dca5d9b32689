/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program of a few instructions, made up for a test: one function at TINY_TEXT, perhaps a second
 * part of it at TINY_COLD. */
#ifndef PYLEAK_TESTS_TINY_PROGRAM_H
#define PYLEAK_TESTS_TINY_PROGRAM_H

#include <glib.h>

#include "elf/image.h"

typedef struct elf_image elf_image;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(elf_image, elf_image_free)

enum {
	TINY_BASE = 0x400000, /* of the one segment, which is the whole file */
	TINY_TEXT = TINY_BASE + 0x1000,
	TINY_COLD = TINY_TEXT + 0x100,
	TINY_TEXT_SIZE = 0x200,
};

/*
 * The image with @code at TINY_TEXT and @cold (may be NULL) at TINY_COLD. @size: how much of @code
 * the unwind table calls the function; 0: there is no unwind table entry.
 */
elf_image *tiny_program_image(const uint8_t *code, size_t length, size_t size, const uint8_t *cold,
			      size_t cold_length);

/* The image of a function of these bytes. */
#define TINY_IMAGE(...)                                                                            \
	tiny_program_image((uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }),         \
			   sizeof((uint8_t[]){ __VA_ARGS__ }), NULL, 0)

/* A real program beside them: the C library of this machine. */
elf_image *open_c_library(void);

#endif
