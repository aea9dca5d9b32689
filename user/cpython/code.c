// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/code.h"

#include <string.h>

#include "cpython/lines.h"
#include "cpython/objects.h"

enum {
	/* Bytes of a code object from its start that hold every member of interest (at most 208 of
	   them, 3.13). */
	CODE_WINDOW = 256,
	/* Together with CODE_WINDOW under the 1 MiB that the header promises. */
	FILENAME_LIMIT = 16 * 1024,
	NAME_LIMIT = 16 * 1024,
	TABLE_LIMIT = 1024 * 1024 - 64 * 1024,
};

/* The members as they stand in the target, in one read. */
struct code_words {
	uint64_t filename, name, table;
	int32_t first_line;
};

static uint32_t name_offset(const struct python_facts *facts)
{
	return facts->code_qualname ? facts->code_qualname : facts->code_name;
}

static bool code_words_read(const struct memory *memory, const struct python_facts *facts,
			    uint64_t address, struct code_words *words)
{
	uint32_t name = name_offset(facts);
	uint32_t last = MAX(MAX(facts->code_filename, name),
			    MAX(facts->code_linetable, facts->code_firstlineno));
	uint8_t window[CODE_WINDOW];

	if (last + sizeof(uint64_t) > sizeof(window) ||
	    !memory_read(memory, address, window, last + sizeof(uint64_t)))
		return false;
	memcpy(&words->filename, window + facts->code_filename, sizeof(words->filename));
	memcpy(&words->name, window + name, sizeof(words->name));
	memcpy(&words->table, window + facts->code_linetable, sizeof(words->table));
	memcpy(&words->first_line, window + facts->code_firstlineno, sizeof(words->first_line));
	return true;
}

struct code_object *code_object_read(const struct memory *memory, const struct python_facts *facts,
				     uint64_t address)
{
	struct code_object *code;
	struct code_words words;

	if (!object_type_is(memory, facts, address, "code") ||
	    !code_words_read(memory, facts, address, &words))
		return NULL;
	code = g_new0(struct code_object, 1);
	code->first_line = words.first_line;
	code->filename_address = words.filename;
	code->name_address = words.name;
	code->line_table_address = words.table;
	code->filename = python_string_read(memory, facts, words.filename, FILENAME_LIMIT);
	code->function = python_string_read(memory, facts, words.name, NAME_LIMIT);
	code->line_table = python_bytes_read(memory, facts, words.table, TABLE_LIMIT,
					     &code->line_table_length);
	if (!code->filename || !code->function || !code->line_table) {
		code_object_free(code);
		return NULL;
	}
	return code;
}

void code_object_free(struct code_object *code)
{
	if (!code)
		return;
	g_free(code->filename);
	g_free(code->function);
	g_free(code->line_table);
	g_free(code);
}

bool code_object_is_same(const struct memory *memory, const struct python_facts *facts,
			 uint64_t address, const struct code_object *code)
{
	struct code_words words;

	return code_words_read(memory, facts, address, &words) &&
	       words.filename == code->filename_address && words.name == code->name_address &&
	       words.table == code->line_table_address && words.first_line == code->first_line;
}

int32_t code_object_line(const struct code_object *code, const struct python_facts *facts,
			 int64_t instruction)
{
	int64_t offset;

	if (facts->instruction == INSTRUCTION_POINTER) {
		/* From the start of the code object to the start of its instructions. */
		if (instruction < (int64_t)facts->code_adaptive)
			return code->first_line;
		offset = instruction - facts->code_adaptive;
	} else if (__builtin_mul_overflow(instruction, (int64_t)facts->instruction_unit, &offset)) {
		return code->first_line;
	}
	return line_table_find(facts->lines, code->line_table, code->line_table_length,
			       code->first_line, offset);
}
