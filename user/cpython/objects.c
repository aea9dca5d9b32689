// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/objects.h"

#include <string.h>
#include <glib.h>

#include "cpython/code.h"

/* PyASCIIObject.state, Include/cpython/unicodeobject.h, the same bits from 3.6 to 3.15 (not in
 * free-threaded builds). */
#define STATE_KIND(state)    ((state) >> 2 & 7)
#define STATE_COMPACT(state) ((state) >> 5 & 1)
#define STATE_ASCII(state)   ((state) >> 6 & 1)

enum { REPLACEMENT = 0xfffd, UTF8_MOST = 4 /* bytes a character takes at most */ };

static bool object_type(const struct memory *memory, const struct python_facts *facts,
			uint64_t address, uint64_t *type)
{
	return address && memory_read_u64(memory, address + facts->object_type, type) && *type;
}

bool object_type_flags(const struct memory *memory, const struct python_facts *facts,
		       uint64_t address, uint64_t *flags)
{
	uint64_t type;

	return object_type(memory, facts, address, &type) &&
	       memory_read_u64(memory, type + facts->type_flags, flags);
}

bool object_type_is(const struct memory *memory, const struct python_facts *facts, uint64_t address,
		    const char *name)
{
	g_autofree char *actual = NULL;
	uint64_t type, name_address;

	if (!object_type(memory, facts, address, &type) ||
	    !memory_read_u64(memory, type + facts->type_name, &name_address))
		return false;
	/* One byte more than the name has, to tell "code" from "codec". */
	actual = memory_read_string(memory, name_address, strlen(name) + 1);
	return actual && strcmp(actual, name) == 0;
}

/* Reads @length bytes into a new buffer. The caller has bounded @length. */
static uint8_t *read_buffer(const struct memory *memory, uint64_t address, size_t length)
{
	g_autofree uint8_t *buffer = g_malloc(length + 1);

	if (length && !memory_read(memory, address, buffer, length))
		return NULL;
	return g_steal_pointer(&buffer);
}

uint8_t *python_bytes_read(const struct memory *memory, const struct python_facts *facts,
			   uint64_t address, size_t limit, size_t *length)
{
	uint64_t flags, size;
	uint8_t *bytes;

	if (!object_type_flags(memory, facts, address, &flags) || !(flags & TYPE_FLAG_BYTES) ||
	    !memory_read_u64(memory, address + facts->bytes_size, &size) || size > INT64_MAX)
		return NULL;
	*length = MIN(size, limit);
	bytes = read_buffer(memory, address + facts->bytes_data, *length);
	return bytes;
}

static uint32_t character_at(const uint8_t *data, size_t index, unsigned int width)
{
	uint16_t two;
	uint32_t four;

	if (width == 1)
		return data[index];
	if (width == 2) {
		memcpy(&two, data + index * 2, 2);
		return two;
	}
	memcpy(&four, data + index * 4, 4);
	return four;
}

/* UCS1, UCS2 (with surrogate pairs, which 2.7's narrow builds have) or UCS4 to UTF-8. */
static char *characters_to_utf8(const uint8_t *data, size_t count, unsigned int width)
{
	g_autofree char *text = g_malloc(count * UTF8_MOST + 1);
	size_t out = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t character = character_at(data, i, width);

		if (width == 2 && (character & 0xfc00) == 0xd800 && i + 1 < count) {
			uint32_t low = character_at(data, i + 1, width);

			if ((low & 0xfc00) == 0xdc00) {
				character = 0x10000 + ((character & 0x3ff) << 10) + (low & 0x3ff);
				i++;
			}
		}
		/* Lone surrogates are how CPython carries undecodable bytes of a path (PEP 383). */
		if (character == 0 || !g_unichar_validate(character))
			character = REPLACEMENT;
		out += g_unichar_to_utf8(character, text + out);
	}
	text[out] = '\0';
	return g_steal_pointer(&text);
}

static char *read_characters(const struct memory *memory, uint64_t address, uint64_t count,
			     unsigned int width, size_t limit)
{
	g_autofree uint8_t *data = NULL;

	count = MIN(count, limit / width);
	data = read_buffer(memory, address, count * width);
	return data ? characters_to_utf8(data, count, width) : NULL;
}

/* PEP 393, 3.6 on. */
static char *read_str(const struct memory *memory, const struct python_facts *facts,
		      uint64_t address, size_t limit)
{
	uint64_t count, data;
	uint32_t state;

	if (!memory_read_u64(memory, address + facts->unicode_length, &count) ||
	    !memory_read_u32(memory, address + facts->unicode_state, &state) || count > INT64_MAX)
		return NULL;
	/* Kind 0: an old-style string nobody has made canonical (up to 3.11); code objects have
	 * none. */
	if (STATE_KIND(state) != 1 && STATE_KIND(state) != 2 && STATE_KIND(state) != 4)
		return NULL;
	if (!STATE_COMPACT(state)) {
		/* A subclass of str: the data pointer follows where compact text would. */
		if (!memory_read_u64(memory, address + facts->unicode_compact_data, &data))
			return NULL;
	} else {
		data = address + (STATE_ASCII(state) ? facts->unicode_ascii_data
						     : facts->unicode_compact_data);
	}
	return read_characters(memory, data, count, STATE_KIND(state), limit);
}

/* 2.7: unicode. */
static char *read_old_unicode(const struct memory *memory, const struct python_facts *facts,
			      uint64_t address, size_t limit)
{
	uint64_t count, data;

	if (!memory_read_u64(memory, address + facts->old_unicode_length, &count) ||
	    !memory_read_u64(memory, address + facts->old_unicode_data, &data) || count > INT64_MAX)
		return NULL;
	return read_characters(memory, data, count, facts->old_unicode_width, limit);
}

/* 2.7: str, whose encoding nobody knows; paths nearly always are UTF-8. */
static char *read_byte_string(const struct memory *memory, const struct python_facts *facts,
			      uint64_t address, size_t limit)
{
	g_autofree uint8_t *bytes = NULL;
	size_t length;

	bytes = python_bytes_read(memory, facts, address, limit, &length);
	return bytes ? g_utf8_make_valid((const char *)bytes, (gssize)length) : NULL;
}

char *python_string_read(const struct memory *memory, const struct python_facts *facts,
			 uint64_t address, size_t limit)
{
	uint64_t flags;

	if (!object_type_flags(memory, facts, address, &flags))
		return NULL;
	if (flags & TYPE_FLAG_UNICODE)
		return facts->unicode_length ? read_str(memory, facts, address, limit)
					     : read_old_unicode(memory, facts, address, limit);
	if (!facts->unicode_length && (flags & TYPE_FLAG_BYTES))
		return read_byte_string(memory, facts, address, limit);
	return NULL;
}
