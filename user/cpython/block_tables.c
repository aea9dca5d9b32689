// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sources: Objects/dictobject.c, setobject.c, listobject.c, odictobject.c, intobject.c and
 * floatobject.c (2.7), Modules/_collectionsmodule.c, of the versions named.
 */
#include "cpython/block_tables.h"

#include <string.h>
#include <glib.h>

#include "cpython/dict.h"

enum {
	MOST_POINTERS = 16, /* looked at in a block */
	SHARED_KEYS_MAX = 30,
	LEAST_SET_TABLE = 16,
};

/* The block as words. */
static size_t word_count(const struct block_view *block)
{
	return block->length / 8;
}

static uint64_t word(const struct block_view *block, size_t index)
{
	uint64_t value;

	memcpy(&value, block->bytes + index * 8, sizeof(value));
	return value;
}

/* Whether a table of @bytes fills the block. */
static bool fills(const struct block_view *block, uint64_t bytes)
{
	return bytes <= block->size && block->size - bytes < block->slack;
}

static bool may_be_address(uint64_t value)
{
	return value >= 4096 && value < 1ULL << 47 && value % 8 == 0;
}

/* Which of @count words (at most MOST_POINTERS) are addresses of objects. */
static void find_objects(const struct classifier *classifier, const uint64_t *words, size_t count,
			 bool *is_object)
{
	uint64_t heads[MOST_POINTERS][2], addresses[MOST_POINTERS] = { 0 };
	size_t owner[MOST_POINTERS], asked = 0;
	bool done[MOST_POINTERS];

	for (size_t i = 0; i < count; i++) {
		is_object[i] = false;
		if (!may_be_address(words[i]) || !maps_find(classifier->maps, words[i]))
			continue;
		addresses[asked] = words[i];
		owner[asked++] = i;
	}
	memory_read_any(classifier->memory, addresses, asked, heads, sizeof(heads[0]), done);
	for (size_t i = 0; i < asked; i++)
		is_object[owner[i]] = done[i] &&
				      types_is_refcount(classifier->types, heads[i][0]) &&
				      types_find(classifier->types, heads[i][1]);
}

static bool is_object(const struct classifier *classifier, uint64_t value)
{
	bool found;

	find_objects(classifier, &value, 1, &found);
	return found;
}

static bool is_dict_keys(const struct classifier *classifier, const struct block_view *block)
{
	struct dict_keys keys;

	return block->length >= DICT_KEYS_HEADER &&
	       dict_keys_parse(classifier->layout, block->bytes, &keys) && fills(block, keys.size);
}

/* 2.7: a table of {hash, key, value} or of {hash, key}, a power of two of them. */
static bool is_hash_table(const struct classifier *classifier, const struct block_view *block,
			  size_t entry_words, size_t key)
{
	uint64_t slots = block->size / 8 / entry_words, keys[MOST_POINTERS] = { 0 };
	bool found[MOST_POINTERS];
	size_t count = 0, step = 0;

	if (slots < LEAST_SET_TABLE || slots & (slots - 1) ||
	    !fills(block, slots * entry_words * 8))
		return false;
	for (; (step + 1) * entry_words <= word_count(block) && count < MOST_POINTERS; step++) {
		uint64_t other = word(block, step * entry_words + (key ? 0 : 1));

		keys[count] = word(block, step * entry_words + key);
		/* The hash of a free slot is 0; and a hash is no address of an object. */
		if (!keys[count] && other)
			return false;
		if (keys[count] && may_be_address(other) && is_object(classifier, other))
			return false;
		count += keys[count] != 0;
	}
	find_objects(classifier, keys, count, found);
	for (size_t i = 0; i < count; i++)
		if (!found[i])
			return false;
	return count;
}

static bool is_set_table(const struct classifier *classifier, const struct block_view *block)
{
	return is_hash_table(classifier, block, 2, classifier->layout->set_hash_first ? 1 : 0);
}

/* @count values of attributes from word @first on: objects or nothing, at least @least of them. */
static bool are_values(const struct classifier *classifier, const struct block_view *block,
		       size_t first, size_t count, size_t least)
{
	uint64_t values[MOST_POINTERS] = { 0 };
	bool found[MOST_POINTERS];
	size_t asked = 0;

	for (size_t i = 0; i < count && first + i < word_count(block); i++)
		if (word(block, first + i) && asked < MOST_POINTERS)
			values[asked++] = word(block, first + i);
	find_objects(classifier, values, asked, found);
	for (size_t i = 0; i < asked; i++)
		if (!found[i])
			return false;
	return asked >= MIN(least, MOST_POINTERS);
}

/*
 * 3.11, 3.12: bytes, the last two of which are the number of values and of all these bytes, those
 * before them the order in which they came; then the values.
 */
static bool is_prefixed_values(const struct classifier *classifier, const struct block_view *block)
{
	for (size_t prefix = 8; prefix <= 32 && prefix + 8 <= block->length; prefix += 8) {
		size_t used = block->bytes[prefix - 2], room = (block->size - prefix) / 8, i;

		if (block->bytes[prefix - 1] != prefix || used > SHARED_KEYS_MAX ||
		    used + 2 > prefix || used > room)
			continue;
		for (i = 0; i < used; i++)
			if (block->bytes[prefix - 3 - i] >= MIN(room, SHARED_KEYS_MAX))
				break;
		/* The last word may be the allocator's rounding. */
		if (i == used && are_values(classifier, block, prefix / 8,
					    room > used ? room - 1 : room, used ? 1 : 0))
			return true;
	}
	return false;
}

/* 3.13 on: capacity, size, embedded, valid; the values; then the order in which they came. */
static bool is_headed_values(const struct classifier *classifier, const struct block_view *block)
{
	size_t capacity = block->bytes[0], used = block->bytes[1];

	return capacity && capacity <= SHARED_KEYS_MAX && used <= capacity && !block->bytes[2] &&
	       block->bytes[3] == 1 && fills(block, (capacity + 7) / 8 * 8 + (capacity + 1) * 8) &&
	       are_values(classifier, block, 1, capacity, used ? 1 : 0);
}

static bool is_values(const struct classifier *classifier, const struct block_view *block)
{
	if (block->length < 16)
		return false;
	if (classifier->layout->values == VALUES_PREFIX)
		return is_prefixed_values(classifier, block);
	return classifier->layout->values == VALUES_HEADER && is_headed_values(classifier, block);
}

/*
 * Two links and pointers, 62 or 64. append() begins in the middle of the first block, extend() and
 * extendleft() at or next to its ends, and the next blocks are filled from an end. The links at the
 * ends of the deque are not set to anything.
 */
static bool is_deque_block(const struct classifier *classifier, const struct block_view *block)
{
	const size_t first = classifier->layout->deque_data / 8;
	const size_t count = classifier->layout->deque_block / 8 - 2, middle = (count - 1) / 2;
	const size_t places[] = { 0, 1, middle, middle + 1, count - 2, count - 1 };
	uint64_t words[G_N_ELEMENTS(places)];
	bool found[G_N_ELEMENTS(places)];

	if (!fills(block, classifier->layout->deque_block) ||
	    block->length < classifier->layout->deque_block)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		words[i] = word(block, first + places[i]);
	find_objects(classifier, words, G_N_ELEMENTS(places), found);
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		if (found[i])
			return true;
	return false;
}

/* The neighbour of a node at @block: its member @back bytes from its start points to it. */
static bool points_back(const struct classifier *classifier, uint64_t neighbour, uint32_t back,
			uint64_t block)
{
	uint64_t value;

	return may_be_address(neighbour) &&
	       memory_read_u64(classifier->memory, neighbour + back, &value) && value == block;
}

/* struct _odictnode at @address: key, hash, next, prev; its neighbours point back. */
static bool is_odict_node_at(const struct classifier *classifier, uint64_t address,
			     const uint64_t words[4])
{
	return (!words[2] || points_back(classifier, words[2], 24, address)) &&
	       (!words[3] || points_back(classifier, words[3], 16, address)) &&
	       is_object(classifier, words[0]) && words[1] && !is_object(classifier, words[1]);
}

static bool is_odict_node(const struct classifier *classifier, const struct block_view *block)
{
	uint64_t words[4];

	if (!fills(block, sizeof(words)) || block->length < sizeof(words))
		return false;
	memcpy(words, block->bytes, sizeof(words));
	return is_odict_node_at(classifier, block->address, words);
}

/* od_fast_nodes: a node or nothing for each slot of the dict's table. */
static bool is_odict_index(const struct classifier *classifier, const struct block_view *block)
{
	uint64_t slots = block->size / 8, node[4];
	size_t checked = 0;

	if (slots < 8 || slots & (slots - 1) || !fills(block, slots * 8))
		return false;
	for (size_t i = 0; i < word_count(block) && checked < 2; i++) {
		if (!word(block, i))
			continue;
		if (!may_be_address(word(block, i)) ||
		    !memory_read(classifier->memory, word(block, i), node, sizeof(node)) ||
		    !is_odict_node_at(classifier, word(block, i), node))
			return false;
		checked++;
	}
	return checked;
}

/* 2.7: a link, then ints or floats side by side; PyIntBlock, PyFloatBlock. */
static bool is_number_block(const struct classifier *classifier, const struct block_view *block)
{
	enum { NUMBER_WORDS = 3, ENOUGH = 8 };
	const struct type *type = NULL;

	if (classifier->layout->major != 2 || word_count(block) < 1 + NUMBER_WORDS * ENOUGH)
		return false;
	for (size_t i = 0; i < ENOUGH; i++) {
		/* The type of a number that is free is a link to the next. */
		const struct type *now =
			types_find(classifier->types, word(block, 2 + i * NUMBER_WORDS));

		if (now && type && now != type)
			return false;
		type = now ? now : type;
	}
	return type && (!strcmp(type->name, "int") || !strcmp(type->name, "float"));
}

/*
 * An array of pointers to objects; room that is not used yet holds anything. A single one in a
 * large block may be part of something else.
 */
static bool is_object_array(const struct classifier *classifier, const struct block_view *block)
{
	enum { SMALL = 64 };
	size_t count = MIN(word_count(block), MOST_POINTERS), leading = 0;
	uint64_t words[MOST_POINTERS];
	bool found[MOST_POINTERS];

	for (size_t i = 0; i < count; i++)
		words[i] = word(block, i);
	if (!count || !may_be_address(words[0]))
		return false;
	find_objects(classifier, words, count, found);
	while (leading < count && found[leading])
		leading++;
	return leading > 1 || (leading == 1 && block->size <= SMALL);
}

/*
 * 3.6 to 3.10: as many pointers as a table of shared keys has entries, those not set NULL. A list
 * with room for just so many has all of them set.
 */
enum plain_values { VALUES_NO, VALUES_MAYBE, VALUES_SURE };

static enum plain_values plain_values(const struct classifier *classifier,
				      const struct block_view *block)
{
	if (classifier->layout->values != VALUES_PLAIN)
		return VALUES_NO;
	for (uint64_t slots = 8; slots <= 64; slots *= 2) {
		size_t count = slots * 2 / 3;

		if (!fills(block, count * 8))
			continue;
		if (!are_values(classifier, block, 0, count, 1))
			return VALUES_NO;
		return word(block, count - 1) ? VALUES_MAYBE : VALUES_SURE;
	}
	return VALUES_NO;
}

/* The name of the table that the block is, or NULL. */
static const char *table_name(const struct classifier *classifier, const struct block_view *block,
			      enum plain_values values)
{
	if (is_dict_keys(classifier, block) ||
	    (classifier->layout->dict == DICT_TABLE && is_hash_table(classifier, block, 3, 1)))
		return BLOCK_DICT_KEYS;
	if (values == VALUES_SURE || is_values(classifier, block))
		return BLOCK_DICT_VALUES;
	if (is_set_table(classifier, block))
		return BLOCK_SET_TABLE;
	if (is_deque_block(classifier, block))
		return BLOCK_DEQUE_BLOCK;
	if (is_odict_node(classifier, block))
		return BLOCK_ODICT_NODE;
	if (is_odict_index(classifier, block))
		return BLOCK_ODICT_INDEX;
	if (is_number_block(classifier, block))
		return BLOCK_NUMBERS;
	return is_object_array(classifier, block) ? BLOCK_LIST_ITEMS : NULL;
}

bool block_tables_classify(const struct classifier *classifier, const struct block_view *block,
			   struct block_class *found)
{
	enum plain_values values = plain_values(classifier, block);

	found->name = table_name(classifier, block, values);
	found->maybe_values = found->name && values == VALUES_MAYBE;
	return found->name;
}
