/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discovery: which CPython a process runs, and where in its memory the facts of that version lie.
 * Reads only.
 */
#ifndef PYLEAK_CPYTHON_INTERPRETER_H
#define PYLEAK_CPYTHON_INTERPRETER_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bpf/abi.h"
#include "cpython/facts.h"
#include "elf/image.h"
#include "proc/process.h"

/* What stands behind PyObject_Malloc in the process. */
enum object_allocator {
	ALLOCATOR_UNKNOWN, /* the table could not be read: runtime not initialised yet, or unknown
			    */
	ALLOCATOR_PYMALLOC,
	ALLOCATOR_PYMALLOC_DEBUG, /* debug hooks over pymalloc */
	ALLOCATOR_MALLOC,	  /* PYTHONMALLOC=malloc, or a build without pymalloc */
	ALLOCATOR_MALLOC_DEBUG,
	ALLOCATOR_MIMALLOC, /* free-threaded builds, PYTHONMALLOC=mimalloc: its small objects are
			       not seen */
	ALLOCATOR_OTHER,    /* hooks of somebody else (an in-process profiler) */
};

struct interpreter {
	int major, minor, micro;
	char *version; /* "3.11.2" (may end in "rc1" and such) */
	bool shared;   /* libpython; else linked into the executable */
	bool stripped; /* no .symtab */
	bool free_threaded;
	char *path; /* to open the file with the interpreter's code: process_mapping_path() */
	struct elf_image *image; /* of that file, NULL once it is closed */
	uint64_t load_bias;
	struct python_facts
		facts; /* the row, corrected by _Py_DebugOffsets where the process publishes them */
	struct python_layout layout;
	enum object_allocator allocator;
	bool tracemalloc; /* tracemalloc's hooks are in place */
};

/*
 * Looks at @process. NULL and @error: NO_TARGET when it is not a Python process or gone,
 * UNSUPPORTED for PyPy, an unknown version and such. Works before the interpreter has initialised
 * itself, as long as its file is mapped (then allocator is ALLOCATOR_UNKNOWN).
 */
struct interpreter *interpreter_discover(const struct process *process, GError **error);
void interpreter_free(struct interpreter *interpreter);
/* Gives back what was read of the file, which is megabytes: only to plan probes is it needed. */
void interpreter_close_image(struct interpreter *interpreter);

/* A word for people: "pymalloc", "pymalloc with debug hooks", ... */
const char *object_allocator_name(enum object_allocator allocator);

#endif
