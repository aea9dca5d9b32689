/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The functions of the malloc family, as a table: what an object that exports `malloc` may export
 * besides, and how each is probed. C++ operators are here because tcmalloc, jemalloc and mimalloc
 * define them without going through malloc.
 */
#ifndef PYLEAK_TRACE_MALLOC_FUNCTIONS_H
#define PYLEAK_TRACE_MALLOC_FUNCTIONS_H

#include <stddef.h>

#include "trace/kernel_side.h"

struct malloc_function_facts {
	const char *name;
	enum kernel_program
		program;	/* PROGRAM_MALLOC_ENTRY (and its return) or PROGRAM_MALLOC_FREE */
	unsigned int function;	/* enum malloc_function, for entries */
	unsigned int arguments; /* ARGUMENT_* that the program reads */
};

extern const struct malloc_function_facts malloc_functions[];
extern const size_t malloc_function_count;

#endif
