// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/fingerprints.h"

#include <string.h>
#include <glib.h>

enum {
	/* Of a block's beginning: the header of an object and some of what it holds. */
	WORDS = 8,
	/* A smaller word is no pointer. */
	SMALLEST_POINTER = 4096,
	CHUNK_FLAGS = 7,
	PREV_INUSE = 1,
	IS_MMAPPED = 2,
	/* Include/object.h: offsets on 64 bits; Py_TPFLAGS_LONG_SUBCLASS, _BYTES_ and _UNICODE_. */
	OBJECT_TYPE = 8,
	TYPE_FLAGS = 168,
	TYPE_SEALED_SUBCLASSES = 1 << 24 | 1 << 27 | 1 << 28,
	MAX_METATYPES = 4,
	MAX_TYPES = 1 << 16, /* that are remembered */
};

/* Objects of a sealed type are as they will be as soon as they are made, but for a hash. */
enum type_kind { TYPE_NONE, TYPE_ANY, TYPE_SEALED };

/* Of an object's words: objects of one type that follow each other in a place differ in more. */
static const double MOSTLY = 0.6;

/*
 * Where the type of an object may be in its block: word 1 without a GC header, 3 with one of 16
 * bytes (3.8 on), 5 with a managed dict before that (3.11, 3.12) or a GC header of 32 bytes (up
 * to 3.7). The reference count is the word before.
 */
static const int TYPE_WORDS[] = { 1, 3, 5 };

struct fingerprint {
	uint64_t address, tag;
	uint64_t words[WORDS];
	uint64_t chunk_size; /* glibc: size field with its flags */
	double window_ns;
	bool looked_at; /* since it was taken */
	int unasked;	/* sweeps since it was asked for */
};

struct fingerprints {
	GMutex mutex;
	GHashTable *blocks; /* by address */
	uint32_t most;	    /* of them */
	uint64_t refused;
	GHashTable *types; /* address to enum type_kind, of what is a type */
};

struct fingerprints *fingerprints_new(uint32_t most)
{
	struct fingerprints *fingerprints = g_new0(struct fingerprints, 1);

	fingerprints->most = most;
	g_mutex_init(&fingerprints->mutex);
	fingerprints->types = g_hash_table_new(g_direct_hash, g_direct_equal);
	fingerprints->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	return fingerprints;
}

void fingerprints_free(struct fingerprints *fingerprints)
{
	if (!fingerprints)
		return;
	g_hash_table_unref(fingerprints->blocks);
	g_hash_table_unref(fingerprints->types);
	g_mutex_clear(&fingerprints->mutex);
	g_free(fingerprints);
}

/*
 * Every type's type is a type, and at the end of that is `type`, which is its own. Struct offsets
 * of Include/object.h, the same from 2.7 to 3.15.
 */
static enum type_kind read_type_kind(const struct memory *memory, uint64_t address)
{
	uint64_t type = address, above = 0, flags;

	if (address < SMALLEST_POINTER || address % 8)
		return TYPE_NONE;
	for (int depth = 0; depth < MAX_METATYPES && above != type; depth++) {
		if (depth)
			type = above;
		if (!memory_read_u64(memory, type + OBJECT_TYPE, &above) ||
		    above < SMALLEST_POINTER)
			return TYPE_NONE;
	}
	if (above != type || !memory_read_u64(memory, address + TYPE_FLAGS, &flags))
		return TYPE_NONE;
	return flags & TYPE_SEALED_SUBCLASSES ? TYPE_SEALED : TYPE_ANY;
}

/* TYPE_NONE also of what has not been looked at. */
static enum type_kind known_kind(struct fingerprints *fingerprints, uint64_t address)
{
	void *known;

	g_mutex_lock(&fingerprints->mutex);
	known = g_hash_table_lookup(fingerprints->types, GSIZE_TO_POINTER(address));
	g_mutex_unlock(&fingerprints->mutex);
	return GPOINTER_TO_INT(known);
}

static enum type_kind learn_kind(struct fingerprints *fingerprints, const struct memory *memory,
				 uint64_t address)
{
	enum type_kind kind = read_type_kind(memory, address);

	if (kind == TYPE_NONE)
		return kind;
	g_mutex_lock(&fingerprints->mutex);
	if (g_hash_table_size(fingerprints->types) >= MAX_TYPES)
		g_hash_table_remove_all(fingerprints->types);
	g_hash_table_insert(fingerprints->types, GSIZE_TO_POINTER(address), GINT_TO_POINTER(kind));
	g_mutex_unlock(&fingerprints->mutex);
	return kind;
}

/*
 * Which of an object's words is its type, and what kind of one; -1: none is. Links of the garbage
 * collector stand before the type, and to read where each of them leads would cost the most: types
 * that are known are looked for first.
 */
static int find_type(struct fingerprints *fingerprints, const struct memory *memory,
		     const uint64_t *words, int count, enum type_kind *kind)
{
	for (size_t i = 0; i < G_N_ELEMENTS(TYPE_WORDS) && TYPE_WORDS[i] < count; i++)
		if ((*kind = known_kind(fingerprints, words[TYPE_WORDS[i]])) != TYPE_NONE)
			return TYPE_WORDS[i];
	for (size_t i = 0; i < G_N_ELEMENTS(TYPE_WORDS) && TYPE_WORDS[i] < count; i++)
		if ((*kind = learn_kind(fingerprints, memory, words[TYPE_WORDS[i]])) != TYPE_NONE)
			return TYPE_WORDS[i];
	return -1;
}

bool fingerprints_is_as_born(struct fingerprints *fingerprints, const struct memory *memory,
			     const struct birth *birth)
{
	uint64_t now[PYLEAK_BIRTH_WORDS] = { 0 };
	int words = MIN(birth->content, sizeof(now)) / 8, equal = 0, type;
	enum type_kind kind;

	if (!words || !memory_read(memory, PYLEAK_KEY_ADDRESS(birth->key), now, words * 8))
		return false;
	type = find_type(fingerprints, memory, now, words, &kind);
	/* No object: what it will hold may have come later. */
	if (type < 0)
		return true;
	if (now[type] != birth->words[type])
		return false;
	for (int word = type + 1; word < words; word++)
		equal += now[word] == birth->words[word];
	return kind != TYPE_SEALED || equal >= MOSTLY * (words - type - 1);
}

static bool is_in_use(const struct memory *memory, const struct fingerprint_subject *subject,
		      uint64_t chunk_size)
{
	uint64_t length = chunk_size & ~(uint64_t)CHUNK_FLAGS, next;

	if (chunk_size & IS_MMAPPED)
		return true;
	/* Merged or split since: no longer the chunk that was handed out (a rest below 32 bytes is
	 * not split off). */
	if (length < subject->size + 8 || length > MAX(subject->size + 8, 32) + 32)
		return false;
	return memory_read_u64(memory, subject->address - 8 + length, &next) && next & PREV_INUSE;
}

static bool look(const struct memory *memory, const struct fingerprint_subject *subject,
		 struct fingerprint *seen)
{
	*seen = (struct fingerprint){ .address = subject->address, .tag = subject->tag };
	if (!memory_read(memory, subject->address, seen->words,
			 MIN(subject->size, sizeof(seen->words)) / 8 * 8))
		return false;
	if (subject->family != FAMILY_MALLOC || !subject->is_glibc)
		return true;
	return memory_read_u64(memory, subject->address - 8, &seen->chunk_size) &&
	       is_in_use(memory, subject, seen->chunk_size);
}

/* Of the words after @type, the fraction that is as it was. */
static double alike(const struct fingerprint *before, const struct fingerprint *now, int type,
		    uint64_t size)
{
	int words = MIN(size / 8, WORDS), equal = 0;

	for (int word = type + 1; word < words; word++)
		equal += before->words[word] == now->words[word];
	return words > type + 1 ? (double)equal / (words - type - 1) : 1;
}

/*
 * The same object: its type, and most of what comes after; what comes before is links and counts. A
 * str may get its hash late. A container may have been under construction when the window closed:
 * at the first look its type is enough.
 */
static bool is_same_object(const struct fingerprint *before, const struct fingerprint *now,
			   uint64_t size)
{
	for (size_t i = 0; i < G_N_ELEMENTS(TYPE_WORDS); i++) {
		int type = TYPE_WORDS[i];

		if (now->words[type] < SMALLEST_POINTER || before->words[type] != now->words[type])
			continue;
		return (type > 1 && !before->looked_at) || alike(before, now, type, size) >= MOSTLY;
	}
	return before->words[1] == now->words[1] && alike(before, now, 0, size) >= MOSTLY;
}

/* Not an object, as far as is known: an allocator writes its links and keys into the first two
 * words of what it gets back. */
static bool is_same_chunk(const struct fingerprint *before, const struct fingerprint *now)
{
	return before->words[1] == now->words[1] &&
	       (before->chunk_size & ~(uint64_t)PREV_INUSE) ==
		       (now->chunk_size & ~(uint64_t)PREV_INUSE);
}

/* With the mutex held. False when there is no room. */
static bool remember(struct fingerprints *fingerprints, const struct fingerprint *seen)
{
	struct fingerprint *known = g_hash_table_lookup(fingerprints->blocks, &seen->address);

	if (!known && g_hash_table_size(fingerprints->blocks) >= fingerprints->most) {
		fingerprints->refused++;
		return false;
	}
	if (!known) {
		known = g_new(struct fingerprint, 1);
		known->address = seen->address;
		g_hash_table_add(fingerprints->blocks, known);
	}
	*known = *seen;
	return true;
}

bool fingerprints_take(struct fingerprints *fingerprints, const struct memory *memory,
		       const struct fingerprint_subject *subject, double window_ns)
{
	struct fingerprint seen;
	bool kept;

	if (!look(memory, subject, &seen))
		return false;
	seen.window_ns = window_ns;
	g_mutex_lock(&fingerprints->mutex);
	kept = remember(fingerprints, &seen);
	g_mutex_unlock(&fingerprints->mutex);
	return kept;
}

bool fingerprints_match(struct fingerprints *fingerprints, const struct memory *memory,
			const struct fingerprint_subject *subject, bool take_missing,
			double *window_ns)
{
	struct fingerprint now, *known;
	bool same = take_missing;

	if (!look(memory, subject, &now))
		return false;
	g_mutex_lock(&fingerprints->mutex);
	known = g_hash_table_lookup(fingerprints->blocks, &subject->address);
	if (known && known->tag == subject->tag) {
		known->unasked = 0;
		same = subject->family == FAMILY_PYMALLOC
			       ? is_same_object(known, &now, subject->size)
			       : is_same_chunk(known, &now);
		memcpy(known->words, now.words, sizeof(known->words));
		known->looked_at = true;
		if (window_ns)
			*window_ns = known->window_ns;
	} else if (take_missing) {
		same = remember(fingerprints, &now);
		if (window_ns)
			*window_ns = 0;
	}
	g_mutex_unlock(&fingerprints->mutex);
	return same;
}

uint64_t fingerprints_refused(struct fingerprints *fingerprints)
{
	uint64_t refused;

	g_mutex_lock(&fingerprints->mutex);
	refused = fingerprints->refused;
	g_mutex_unlock(&fingerprints->mutex);
	return refused;
}

static gboolean is_forgotten(void *key, void *value, void *data)
{
	struct fingerprint *fingerprint = value;

	(void)key;
	(void)data;
	return ++fingerprint->unasked > 2;
}

void fingerprints_sweep(struct fingerprints *fingerprints)
{
	g_mutex_lock(&fingerprints->mutex);
	g_hash_table_foreach_remove(fingerprints->blocks, is_forgotten, NULL);
	g_mutex_unlock(&fingerprints->mutex);
}
