/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types of the target's objects: which addresses are types, what they are called, and what
 * stands before their objects in a block. Types are remembered by address; as classes die and
 * others take their place, what is remembered is looked at once more in each look
 * (types_begin_look()). Every read is bounded and checked; the target runs on meanwhile.
 */
#ifndef PYLEAK_CPYTHON_TYPES_H
#define PYLEAK_CPYTHON_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "cpython/object_layout.h"
#include "proc/memory.h"

struct types;

struct type {
	/*
	 * With its module unless that is builtins: "dict", "collections.deque", "app.models.Order".
	 * Valid until the next types_begin_look().
	 */
	const char *name;
	uint64_t flags;	     /* tp_flags */
	uint64_t basic_size; /* bytes */
	uint32_t head;	     /* bytes before the object in its block: GC header and such */
};

/* All borrowed. */
struct types *types_new(const struct memory *memory, const struct python_facts *facts,
			const struct object_layout *layout);
void types_free(struct types *types);

void types_begin_look(struct types *types);

/* The type at @address, or NULL where there is none. Borrowed until types_begin_look(). */
const struct type *types_find(struct types *types, uint64_t address);

/* 2.7: the name of the classic class at @address as in struct type, or NULL. Borrowed likewise. */
const char *types_find_classic(struct types *types, uint64_t address);

/* Whether the word is the reference count of a living object. */
bool types_is_refcount(const struct types *types, uint64_t word);

#endif
