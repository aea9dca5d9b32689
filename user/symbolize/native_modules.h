/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code that a process has mapped: unwind rules and names for its addresses, by elfutils
 * libdwfl. Files are opened through /proc/PID/root or map_files, so deleted ones and those of
 * containers can be had; they are read, never mapped. One thread.
 */
#ifndef PYLEAK_SYMBOLIZE_NATIVE_MODULES_H
#define PYLEAK_SYMBOLIZE_NATIVE_MODULES_H

#include <stdbool.h>
#include <stdint.h>
#include <elfutils/libdw.h>

#include "proc/process.h"

struct native_modules;

/*
 * @process is borrowed and must outlive the result, as must @debug_bytes_left: module_file.h. Reads
 * its mappings.
 */
struct native_modules *native_modules_new(const struct process *process,
					  uint64_t *debug_bytes_left);
/* How many files tell no source lines for lack of room. */
uint32_t native_modules_without_room(const struct native_modules *modules);
void native_modules_free(struct native_modules *modules);

/* Looks whether the mappings have changed. Of code that is gone, rules and names are forgotten. */
void native_modules_refresh(struct native_modules *modules);

/*
 * The unwind rules at @pc, owned by @modules until the next refresh; NULL where there are none. An
 * address of no known module makes it look at the mappings again: a library may have been loaded
 * since.
 */
Dwarf_Frame *native_modules_rules(struct native_modules *modules, uint64_t pc);

struct native_name {
	/* All interned. */
	const char *function; /* demangled; NULL: no symbol */
	const char *module;   /* base name of the file, "[vdso]", "[anonymous]" */
	const char *file;     /* of the source, where DWARF tells; else NULL */
	int32_t line;
	uint64_t offset; /* of the address in the module's link-time addresses */
};

/* The name of @pc; @exact as in struct native_frame. Remembered. */
const struct native_name *native_modules_name(struct native_modules *modules, uint64_t pc,
					      bool exact);

#endif
