/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocks that are no objects: the tables of dicts, sets, lists and such, and plain data. */
#ifndef PYLEAK_CPYTHON_BLOCK_TABLES_H
#define PYLEAK_CPYTHON_BLOCK_TABLES_H

#include "cpython/block_class.h"

/* Fills in @found where the block is a table. */
bool block_tables_classify(const struct classifier *classifier, const struct block_view *block,
			   struct block_class *found);

/* The name for what holds no objects: text, numbers, anything else. */
const char *block_data_classify(const struct classifier *classifier,
				const struct block_view *block);

#endif
