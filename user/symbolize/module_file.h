/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files behind one loaded object of a process, opened for libdwfl. */
#ifndef PYLEAK_SYMBOLIZE_MODULE_FILE_H
#define PYLEAK_SYMBOLIZE_MODULE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#include "proc/process.h"

struct module_file;

/*
 * @first is the object's first mapping; of it and of @process nothing but the process is kept,
 * which must outlive the result. @debug_bytes_left is what memory there still is for debug
 * information, of all processes; it must outlive the result too. What a file takes of it, it gives
 * back when it is freed.
 */
struct module_file *module_file_new(const struct process *process, const struct mapping *first,
				    uint64_t *debug_bytes_left);
void module_file_free(struct module_file *file);

const char *module_file_name(const struct module_file *file); /* base name; interned */
uint64_t module_file_start(const struct module_file *file);   /* where the object begins */
uint64_t module_file_size(const struct module_file *file);    /* bytes; 0 before it was opened */

/*
 * Opens the file, or reads it from the process's memory (the vDSO has no file). Returns a file
 * descriptor (-1: none) and @elf (NULL: cannot be had), both for libdwfl to close. What is in
 * memory stays owned by @file, so this is done once.
 */
int module_file_open(struct module_file *file, Elf **elf);

/*
 * Whether the source lines of @elf, which was opened from it, may be asked for: they come from
 * DWARF that is read whole and kept. True where there is room for that, now or at the first
 * question; also where the file itself has no DWARF.
 */
bool module_file_has_room_for_lines(struct module_file *file, Elf *elf);
/* Whether the answer was no. */
bool module_file_lacks_room(const struct module_file *file);

/*
 * A descriptor of a copy of the separate debug file, found under the process's root: see
 * debug_file.h. It must have the same build id or, where the object has none, @crc as its CRC-32.
 * -1: there is none.
 */
int module_file_open_debug(struct module_file *file, const uint8_t *build_id, size_t build_id_size,
			   const char *link, uint32_t crc);

#endif
