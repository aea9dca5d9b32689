/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows values through a short run of instructions: which registers hold the same value, which
 * value was loaded from where relative to another, what was compared and what was stored. Only what
 * pymalloc's fast path is made of is understood; every other result is a new value of which nothing
 * is known. No allocation; any thread.
 */
#ifndef PYLEAK_CPYTHON_VALUE_TRACE_H
#define PYLEAK_CPYTHON_VALUE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "elf/insn.h"

enum {
	VALUE_TRACE_REGISTERS = 16,
	VALUE_TRACE_VALUES = 512,
	/* Index of the value that is 0: what places known by their address are displaced from. */
	VALUE_ZERO = 0,
};

enum value_kind {
	VALUE_OPAQUE,	/* nothing is known of it */
	VALUE_LOADED,	/* the word at @displacement from the value @base */
	VALUE_ELEMENT,	/* one of the words in the table at @displacement from the value @base */
	VALUE_PLUS_ONE, /* the value @base + 1 */
	VALUE_ADDRESS,	/* the value @base, which is VALUE_ZERO, + @displacement */
};

struct value {
	enum value_kind kind;
	uint32_t base;	      /* index of a value */
	int64_t displacement; /* bytes */
};

enum store_kind { STORE_NONE, STORE_VALUE, STORE_INCREMENT };

/* What one instruction did to memory at @displacement from the value @base. */
struct store {
	enum store_kind kind;
	uint32_t base;
	int64_t displacement; /* bytes */
	uint32_t value;	      /* STORE_VALUE: what was stored */
};

struct value_trace {
	const ZydisDecoder *decoder;
	struct value values[VALUE_TRACE_VALUES];
	uint32_t count;
	uint32_t registers[VALUE_TRACE_REGISTERS]; /* values, by the register's number in
						      instructions (rax, rcx, rdx, rbx, ...) */
	bool compared; /* the flags are those of comparing these two as 64-bit words */
	uint32_t compared_values[2];
	struct store store; /* of the last instruction */
};

/* Every register holds a value of its own. */
void value_trace_init(struct value_trace *trace, const ZydisDecoder *decoder);
/* Follows one instruction as if it falls through. False when it cannot be decoded or there were too
 * many values: the trace is over. */
bool value_trace_step(struct value_trace *trace, const struct insn *insn);
/* Whether @value is the word at @displacement from @base. */
bool value_is_loaded_from(const struct value_trace *trace, uint32_t value, uint32_t base,
			  int64_t displacement);

#endif
