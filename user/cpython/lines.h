/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Line tables: from an instruction's offset to its line. Pure functions on bytes that may be
 * hostile: they never read past
 * @length, always end, and wrap line numbers rather than overflow.
 */
#ifndef PYLEAK_CPYTHON_LINES_H
#define PYLEAK_CPYTHON_LINES_H

#include <stdint.h>
#include <stddef.h>

#include "cpython/facts.h"

/*
 * The line of the instruction at byte @offset of a code object's instructions; @first_line where
 * the table gives none or
 * @offset is negative (a frame that has not begun).
 */
int32_t line_table_find(enum line_table_kind kind, const uint8_t *table, size_t length,
			int32_t first_line, int64_t offset);

#endif
