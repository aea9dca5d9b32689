/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Function ranges from the unwind tables that every x86-64 program carries, stripped or not. Used
 * by elf/image.c. */
#ifndef PYLEAK_ELF_EH_FRAME_H
#define PYLEAK_ELF_EH_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "elf/image.h"

/*
 * The ranges of all frame descriptions in the .eh_frame that stands at @address with @size bytes,
 * sorted by start, of struct elf_range. Only ranges that lie in code; reading ends at the first
 * entry that makes no sense. g_array_unref() it.
 */
GArray *eh_frame_functions(const struct elf_image *image, uint64_t address, size_t size);

/* Where .eh_frame begins according to the .eh_frame_hdr at @header (segment PT_GNU_EH_FRAME). False
 * where it does not say. */
bool eh_frame_from_header(const struct elf_image *image, uint64_t header, uint64_t *address);

#endif
