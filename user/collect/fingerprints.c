// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/fingerprints.h"

#include <string.h>
#include <glib.h>

enum {
	/*
	 * Words of a pymalloc block where a type pointer may be: 1 without a GC header, 3 with one
	 * (16 bytes, 3.8 on), 5 with a managed dict before it (3.11 on) or a GC header of 32 bytes
	 * (up to 3.7).
	 */
	WORDS = 6,
	/* A smaller word tells nothing: counts, sizes, NULL. */
	SMALLEST_POINTER = 4096,
	CHUNK_FLAGS = 7,
	PREV_INUSE = 1,
	IS_MMAPPED = 2,
};

struct fingerprint {
	uint64_t address, tag;
	uint64_t words[WORDS];
	uint64_t chunk_size; /* glibc: size field with its flags */
	bool asked;
};

struct fingerprints {
	GHashTable *blocks; /* by address */
};

struct fingerprints *fingerprints_new(void)
{
	struct fingerprints *fingerprints = g_new0(struct fingerprints, 1);

	fingerprints->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	return fingerprints;
}

void fingerprints_free(struct fingerprints *fingerprints)
{
	if (!fingerprints)
		return;
	g_hash_table_unref(fingerprints->blocks);
	g_free(fingerprints);
}

static bool is_in_use(const struct memory *memory, uint64_t address, uint64_t chunk_size,
		      uint64_t size)
{
	uint64_t length = chunk_size & ~(uint64_t)CHUNK_FLAGS, next;

	if (chunk_size & IS_MMAPPED)
		return true;
	/* Merged or split since: no longer the chunk that was handed out (16 bytes more at most are
	 * not split off). */
	if (length < size + 8 || length > MAX(size + 8, 32) + 32)
		return false;
	return memory_read_u64(memory, address - 8 + length, &next) && next & PREV_INUSE;
}

static bool look(const struct memory *memory, enum family family, bool is_glibc, uint64_t address,
		 uint64_t size, struct fingerprint *seen)
{
	memset(seen->words, 0, sizeof(seen->words));
	if (!memory_read(memory, address, seen->words, MIN(size, sizeof(seen->words)) / 8 * 8))
		return false;
	if (family != FAMILY_MALLOC || !is_glibc)
		return true;
	return memory_read_u64(memory, address - 8, &seen->chunk_size) &&
	       is_in_use(memory, address, seen->chunk_size, size);
}

/* An object: one of the places of its type. Anything else: what an allocator overwrites with its
 * links and keys. */
static bool is_alike(const struct fingerprint *before, const struct fingerprint *now,
		     enum family family)
{
	if (family != FAMILY_PYMALLOC)
		return before->words[1] == now->words[1] &&
		       (before->chunk_size & ~(uint64_t)PREV_INUSE) ==
			       (now->chunk_size & ~(uint64_t)PREV_INUSE);
	for (int word = 1; word < WORDS; word += 2)
		if (before->words[word] == now->words[word] && now->words[word] >= SMALLEST_POINTER)
			return true;
	return !memcmp(before->words + 1, now->words + 1,
		       sizeof(now->words) - sizeof(now->words[0]));
}

bool fingerprints_match(struct fingerprints *fingerprints, const struct memory *memory,
			enum family family, bool is_glibc, uint64_t address, uint64_t tag,
			uint64_t size)
{
	struct fingerprint *known = g_hash_table_lookup(fingerprints->blocks, &address);
	struct fingerprint now = { .address = address, .tag = tag, .asked = true };

	if (!look(memory, family, is_glibc, address, size, &now))
		return false;
	if (!known) {
		known = g_new(struct fingerprint, 1);
		*known = now;
		g_hash_table_insert(fingerprints->blocks, &known->address, known);
		return true;
	}
	if (known->tag != tag) {
		*known = now;
		return true;
	}
	known->asked = true;
	return is_alike(known, &now, family);
}

static gboolean is_forgotten(void *key, void *value, void *data)
{
	struct fingerprint *fingerprint = value;
	bool asked = fingerprint->asked;

	(void)key;
	(void)data;
	fingerprint->asked = false;
	return !asked;
}

void fingerprints_sweep(struct fingerprints *fingerprints)
{
	g_hash_table_foreach_remove(fingerprints->blocks, is_forgotten, NULL);
}
