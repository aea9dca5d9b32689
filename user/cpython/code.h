/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code objects: from (code address, instruction) to file, function and line, read from the target's
 * memory. */
#ifndef PYLEAK_CPYTHON_CODE_H
#define PYLEAK_CPYTHON_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/facts.h"
#include "proc/memory.h"

/* What was read from one code object. Strings are UTF-8. */
struct code_object {
	char *filename;
	char *function; /* co_qualname from 3.11, else co_name */
	int32_t first_line;
	uint8_t *line_table;
	size_t line_table_length;
	/* words that tell this code object from another at the same address later */
	uint64_t filename_address, name_address, line_table_address;
};

/* NULL where the memory at @address is not a readable code object (sizes and types are checked; at
 * most 1 MiB is read). */
struct code_object *code_object_read(const struct memory *memory, const struct python_facts *facts,
				     uint64_t address);
void code_object_free(struct code_object *code);
/* Whether the code object at @address still is the one that was read as @code: one cheap read. */
bool code_object_is_same(const struct memory *memory, const struct python_facts *facts,
			 uint64_t address, const struct code_object *code);

/* The line of @instruction (as in struct raw_frame); first_line where the table gives none. Never
 * reads past the table. */
int32_t code_object_line(const struct code_object *code, const struct python_facts *facts,
			 int64_t instruction);

/* Reads a str (2.7: also a bytes) object as UTF-8; invalid text becomes U+FFFD. NULL on failure. At
 * most @limit bytes. */
char *python_string_read(const struct memory *memory, const struct python_facts *facts,
			 uint64_t address, size_t limit);

#endif
