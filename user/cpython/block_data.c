// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/block_tables.h"

#include <string.h>
#include <glib.h>

enum {
	LEAST_TEXT = 4, /* characters */
	MOST_CHARACTER = 0x10ffff,
};

/*
 * 2.7: the text of a unicode object, Py_UNICODE of @width bytes up to a zero that ends the block,
 * as far as that was read. Small integers look the same, so nothing else is taken for text.
 */
static bool is_wide_text(const struct block_view *block, size_t width)
{
	size_t count = block->length / width, i;

	for (i = 0; i < count; i++) {
		uint32_t character = 0;

		memcpy(&character, block->bytes + i * width, width);
		if (!character)
			break;
		if (character > MOST_CHARACTER ||
		    !(g_unichar_isprint(character) || g_unichar_isspace(character)))
			return false;
	}
	if (i == count)
		return block->length < block->size;
	return i && block->size - (i + 1) * width < MAX(block->slack, width);
}

static bool is_text(const struct block_view *block)
{
	size_t length = strnlen((const char *)block->bytes, block->length);
	const char *text = (const char *)block->bytes, *end;

	/* What was read may end within a character. */
	if (!g_utf8_validate(text, (gssize)length, &end) &&
	    (length < block->length || text + length - end > 3))
		return false;
	if (end - text < LEAST_TEXT)
		return false;
	for (; text < end; text = g_utf8_next_char(text)) {
		gunichar character = g_utf8_get_char(text);

		if (!g_unichar_isprint(character) && !g_unichar_isspace(character))
			return false;
	}
	return true;
}

static bool holds_address(const struct classifier *classifier, const struct block_view *block)
{
	for (size_t offset = 0; offset + 8 <= block->length; offset += 8) {
		uint64_t value;

		memcpy(&value, block->bytes + offset, sizeof(value));
		if (value >= 4096 && maps_find(classifier->maps, value))
			return true;
	}
	return false;
}

const char *block_data_classify(const struct classifier *classifier, const struct block_view *block)
{
	if (!block->length)
		return BLOCK_UNKNOWN;
	if (classifier->facts->old_unicode_width &&
	    is_wide_text(block, classifier->facts->old_unicode_width))
		return BLOCK_STR_DATA;
	if (is_text(block))
		return BLOCK_TEXT;
	return holds_address(classifier, block) ? BLOCK_UNKNOWN : BLOCK_RAW;
}
