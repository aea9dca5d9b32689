/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What CPython's cyclic garbage collector says of itself, read from the process: whether it is
 * switched on, how often it ran, what has piled up since. Of the main interpreter. Source:
 * struct _gc_runtime_state, Include/internal/pycore_gc.h (pymem.h in 3.7) of 3.7 to 3.13; others
 * keep it elsewhere or otherwise (2.7, 3.6: statics; 3.14: other generations).
 */
#ifndef PYLEAK_CPYTHON_GC_STATE_H
#define PYLEAK_CPYTHON_GC_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpython/facts.h"
#include "proc/memory.h"

struct gc_state {
	bool enabled;
	uint64_t collections; /* so far, of any generation: each includes the youngest */
	/* Objects it watches over that were made since the last collection, less those that were
	 * freed (gc.get_count()[0]). */
	uint32_t young;
};

/* @interpreters_head: address of the pointer to the list of interpreters (python_layout). False
 * where the version is not known to have it, it cannot be read or makes no sense. */
bool gc_state_read(const struct memory *memory, const struct python_facts *facts,
		   uint64_t interpreters_head, struct gc_state *state);

#endif
