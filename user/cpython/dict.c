// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sources: Objects/dict-common.h (3.6 to 3.10), Include/internal/pycore_dict.h (3.11 to 3.13),
 * Objects/dictobject.c, USABLE_FRACTION(): two thirds of the slots, rounded down.
 */
#include "cpython/dict.h"

#include <string.h>
#include <glib.h>

enum {
	MIN_LOG2 = 3, /* PyDict_LOG_MINSIZE */
	MAX_LOG2 = 40,
	MOST_SHARERS = 1 << 30,
	KINDS = 3,	     /* general, unicode, split */
	MOST_ENTRIES = 1024, /* looked at in a dict */
	AT_ONCE = 64,	     /* keys read in one go */
	KEY_BYTES = 96,	     /* of a key, at most: the head of a str and a short text */
};

static uint64_t word_at(const uint8_t *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

/* Bytes of an index: dk_indices, in both forms. */
static uint64_t index_width(unsigned int log2)
{
	return log2 < 8 ? 1 : log2 < 16 ? 2 : log2 < 32 ? 4 : 8;
}

static bool finish(struct dict_keys *keys, uint64_t header, unsigned int log2, uint64_t usable)
{
	uint64_t fraction = keys->slots * 2 / 3;

	if (usable > fraction || keys->entries > fraction || usable + keys->entries > fraction)
		return false;
	keys->entries_start = header + keys->slots * index_width(log2);
	keys->size = keys->entries_start + fraction * keys->entry_size;
	return true;
}

/* 3.6 to 3.10: refcnt, size, lookup, usable, nentries. */
static bool parse_sized(const uint8_t *header, struct dict_keys *keys)
{
	uint64_t slots = word_at(header, 8);

	if (slots < 1u << MIN_LOG2 || slots > 1ULL << MAX_LOG2 || slots & (slots - 1))
		return false;
	/* The function that looks up keys is somewhere. */
	if (word_at(header, 16) < 4096)
		return false;
	keys->slots = slots;
	keys->entries = word_at(header, 32);
	keys->entry_size = 24;
	keys->has_hash = true;
	return finish(keys, 40, __builtin_ctzll(slots), word_at(header, 24));
}

/* 3.11 on: refcnt, log2_size, log2_index_bytes, kind, version, usable, nentries. */
static bool parse_log2(const uint8_t *header, struct dict_keys *keys)
{
	unsigned int log2 = header[8], log2_index = header[9], kind = header[10];

	if (log2 < MIN_LOG2 || log2 > MAX_LOG2 || kind >= KINDS ||
	    log2_index != log2 + __builtin_ctzll(index_width(log2)))
		return false;
	keys->slots = 1ULL << log2;
	keys->entries = word_at(header, 24);
	keys->has_hash = kind == 0;
	keys->entry_size = keys->has_hash ? 24 : 16;
	return finish(keys, 32, log2, word_at(header, 16));
}

bool dict_keys_parse(const struct object_layout *layout, const uint8_t header[DICT_KEYS_HEADER],
		     struct dict_keys *keys)
{
	uint64_t sharers = word_at(header, 0);

	*keys = (struct dict_keys){ 0 };
	if (!sharers || sharers > MOST_SHARERS)
		return false;
	switch (layout->dict) {
	case DICT_KEYS:
		return parse_sized(header, keys);
	case DICT_KEYS_LOG2:
		return parse_log2(header, keys);
	default:
		return false;
	}
}

/* What the str (2.7: bytes) object of an ASCII text looks like in memory. */
struct text_pattern {
	const char *text;
	size_t size;
	uint32_t length_at, data_at;
	size_t bytes; /* to be read of an object; 0: too long a text */
};

static struct text_pattern pattern_of(const struct python_facts *facts, const char *text)
{
	bool old = !facts->unicode_length;
	struct text_pattern pattern = {
		.text = text,
		.size = strlen(text),
		.length_at = old ? facts->bytes_size : facts->unicode_length,
		.data_at = old ? facts->bytes_data : facts->unicode_ascii_data,
	};

	pattern.bytes = pattern.data_at + pattern.size;
	if (pattern.bytes > KEY_BYTES || pattern.length_at + sizeof(uint64_t) > pattern.data_at)
		pattern.bytes = 0;
	return pattern;
}

static bool matches(const struct text_pattern *pattern, const uint8_t *bytes)
{
	return word_at(bytes, pattern->length_at) == pattern->size &&
	       memcmp(bytes + pattern->data_at, pattern->text, pattern->size) == 0;
}

/* Looks @pattern up among @count entries, at most AT_ONCE. */
static bool find_among(const struct memory *memory, const struct text_pattern *pattern,
		       const uint8_t *entries, const struct dict_keys *keys, uint64_t count,
		       uint64_t *value)
{
	uint8_t texts[AT_ONCE * KEY_BYTES];
	uint64_t addresses[AT_ONCE], values[AT_ONCE];
	bool done[AT_ONCE];
	size_t key = keys->has_hash ? 8 : 0, asked = 0;

	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *entry = entries + i * keys->entry_size;

		values[asked] = word_at(entry, key + 8);
		addresses[asked] = word_at(entry, key);
		/* A deleted entry has no value. */
		if (addresses[asked] && values[asked])
			asked++;
	}
	memory_read_any(memory, addresses, asked, texts, pattern->bytes, done);
	for (size_t i = 0; i < asked; i++) {
		if (!done[i] || !matches(pattern, texts + i * pattern->bytes))
			continue;
		*value = values[i];
		return true;
	}
	return false;
}

/* Where the entries of the dict lie. */
static bool find_entries(const struct memory *memory, const struct object_layout *layout,
			 uint64_t dict, struct dict_keys *keys, uint64_t *entries)
{
	uint8_t header[DICT_KEYS_HEADER];
	uint64_t table, mask;

	if (!memory_read_u64(memory, dict + layout->dict_table, &table) || !table)
		return false;
	if (layout->dict == DICT_TABLE) {
		/* ma_mask stands before ma_table. */
		if (!memory_read_u64(memory, dict + layout->dict_table - 8, &mask))
			return false;
		*keys = (struct dict_keys){ .entries = MIN(mask, MOST_ENTRIES) + 1,
					    .entry_size = 24,
					    .has_hash = true };
		*entries = table;
		return true;
	}
	if (!memory_read(memory, table, header, sizeof(header)) ||
	    !dict_keys_parse(layout, header, keys))
		return false;
	*entries = table + keys->entries_start;
	return true;
}

bool dict_find(const struct memory *memory, const struct python_facts *facts,
	       const struct object_layout *layout, uint64_t dict, const char *name, uint64_t *value)
{
	const struct text_pattern pattern = pattern_of(facts, name);
	uint8_t piece[AT_ONCE * 24];
	struct dict_keys keys;
	uint64_t entries, left;

	if (!pattern.bytes || !find_entries(memory, layout, dict, &keys, &entries))
		return false;
	left = MIN(keys.entries, MOST_ENTRIES);
	for (uint64_t count; left; left -= count, entries += count * keys.entry_size) {
		count = MIN(left, AT_ONCE);
		if (!memory_read(memory, entries, piece, count * keys.entry_size))
			return false;
		if (find_among(memory, &pattern, piece, &keys, count, value))
			return true;
	}
	return false;
}
