// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Source: struct _Py_DebugOffsets, Include/internal/pycore_runtime.h of 3.13.0,
 * pycore_debug_offsets.h of 3.14 and 3.15. Every member is a 64-bit word, the first the cookie.
 */
#include "cpython/debug_offsets.h"

#include <string.h>

#include "base/error.h"

#define COOKIE "xdebugpy"

enum { WORD_VERSION = 1, WORD_FREE_THREADED = 2, MOST_RUNTIME = 1 << 24 };

/* Where a version publishes an offset, and the fact it is. */
struct published_offset {
	size_t fact;	     /* offset of the uint32_t in struct python_facts */
	unsigned int size;   /* word of the size of the struct that the offset is in */
	unsigned int member; /* words from there to the offset */
	unsigned int width;  /* bytes of the member */
	uint32_t window; /* the member must end within so many bytes; 0: only within its struct */
};

#define FACT(name) offsetof(struct python_facts, name)

enum { CODE_WINDOW = 256, OBJECT_WINDOW = 4096 };

/* Words of the sizes of structs. Their members' offsets follow, at the same distance in every
 * version but for the thread's id. */
enum { RUNTIME = 3, INTERP = 6 };
struct published_layout {
	int minor;
	bool interp_gc; /* of use */
	uint8_t tstate;
	uint8_t thread_id; /* words from tstate; the native id is the next */
	uint8_t frame, code, object, type, bytes, unicode;
};

static const struct published_layout layouts[] = {
	{ 13, true, 19, 5, 28, 34, 44, 46, 64, 67 },
	{ 14, false, 22, 5, 31, 39, 50, 52, 74, 77 },
	{ 15, false, 22, 8, 39, 47, 58, 60, 86, 89 },
};

static uint64_t word_at(const uint8_t *bytes, unsigned int index)
{
	uint64_t word;

	memcpy(&word, bytes + (size_t)index * sizeof(word), sizeof(word));
	return word;
}

bool debug_offsets_present(const uint8_t *bytes, size_t length)
{
	return length >= DEBUG_OFFSETS_SIZE && memcmp(bytes, COOKIE, strlen(COOKIE)) == 0;
}

static const struct published_layout *layout_find(int minor)
{
	for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
		if (layouts[i].minor == minor)
			return &layouts[i];
	return NULL;
}

static bool take(const uint8_t *bytes, const struct published_offset *offset,
		 struct python_facts *facts)
{
	uint64_t value = word_at(bytes, offset->size + offset->member);
	uint64_t size = word_at(bytes, offset->size);
	uint64_t limit = offset->window ? MIN(size, offset->window) : size;
	uint32_t fact = (uint32_t)value;

	if (size > MOST_RUNTIME || limit < offset->width || value > limit - offset->width)
		return false;
	memcpy((char *)facts + offset->fact, &fact, sizeof(fact));
	return true;
}

static bool take_all(const uint8_t *bytes, const struct published_layout *l,
		     struct python_facts *facts)
{
	const struct published_offset offsets[] = {
		{ FACT(runtime_interpreters_head), RUNTIME, 2, 8, 0 },
		{ FACT(interp_next), INTERP, 2, 8, 0 },
		{ FACT(interp_tstate_head), INTERP, 3, 8, 0 },
		{ FACT(tstate_next), l->tstate, 2, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_interp), l->tstate, 3, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_frame), l->tstate, 4, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_thread_id), l->tstate, l->thread_id, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_native_thread_id), l->tstate, l->thread_id + 1, 8,
		  PYLEAK_TSTATE_WINDOW },
		{ FACT(frame_previous), l->frame, 1, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_code), l->frame, 2, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_instruction), l->frame, 3, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_owner), l->frame, 5, 1, PYLEAK_FRAME_WINDOW },
		{ FACT(code_filename), l->code, 1, 8, CODE_WINDOW },
		{ FACT(code_name), l->code, 2, 8, CODE_WINDOW },
		{ FACT(code_qualname), l->code, 3, 8, CODE_WINDOW },
		{ FACT(code_linetable), l->code, 4, 8, CODE_WINDOW },
		{ FACT(code_firstlineno), l->code, 5, 4, CODE_WINDOW },
		{ FACT(code_adaptive), l->code, 9, 1, CODE_WINDOW },
		{ FACT(object_type), l->object, 1, 8, OBJECT_WINDOW },
		{ FACT(type_name), l->type, 1, 8, OBJECT_WINDOW },
		{ FACT(type_flags), l->type, 3, 8, OBJECT_WINDOW },
		{ FACT(bytes_size), l->bytes, 1, 8, OBJECT_WINDOW },
		{ FACT(bytes_data), l->bytes, 2, 1, OBJECT_WINDOW },
		{ FACT(unicode_state), l->unicode, 1, 4, OBJECT_WINDOW },
		{ FACT(unicode_length), l->unicode, 2, 8, OBJECT_WINDOW },
		{ FACT(unicode_ascii_data), l->unicode, 3, 1, OBJECT_WINDOW },
	};

	const struct published_offset gc = { FACT(interp_gc), INTERP, 4, 8, 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++)
		if (!take(bytes, &offsets[i], facts))
			return false;
	if (l->interp_gc && !take(bytes, &gc, facts))
		return false;
	/* PyCompactUnicodeObject adds utf8_length and utf8 to PyASCIIObject
	 * (Include/cpython/unicodeobject.h). */
	facts->unicode_compact_data = facts->unicode_ascii_data + 16;
	return true;
}

bool debug_offsets_apply(const uint8_t *bytes, size_t length, struct python_facts *facts,
			 bool *free_threaded, GError **error)
{
	const struct published_layout *layout = layout_find(facts->minor);
	struct python_facts corrected = *facts;
	uint64_t version;

	if (!layout || !debug_offsets_present(bytes, length)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "this build of Python %d.%d publishes no offsets that pyleak "
			    "understands; use a release build of Python",
			    facts->major, facts->minor);
		return false;
	}
	version = word_at(bytes, WORD_VERSION);
	if (version >> 24 != (uint64_t)facts->major ||
	    (version >> 16 & 0xff) != (uint64_t)facts->minor ||
	    !take_all(bytes, layout, &corrected)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "the offsets that this Python %d.%d publishes make no sense; use a "
			    "release build of Python",
			    facts->major, facts->minor);
		return false;
	}
	*free_threaded = word_at(bytes, WORD_FREE_THREADED) != 0;
	*facts = corrected;
	return true;
}
