/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few kinds of objects that code objects are made of, read from the target's memory. Every read
 * is checked. */
#ifndef PYLEAK_CPYTHON_OBJECTS_H
#define PYLEAK_CPYTHON_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "proc/memory.h"

/* tp_flags of Include/object.h, the same from 2.7 to 3.15: fast subclass checks. */
enum {
	TYPE_FLAG_BYTES = 1 << 27,   /* bytes; 2.7: str */
	TYPE_FLAG_UNICODE = 1 << 28, /* str; 2.7: unicode */
};

/* tp_flags of the type of the object at @address. False where it cannot be read. */
bool object_type_flags(const struct memory *memory, const struct python_facts *facts,
		       uint64_t address, uint64_t *flags);
/* Whether tp_name of the type of the object at @address is @name. */
bool object_type_is(const struct memory *memory, const struct python_facts *facts, uint64_t address,
		    const char *name);

/*
 * The content of a bytes object (2.7: str), cut at @limit bytes; @length is what was read. NULL
 * where there is no readable bytes object. g_free() it.
 */
uint8_t *python_bytes_read(const struct memory *memory, const struct python_facts *facts,
			   uint64_t address, size_t limit, size_t *length);

#endif
