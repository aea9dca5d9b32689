// SPDX-License-Identifier: GPL-2.0-or-later
/* Line tables, strings and code objects out of made-up memory, sane and hostile. Real ones:
 * test_interpreter.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cpython/code.h"
#include "cpython/objects.h"

/* A heap of a target: 64 KiB at an address, filled from the start. */
enum { HEAP_START = 0x10000, HEAP_SIZE = 0x10000 };

struct heap {
	struct image_memory memory;
	const struct python_facts *facts;
	uint8_t bytes[HEAP_SIZE];
	size_t used;
	uint64_t code_type, bytes_type, text_type, other_type;
};

static void put(struct heap *heap, uint64_t address, const void *bytes, size_t length)
{
	memcpy(heap->bytes + (address - HEAP_START), bytes, length);
}

static void put_word(struct heap *heap, uint64_t address, uint64_t word)
{
	put(heap, address, &word, sizeof(word));
}

static uint64_t allocate(struct heap *heap, size_t length)
{
	uint64_t address = HEAP_START + heap->used;

	heap->used += (length + 15) & ~(size_t)15;
	assert_true(heap->used <= HEAP_SIZE);
	return address;
}

static uint64_t make_type(struct heap *heap, const char *name, uint64_t flags)
{
	uint64_t type = allocate(heap, 512), text = allocate(heap, strlen(name) + 1);

	put(heap, text, name, strlen(name) + 1);
	put_word(heap, type + heap->facts->type_name, text);
	put_word(heap, type + heap->facts->type_flags, flags);
	return type;
}

static struct heap *heap_new(int major, int minor)
{
	struct heap *heap = g_new0(struct heap, 1);

	heap->facts = python_facts_find(major, minor);
	assert_non_null(heap->facts);
	image_memory_init(&heap->memory, HEAP_START, heap->bytes, sizeof(heap->bytes));
	heap->code_type = make_type(heap, "code", 0);
	heap->bytes_type = make_type(heap, "bytes", TYPE_FLAG_BYTES);
	heap->text_type = make_type(heap, "str", TYPE_FLAG_UNICODE);
	heap->other_type = make_type(heap, "codec", 0);
	return heap;
}

static uint64_t make_bytes(struct heap *heap, const void *content, size_t length)
{
	uint64_t object = allocate(heap, heap->facts->bytes_data + length);

	put_word(heap, object + heap->facts->object_type, heap->bytes_type);
	put_word(heap, object + heap->facts->bytes_size, length);
	put(heap, object + heap->facts->bytes_data, content, length);
	return object;
}

/* A compact str of @count characters of @width bytes. */
static uint64_t make_text(struct heap *heap, const void *characters, size_t count,
			  unsigned int width, bool ascii)
{
	const struct python_facts *facts = heap->facts;
	uint64_t object = allocate(heap, facts->unicode_compact_data + count * width);
	uint32_t state = width << 2 | 1U << 5 | (uint32_t)ascii << 6;

	put_word(heap, object + facts->object_type, heap->text_type);
	put_word(heap, object + facts->unicode_length, count);
	put(heap, object + facts->unicode_state, &state, sizeof(state));
	put(heap, object + (ascii ? facts->unicode_ascii_data : facts->unicode_compact_data),
	    characters, count * width);
	return object;
}

static uint64_t make_ascii(struct heap *heap, const char *text)
{
	return make_text(heap, text, strlen(text), 1, true);
}

static uint64_t make_code(struct heap *heap, uint64_t filename, uint64_t name, uint64_t table,
			  int32_t first_line)
{
	const struct python_facts *facts = heap->facts;
	uint64_t code = allocate(heap, 256);

	put_word(heap, code + facts->object_type, heap->code_type);
	put_word(heap, code + facts->code_filename, filename);
	put_word(heap, code + (facts->code_qualname ? facts->code_qualname : facts->code_name),
		 name);
	put_word(heap, code + facts->code_linetable, table);
	put(heap, code + facts->code_firstlineno, &first_line, sizeof(first_line));
	return code;
}

static void instructions_out_of_range_give_the_first_line(void **state)
{
	static uint8_t table[] = { 0xd9, 0, 0 };
	struct code_object code = { .first_line = 40,
				    .line_table = table,
				    .line_table_length = sizeof(table) };
	const struct python_facts *facts = python_facts_find(3, 12),
				  *old = python_facts_find(3, 10);

	(void)state;
	assert_int_equal(code_object_line(&code, facts, facts->code_adaptive), 41);
	assert_int_equal(code_object_line(&code, facts, facts->code_adaptive - 2), 40);
	assert_int_equal(code_object_line(&code, facts, INT64_MIN), 40);
	assert_int_equal(code_object_line(&code, facts, INT64_MAX), 40);
	assert_int_equal(code_object_line(&code, old, INT64_MAX), 40);
	assert_int_equal(code_object_line(&code, old, -1), 40);
}

static void assert_string(struct heap *heap, uint64_t address, size_t limit, const char *expected)
{
	g_autofree char *text = python_string_read(&heap->memory.base, heap->facts, address, limit);

	if (expected)
		assert_string_equal(text, expected);
	else
		assert_null(text);
}

static void strings_of_every_kind_become_utf8(void **state)
{
	static const int versions[] = { 6, 11, 12, 13 };
	static const uint16_t two[] = { 0x4e2d, 'a', 0xdc80, 0x6587 };
	static const uint32_t four[] = { 0x1f600, 0x10ffff, 0x110000, 0xd800 };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
		struct heap *heap = heap_new(3, versions[i]);
		uint64_t subclass, data;
		uint32_t not_compact = 1 << 2, no_kind = 1 << 5;

		assert_string(heap, make_ascii(heap, "plain"), 100, "plain");
		assert_string(heap, make_ascii(heap, ""), 100, "");
		assert_string(heap, make_ascii(heap, "cut short"), 3, "cut");
		assert_string(heap, make_text(heap, "h\xe4\xdf", 3, 1, false), 100,
			      "h\xc3\xa4\xc3\x9f");
		/* PEP 383: an undecodable byte of a path is a lone surrogate */
		assert_string(heap, make_text(heap, two, 4, 2, false), 100,
			      "\xe4\xb8\xad"
			      "a\xef\xbf\xbd\xe6\x96\x87");
		assert_string(heap, make_text(heap, two, 4, 2, false), 5,
			      "\xe4\xb8\xad"
			      "a");
		assert_string(heap, make_text(heap, four, 4, 4, false), 100,
			      "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xef\xbf\xbd\xef\xbf\xbd");
		/* text of a subclass stands elsewhere */
		subclass = make_ascii(heap, "");
		data = allocate(heap, 8);
		put(heap, data, "else", 4);
		put(heap, subclass + heap->facts->unicode_state, &not_compact, 4);
		put_word(heap, subclass + heap->facts->unicode_length, 4);
		put_word(heap, subclass + heap->facts->unicode_compact_data, data);
		assert_string(heap, subclass, 100, "else");
		put(heap, subclass + heap->facts->unicode_state, &no_kind, 4);
		assert_string(heap, subclass, 100, NULL);
		assert_string(heap, make_bytes(heap, "bytes", 5), 100, NULL);
		g_free(heap);
	}
}

static void strings_of_python_2_are_bytes_or_unicode(void **state)
{
	static const uint32_t wide[] = { 'a', 0x1f600 };
	static const uint16_t narrow[] = { 'a', 0xd83d, 0xde00 };
	struct heap *heap = heap_new(2, 7);
	struct python_facts narrow_facts = *heap->facts;
	uint64_t text = allocate(heap, 64), data = allocate(heap, 16);

	(void)state;
	assert_string(heap, make_bytes(heap, "h\xc3\xa4", 3), 100, "h\xc3\xa4");
	assert_string(heap, make_bytes(heap, "h\xe4", 2), 100, "h\xef\xbf\xbd");
	put_word(heap, text + heap->facts->object_type, heap->text_type);
	put_word(heap, text + heap->facts->old_unicode_length, 2);
	put_word(heap, text + heap->facts->old_unicode_data, data);
	put(heap, data, wide, sizeof(wide));
	assert_string(heap, text, 100, "a\xf0\x9f\x98\x80");
	narrow_facts.old_unicode_width = 2;
	heap->facts = &narrow_facts;
	put_word(heap, text + heap->facts->old_unicode_length, 3);
	put(heap, data, narrow, sizeof(narrow));
	assert_string(heap, text, 100, "a\xf0\x9f\x98\x80");
	g_free(heap);
}

static void absurd_strings_are_refused_or_cut(void **state)
{
	struct heap *heap = heap_new(3, 12);
	uint64_t text = make_ascii(heap, "text"), bytes = make_bytes(heap, "bytes", 5);
	size_t length;

	(void)state;
	put_word(heap, text + heap->facts->unicode_length, UINT64_MAX);
	assert_string(heap, text, 100, NULL);
	/* within the limit but beyond what is mapped */
	put_word(heap, text + heap->facts->unicode_length, INT64_MAX);
	assert_string(heap, text, 1 << 20, NULL);
	assert_string(heap, text, 4, "text");
	put_word(heap, bytes + heap->facts->bytes_size, UINT64_MAX);
	assert_null(python_bytes_read(&heap->memory.base, heap->facts, bytes, 100, &length));
	put_word(heap, bytes + heap->facts->bytes_size, INT64_MAX);
	assert_null(python_bytes_read(&heap->memory.base, heap->facts, bytes, 1 << 20, &length));
	assert_string(heap, 0, 100, NULL);
	assert_string(heap, UINT64_MAX - 3, 100, NULL);
	assert_string(heap, HEAP_START + HEAP_SIZE - 8, 100, NULL);
	g_free(heap);
}

static void code_objects_are_read_and_told_from_others(void **state)
{
	unsigned int count;
	const struct python_facts *rows = python_facts_all(&count);

	(void)state;
	for (unsigned int i = 0; i < count; i++) {
		struct heap *heap;
		const struct memory *memory;
		uint64_t name, file, table, address;
		struct code_object *code;

		if (rows[i].published == PUBLISHED_ONLY)
			continue;
		heap = heap_new(rows[i].major, rows[i].minor);
		memory = &heap->memory.base;
		name = rows[i].major == 2 ? make_bytes(heap, "f", 1) : make_ascii(heap, "f");
		file = rows[i].major == 2 ? make_bytes(heap, "a.py", 4) : make_ascii(heap, "a.py");
		table = make_bytes(heap, "\x80\x00", 2);
		address = make_code(heap, file, name, table, 12);
		code = code_object_read(memory, heap->facts, address);
		assert_non_null(code);
		assert_string_equal(code->filename, "a.py");
		assert_string_equal(code->function, "f");
		assert_int_equal(code->first_line, 12);
		assert_int_equal(code->line_table_length, 2);
		assert_true(code_object_is_same(memory, heap->facts, address, code));
		/* another function of the same name and file, in the same place */
		put_word(heap, address + heap->facts->code_linetable, name);
		assert_false(code_object_is_same(memory, heap->facts, address, code));
		/* its table is no bytes object, or it is no code object */
		put_word(heap, address + heap->facts->code_linetable, heap->other_type);
		assert_null(code_object_read(memory, heap->facts, address));
		put_word(heap, address + heap->facts->code_linetable, table);
		put_word(heap, address + heap->facts->object_type, heap->other_type);
		assert_null(code_object_read(memory, heap->facts, address));
		assert_false(code_object_is_same(memory, heap->facts, 64, code));
		code_object_free(code);
		g_free(heap);
	}
}

static void code_objects_cut_by_unmapped_memory_are_refused(void **state)
{
	struct heap *heap = heap_new(3, 13);
	uint64_t file = make_ascii(heap, "a.py"), name = make_ascii(heap, "f");
	uint64_t code = make_code(heap, file, name, make_bytes(heap, "\x80\x00", 2), 12);
	unsigned int readable = 0;

	(void)state;
	for (size_t length = 0; length <= heap->used; length++) {
		/* A copy of the exact size, so that a read too far is one of another object. */
		g_autofree uint8_t *copy = g_memdup2(heap->bytes, length);
		struct image_memory memory;
		struct code_object *found;

		image_memory_init(&memory, HEAP_START, copy, length);
		found = code_object_read(&memory.base, heap->facts, code);
		readable += found != NULL;
		code_object_free(found);
	}
	assert_true(readable > 0 && readable <= 256);
	g_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_out_of_range_give_the_first_line),
		cmocka_unit_test(strings_of_every_kind_become_utf8),
		cmocka_unit_test(strings_of_python_2_are_bytes_or_unicode),
		cmocka_unit_test(absurd_strings_are_refused_or_cut),
		cmocka_unit_test(code_objects_are_read_and_told_from_others),
		cmocka_unit_test(code_objects_cut_by_unmapped_memory_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
