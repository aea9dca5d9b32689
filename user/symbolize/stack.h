/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stack with names, as reports show it. */
#ifndef PYLEAK_SYMBOLIZE_STACK_H
#define PYLEAK_SYMBOLIZE_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

enum frame_kind { FRAME_PYTHON, FRAME_NATIVE };

struct frame {
	enum frame_kind kind;
	const char
		*function;  /* interned by g_intern_string(): never freed, comparable by pointer */
	const char *file;   /* Python: the file as co_filename has it, made absolute; native: source
			       file or NULL. Interned */
	int32_t line;	    /* 0: unknown */
	const char *module; /* native: base name of the file. Interned, NULL for Python */
	uint64_t offset;    /* native: bytes into the module's link-time addresses */
};

enum native_part {
	NATIVE_PART_UNKNOWN,
	NATIVE_PART_INTERPRETER, /* only the interpreter's own code */
	NATIVE_PART_FOREIGN,	 /* other code as well */
};

struct stack {
	struct frame *frames; /* leaf first */
	uint32_t count;
	bool truncated;		 /* callers beyond the last frame were cut */
	enum native_part native; /* below the innermost Python frame, shown or folded away */
};

void stack_free(struct stack *stack);

#endif
