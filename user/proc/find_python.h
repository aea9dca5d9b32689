/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding Python processes, cheaply: by what is called python, or has a libpython mapped. An
 * interpreter that was linked into a program of another name is not found (cpython/interpreter.h
 * can trace it none the less).
 */
#ifndef PYLEAK_PROC_FIND_PYTHON_H
#define PYLEAK_PROC_FIND_PYTHON_H

#include <stdbool.h>
#include <sys/types.h>

enum likeness {
	LIKENESS_GONE,	/* no such process, a kernel thread, or not permitted to look */
	LIKENESS_OTHER, /* another program, as far as it has been loaded */
	LIKENESS_PYTHON,
};

enum likeness python_likeness(pid_t pid);

/* The pure part: what an executable is called, and the text of a maps file. */
bool is_python_name(const char *path);
bool maps_name_libpython(const char *text);

#endif
