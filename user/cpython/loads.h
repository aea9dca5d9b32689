/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which static memory a short function reads. Exported accessors of CPython (PyObject_Malloc,
 * PyInterpreterState_Head, ...) begin by loading the static variable behind them, so they name
 * variables that a stripped build has no symbol for.
 */
#ifndef PYLEAK_CPYTHON_LOADS_H
#define PYLEAK_CPYTHON_LOADS_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "elf/image.h"
#include "proc/memory.h"

struct load {
	uint64_t address; /* in the process */
	uint32_t size;	  /* bytes */
};

/*
 * The loads from addresses that the code alone determines, of the function at link-time address
 * @function, in the order of the straight path first, then of the branches; at most some hundred
 * instructions are followed. Pointers on the way (the GOT) are read from @memory. A GArray of
 * struct load, maybe empty; g_array_unref() it.
 */
GArray *function_loads(const struct elf_image *image, const struct memory *memory,
		       uint64_t load_bias, uint64_t function);

/* The first eight bytes loaded. */
bool loads_first_word(const GArray *loads, uint64_t *address);
/* The start of the first two adjacent words loaded. */
bool loads_first_pair(const GArray *loads, uint64_t *address);
/* The start of the first three adjacent words loaded, by whatever instructions. */
bool loads_first_triple(const GArray *loads, uint64_t *address);

#endif
