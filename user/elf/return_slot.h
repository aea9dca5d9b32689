/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a function's return address is, in the middle of the function: by its call frame
 * information (.eh_frame). */
#ifndef PYLEAK_ELF_RETURN_SLOT_H
#define PYLEAK_ELF_RETURN_SLOT_H

#include <stdbool.h>
#include <stdint.h>

enum { MOST_RETURN_SLOT = 1 << 16 };

/*
 * How many bytes above the stack pointer the return address stands when the instruction at
 * link-time @address of the file at @path is about to run. False where the file does not tell, the
 * function addresses its frame by another register, or it is more than MOST_RETURN_SLOT.
 */
bool return_slot_find(const char *path, uint64_t address, uint32_t *bytes);

#endif
