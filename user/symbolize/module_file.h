/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files behind one loaded object of a process, opened for libdwfl. */
#ifndef PYLEAK_SYMBOLIZE_MODULE_FILE_H
#define PYLEAK_SYMBOLIZE_MODULE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#include "proc/process.h"

/* Of one process; copies of debug files stay in memory. */
enum { MODULE_MAX_DEBUG_BYTES = 64 << 20 };

struct module_file;

/*
 * @first is the object's first mapping; of it and of @process nothing but the process is kept,
 * which must outlive the result. @debug_bytes_left is shared by all files of the process and must
 * outlive it too.
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
 * A descriptor of a copy of the separate debug file, found under the process's root: see
 * debug_file.h. It must have the same build id or, where the object has none, @crc as its CRC-32.
 * -1: there is none.
 */
int module_file_open_debug(struct module_file *file, const uint8_t *build_id, size_t build_id_size,
			   const char *link, uint32_t crc);

#endif
