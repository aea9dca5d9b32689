// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/malloc_functions.h"

#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"
#include "elf/entry_site.h"

#define ALLOCATES(name, function, arguments)                                                       \
	{                                                                                          \
		name, PROGRAM_MALLOC_ENTRY, function, (arguments)                                  \
	}
#define FREES(name)                                                                                \
	{                                                                                          \
		name, PROGRAM_MALLOC_FREE, 0, ARGUMENT_1                                           \
	}

const struct malloc_function_facts malloc_functions[] = {
	ALLOCATES("malloc", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("calloc", MALLOC_COUNT_SIZE, ARGUMENT_1 | ARGUMENT_2),
	ALLOCATES("realloc", MALLOC_REALLOC, ARGUMENT_1 | ARGUMENT_2),
	ALLOCATES("reallocarray", MALLOC_REALLOCARRAY, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3),
	ALLOCATES("posix_memalign", MALLOC_POSIX, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3),
	ALLOCATES("aligned_alloc", MALLOC_SIZE_2, ARGUMENT_1 | ARGUMENT_2),
	ALLOCATES("memalign", MALLOC_SIZE_2, ARGUMENT_1 | ARGUMENT_2),
	ALLOCATES("valloc", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("pvalloc", MALLOC_SIZE_1, ARGUMENT_1),
	FREES("free"),
	FREES("cfree"),
	FREES("free_sized"),
	FREES("free_aligned_sized"),
	/* jemalloc, "NON-STANDARD API" of its manual page */
	ALLOCATES("mallocx", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("rallocx", MALLOC_REALLOC, ARGUMENT_1 | ARGUMENT_2),
	FREES("dallocx"),
	FREES("sdallocx"),
	/* operator new and new[]: plain, nothrow, aligned (std::align_val_t), aligned nothrow */
	ALLOCATES("_Znwm", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_Znam", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnwmRKSt9nothrow_t", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnamRKSt9nothrow_t", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnwmSt11align_val_t", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnamSt11align_val_t", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnwmSt11align_val_tRKSt9nothrow_t", MALLOC_SIZE_1, ARGUMENT_1),
	ALLOCATES("_ZnamSt11align_val_tRKSt9nothrow_t", MALLOC_SIZE_1, ARGUMENT_1),
	/* operator delete and delete[]: plain, sized, nothrow, aligned, sized aligned */
	FREES("_ZdlPv"),
	FREES("_ZdaPv"),
	FREES("_ZdlPvm"),
	FREES("_ZdaPvm"),
	FREES("_ZdlPvRKSt9nothrow_t"),
	FREES("_ZdaPvRKSt9nothrow_t"),
	FREES("_ZdlPvSt11align_val_t"),
	FREES("_ZdaPvSt11align_val_t"),
	FREES("_ZdlPvmSt11align_val_t"),
	FREES("_ZdaPvmSt11align_val_t"),
};

const size_t malloc_function_count = G_N_ELEMENTS(malloc_functions);
