// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/block_class.h"

#include <string.h>
#include <glib.h>

#include "cpython/block_tables.h"
#include "cpython/objects.h"

enum {
	/* 2.7: PyInstanceObject.in_class, Include/classobject.h. */
	INSTANCE_CLASS = 16,
	PREHEADER = 16,
	/* A reference count from here on may be an address as well. */
	MAYBE_ADDRESS = 4096,
};

static uint64_t word_at(const struct block_view *block, size_t offset)
{
	uint64_t word;

	memcpy(&word, block->bytes + offset, sizeof(word));
	return word;
}

/* The smallest that an object of the type can be. */
static uint64_t least_size(const struct classifier *classifier, const struct type *type)
{
	/* Compact str is smaller than its type says (PEP 393). */
	if (type->flags & TYPE_FLAG_UNICODE && classifier->facts->unicode_ascii_data)
		return MIN(type->basic_size, classifier->facts->unicode_ascii_data);
	return type->basic_size;
}

/* What a block's word of references says. */
enum life { LIFE_NONE, LIFE_DEAD, LIFE_ALIVE };

static enum life life_of(const struct classifier *classifier, uint64_t references)
{
	if (types_is_refcount(classifier->types, references)) {
		/* An array of two pointers, the second to a type. */
		if (references >= MAYBE_ADDRESS && !classifier->layout->narrow_refcount &&
		    maps_find(classifier->maps, references))
			return LIFE_NONE;
		return LIFE_ALIVE;
	}
	return references ? LIFE_NONE : LIFE_DEAD;
}

/*
 * The type of the object that begins @offset bytes into the block, or NULL. That the type asks for
 * just these bytes before its objects is what tells an object from words that look like one.
 */
static const struct type *type_at(const struct classifier *classifier,
				  const struct block_view *block, size_t offset, enum life life)
{
	const struct type *type;

	if (offset + 16 > block->length ||
	    life_of(classifier, word_at(block, offset + OBJECT_REFCOUNT)) != life)
		return NULL;
	type = types_find(classifier->types, word_at(block, offset + OBJECT_TYPE));
	if (!type || type->head != offset || offset + least_size(classifier, type) > block->size)
		return NULL;
	return type;
}

/* The type of the object in the block, and where it begins; NULL. */
static const struct type *find_object(const struct classifier *classifier,
				      const struct block_view *block, enum life life,
				      size_t *offset)
{
	const uint32_t gc_head = classifier->layout->gc_head;
	const size_t heads[] = { 0, gc_head, gc_head + PREHEADER, PREHEADER };

	for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
		const struct type *type = type_at(classifier, block, heads[i], life);

		*offset = heads[i];
		if (type)
			return type;
	}
	return NULL;
}

static const char *name_object(const struct classifier *classifier, const struct block_view *block,
			       size_t offset, const struct type *type)
{
	const char *classic = NULL;

	if (classifier->layout->major == 2 && !strcmp(type->name, "instance") &&
	    offset + INSTANCE_CLASS + 8 <= block->length)
		classic = types_find_classic(classifier->types,
					     word_at(block, offset + INSTANCE_CLASS));
	return classic ? classic : type->name;
}

static bool classify_object(const struct classifier *classifier, const struct block_view *block,
			    struct block_class *found)
{
	const struct object_layout *layout = classifier->layout;
	size_t offset, values;
	const struct type *type = find_object(classifier, block, LIFE_ALIVE, &offset);

	if (!type)
		return false;
	values = offset + layout->dict_values;
	found->name = name_object(classifier, block, offset, type);
	found->has_values = type->flags & TYPE_FLAG_DICT && layout->values == VALUES_PLAIN &&
			    values + 8 <= block->length && word_at(block, values);
	return true;
}

/* The word that debug hooks put before a block to tell overruns: a letter for who asked, then this.
 */
static bool is_guarded(const struct block_view *block)
{
	enum { LETTER = 8, GUARD = 0xfd };

	if (block->length < 16 || !strchr("rmo", block->bytes[LETTER]) || !block->bytes[LETTER])
		return false;
	for (size_t i = LETTER + 1; i < 16; i++)
		if (block->bytes[i] != GUARD)
			return false;
	return true;
}

/*
 * Leaves out what debug hooks put around a block: before it its size, big-endian, and a guard,
 * after it at least one more (Objects/obmalloc.c, _PyMem_DebugRawAlloc()). Large blocks, which
 * pymalloc takes from the raw allocator, are wrapped twice.
 */
static struct block_view without_debug_bytes(const struct block_view *block)
{
	enum { BEFORE = 16, AFTER = 8, LAYERS = 2 };
	struct block_view inner = *block;

	for (int layer = 0; layer < LAYERS && is_guarded(&inner); layer++) {
		uint64_t size = GUINT64_FROM_BE(word_at(&inner, 0));

		if (inner.size < BEFORE + AFTER || size > inner.size - BEFORE - AFTER)
			break;
		inner.address += BEFORE;
		inner.bytes += BEFORE;
		inner.size = size;
		inner.slack = 1;
		inner.length = MIN(inner.length - BEFORE, size);
	}
	return inner;
}

void block_classify(const struct classifier *classifier, const struct block_view *block,
		    struct block_class *found)
{
	const struct block_view inner =
		classifier->debug_hooks ? without_debug_bytes(block) : *block;

	size_t offset;

	*found = (struct block_class){ 0 };
	if (classify_object(classifier, &inner, found) ||
	    block_tables_classify(classifier, &inner, found))
		return;
	/* Only now: a table that is not filled yet may hold what is left of a dead object. */
	if (find_object(classifier, &inner, LIFE_DEAD, &offset))
		found->name = BLOCK_RECYCLED;
	else
		found->name = block_data_classify(classifier, &inner);
}
