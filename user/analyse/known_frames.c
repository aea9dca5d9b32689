// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/known_frames.h"

#include <glib.h>

#include "analyse/names_hash.h"

/* 100 bytes each. A program that makes more code than this all the time begins anew. */
enum { MAX_FRAMES = 1 << 16 };

struct known_frames {
	char *const *include, *const *exclude;
	GHashTable *frames; /* struct entry, by its frame */
};

struct entry {
	struct frame frame;
	struct known_frame known;
};

static guint hash_frame(const void *key)
{
	const struct frame *frame = key;
	uint64_t hash = (uintptr_t)frame->function;

	hash = hash * 31 + (uintptr_t)frame->file;
	hash = hash * 31 + (uintptr_t)frame->module;
	hash = hash * 31 + frame->offset + (uint32_t)frame->line;
	return (hash * 0x9e3779b97f4a7c15ULL) >> 32;
}

static gboolean is_same_frame(const void *left, const void *right)
{
	const struct frame *a = left, *b = right;

	return a->kind == b->kind && a->function == b->function && a->file == b->file &&
	       a->line == b->line && a->module == b->module && a->offset == b->offset;
}

uint64_t frame_id(const struct frame *frame)
{
	GChecksum *hash = names_hash_new();

	names_hash_number(hash, frame->kind);
	names_hash_string(hash, frame->function);
	names_hash_string(hash, frame->file);
	names_hash_string(hash, frame->module);
	names_hash_number(hash, (uint64_t)frame->line);
	/* Addresses move from build to build: they count only where there is no name. */
	names_hash_number(hash, frame->function ? 0 : frame->offset);
	return names_hash_end(hash);
}

struct known_frames *known_frames_new(char *const *include, char *const *exclude)
{
	struct known_frames *known = g_new(struct known_frames, 1);

	known->include = include;
	known->exclude = exclude;
	known->frames = g_hash_table_new_full(hash_frame, is_same_frame, NULL, g_free);
	return known;
}

void known_frames_free(struct known_frames *known)
{
	if (!known)
		return;
	g_hash_table_unref(known->frames);
	g_free(known);
}

const struct known_frame *known_frames_get(struct known_frames *known, const struct frame *frame)
{
	struct entry *entry = g_hash_table_lookup(known->frames, frame);

	if (entry)
		return &entry->known;
	if (g_hash_table_size(known->frames) >= MAX_FRAMES)
		g_hash_table_remove_all(known->frames);
	entry = g_new(struct entry, 1);
	entry->frame = *frame;
	entry->known.id = frame_id(frame);
	entry->known.rank = frame_rank(frame, known->include, known->exclude);
	g_hash_table_insert(known->frames, &entry->frame, entry);
	return &entry->known;
}
