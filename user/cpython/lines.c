// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/lines.h"

#include <stdbool.h>

/* Line arithmetic on foreign numbers: unsigned, so that hostile tables wrap instead of being
 * undefined. */
static uint32_t step(uint32_t line, int32_t delta)
{
	return line + (uint32_t)delta;
}

/* co_lnotab: pairs of (byte step, line step). Objects/lnotab_notes.txt, PyCode_Addr2Line() of 2.7
 * and of 3.6 to 3.9. */
static uint32_t find_in_lnotab(const uint8_t *table, size_t length, uint32_t line, uint64_t offset,
			       bool is_signed)
{
	uint64_t address = 0;

	for (size_t i = 0; i + 1 < length; i += 2) {
		address += table[i];
		if (address > offset)
			break;
		line = step(line, is_signed ? (int8_t)table[i + 1] : table[i + 1]);
	}
	return line;
}

/* 3.10's co_linetable: pairs of (bytes covered, line step); a step of -128 covers bytes that belong
 * to no line (PEP 626). */
static uint32_t find_in_linetable(const uint8_t *table, size_t length, uint32_t first_line,
				  uint64_t offset)
{
	uint32_t line = first_line;
	uint64_t end = 0;

	for (size_t i = 0; i + 1 < length; i += 2) {
		int8_t delta = (int8_t)table[i + 1];

		end += table[i];
		if (delta != -128)
			line = step(line, delta);
		if (end > offset)
			return delta == -128 ? first_line : line;
	}
	return first_line;
}

/* A cursor over the location table of 3.11 on. */
struct cursor {
	const uint8_t *next, *end;
};

/* Six bits a byte, the seventh says that more follow: Objects/locations.md of 3.11. Cut short: the
 * value so far. */
static uint32_t read_varint(struct cursor *cursor)
{
	uint32_t value = 0;
	unsigned int shift = 0;

	while (cursor->next < cursor->end) {
		/* Bit 7 begins the next entry: a hostile varint may not swallow it. */
		uint8_t byte = *cursor->next;

		if (byte & 0x80)
			break;
		cursor->next++;
		if (shift < 32)
			value |= (uint32_t)(byte & 0x3f) << shift;
		shift += 6;
		if (!(byte & 0x40))
			break;
	}
	return value;
}

static int32_t read_signed_varint(struct cursor *cursor)
{
	uint32_t value = read_varint(cursor);

	return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

/* Kinds of entries: enum _PyCodeLocationInfoKind, Include/internal/pycore_code.h, 3.11 to 3.15. */
enum {
	LOCATION_ONE_LINE_0 = 10, /* 10, 11, 12: a line step of 0, 1, 2 */
	LOCATION_ONE_LINE_2 = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
	CODE_UNIT = 2, /* bytes */
};

static uint32_t find_in_locations(const uint8_t *table, size_t length, uint32_t first_line,
				  uint64_t offset)
{
	struct cursor cursor = { table, table + length };
	uint32_t line = first_line;
	uint64_t end = 0;

	while (cursor.next < cursor.end) {
		uint8_t head = *cursor.next++;
		unsigned int kind = head >> 3 & 15;

		/* The first byte of an entry has bit 7 set, all others have it clear. */
		if (!(head & 0x80))
			return first_line;
		end += ((head & 7) + 1) * CODE_UNIT;
		if (kind >= LOCATION_ONE_LINE_0 && kind <= LOCATION_ONE_LINE_2)
			line = step(line, (int32_t)kind - LOCATION_ONE_LINE_0);
		else if (kind == LOCATION_NO_COLUMNS || kind == LOCATION_LONG)
			line = step(line, read_signed_varint(&cursor));
		if (end > offset)
			return kind == LOCATION_NONE ? first_line : line;
		/* The columns are of no interest. */
		while (cursor.next < cursor.end && !(*cursor.next & 0x80))
			cursor.next++;
	}
	return first_line;
}

int32_t line_table_find(enum line_table_kind kind, const uint8_t *table, size_t length,
			int32_t first_line, int64_t offset)
{
	uint32_t line = (uint32_t)first_line;

	if (offset < 0)
		return first_line;
	switch (kind) {
	case LINES_LNOTAB_UNSIGNED:
	case LINES_LNOTAB_SIGNED:
		line = find_in_lnotab(table, length, line, (uint64_t)offset,
				      kind == LINES_LNOTAB_SIGNED);
		break;
	case LINES_LINETABLE:
		line = find_in_linetable(table, length, line, (uint64_t)offset);
		break;
	case LINES_LOCATIONS:
		line = find_in_locations(table, length, line, (uint64_t)offset);
		break;
	}
	return (int32_t)line;
}
