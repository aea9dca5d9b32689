// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Source: struct _Py_DebugOffsets, Include/internal/pycore_runtime.h of 3.13.0,
 * pycore_debug_offsets.h of 3.14 and 3.15. Every member is a 64-bit word; positions below count
 * words from the cookie.
 */
#include "cpython/debug_offsets.h"

#include <string.h>

#include "base/error.h"

#define COOKIE "xdebugpy"

enum { WORD_VERSION = 1, WORD_FREE_THREADED = 2, MOST_RUNTIME = 1 << 24 };

/* Where a version publishes an offset, and the fact it is. */
struct published_offset {
	size_t fact;	    /* offset of the uint32_t in struct python_facts */
	unsigned int word;  /* of the offset */
	unsigned int size;  /* word of the size of the struct that the offset is in */
	unsigned int width; /* bytes of the member */
	uint32_t window; /* the member must end within so many bytes; 0: only within its struct */
};

#define FACT(name) offsetof(struct python_facts, name)

enum { CODE_WINDOW = 256, OBJECT_WINDOW = 4096 };

/* Words of the sizes of structs, then of their members, in the order of the list in published(). */
struct published_layout {
	int minor;
	uint8_t runtime, runtime_head;
	uint8_t interp, interp_next, interp_threads, interp_gc; /* gc: 0 where it is of no use */
	uint8_t tstate, tstate_next, tstate_interp, tstate_frame, tstate_thread_id, tstate_native;
	uint8_t frame, frame_previous, frame_executable, frame_instruction, frame_owner;
	uint8_t code, code_filename, code_name, code_qualname, code_linetable, code_firstlineno,
		code_adaptive;
	uint8_t object, object_type, type, type_name, type_flags;
	uint8_t bytes, bytes_size, bytes_data;
	uint8_t unicode, unicode_state, unicode_length, unicode_ascii_size;
};

static const struct published_layout layouts[] = {
	{ .minor = 13,
	  .runtime = 3,
	  .runtime_head = 5,
	  .interp = 6,
	  .interp_next = 8,
	  .interp_threads = 9,
	  .interp_gc = 10,
	  .tstate = 19,
	  .tstate_next = 21,
	  .tstate_interp = 22,
	  .tstate_frame = 23,
	  .tstate_thread_id = 24,
	  .tstate_native = 25,
	  .frame = 28,
	  .frame_previous = 29,
	  .frame_executable = 30,
	  .frame_instruction = 31,
	  .frame_owner = 33,
	  .code = 34,
	  .code_filename = 35,
	  .code_name = 36,
	  .code_qualname = 37,
	  .code_linetable = 38,
	  .code_firstlineno = 39,
	  .code_adaptive = 43,
	  .object = 44,
	  .object_type = 45,
	  .type = 46,
	  .type_name = 47,
	  .type_flags = 49,
	  .bytes = 64,
	  .bytes_size = 65,
	  .bytes_data = 66,
	  .unicode = 67,
	  .unicode_state = 68,
	  .unicode_length = 69,
	  .unicode_ascii_size = 70 },
	{ .minor = 14,
	  .runtime = 3,
	  .runtime_head = 5,
	  .interp = 6,
	  .interp_next = 8,
	  .interp_threads = 9,
	  .tstate = 22,
	  .tstate_next = 24,
	  .tstate_interp = 25,
	  .tstate_frame = 26,
	  .tstate_thread_id = 27,
	  .tstate_native = 28,
	  .frame = 31,
	  .frame_previous = 32,
	  .frame_executable = 33,
	  .frame_instruction = 34,
	  .frame_owner = 36,
	  .code = 39,
	  .code_filename = 40,
	  .code_name = 41,
	  .code_qualname = 42,
	  .code_linetable = 43,
	  .code_firstlineno = 44,
	  .code_adaptive = 48,
	  .object = 50,
	  .object_type = 51,
	  .type = 52,
	  .type_name = 53,
	  .type_flags = 55,
	  .bytes = 74,
	  .bytes_size = 75,
	  .bytes_data = 76,
	  .unicode = 77,
	  .unicode_state = 78,
	  .unicode_length = 79,
	  .unicode_ascii_size = 80 },
	{ .minor = 15,
	  .runtime = 3,
	  .runtime_head = 5,
	  .interp = 6,
	  .interp_next = 8,
	  .interp_threads = 9,
	  .tstate = 22,
	  .tstate_next = 24,
	  .tstate_interp = 25,
	  .tstate_frame = 26,
	  .tstate_thread_id = 30,
	  .tstate_native = 31,
	  .frame = 39,
	  .frame_previous = 40,
	  .frame_executable = 41,
	  .frame_instruction = 42,
	  .frame_owner = 44,
	  .code = 47,
	  .code_filename = 48,
	  .code_name = 49,
	  .code_qualname = 50,
	  .code_linetable = 51,
	  .code_firstlineno = 52,
	  .code_adaptive = 56,
	  .object = 58,
	  .object_type = 59,
	  .type = 60,
	  .type_name = 61,
	  .type_flags = 63,
	  .bytes = 86,
	  .bytes_size = 87,
	  .bytes_data = 88,
	  .unicode = 89,
	  .unicode_state = 90,
	  .unicode_length = 91,
	  .unicode_ascii_size = 92 },
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
	uint64_t value = word_at(bytes, offset->word), size = word_at(bytes, offset->size);
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
		{ FACT(runtime_interpreters_head), l->runtime_head, l->runtime, 8, 0 },
		{ FACT(interp_next), l->interp_next, l->interp, 8, 0 },
		{ FACT(interp_tstate_head), l->interp_threads, l->interp, 8, 0 },
		{ FACT(tstate_next), l->tstate_next, l->tstate, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_interp), l->tstate_interp, l->tstate, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_frame), l->tstate_frame, l->tstate, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_thread_id), l->tstate_thread_id, l->tstate, 8, PYLEAK_TSTATE_WINDOW },
		{ FACT(tstate_native_thread_id), l->tstate_native, l->tstate, 8,
		  PYLEAK_TSTATE_WINDOW },
		{ FACT(frame_previous), l->frame_previous, l->frame, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_code), l->frame_executable, l->frame, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_instruction), l->frame_instruction, l->frame, 8, PYLEAK_FRAME_WINDOW },
		{ FACT(frame_owner), l->frame_owner, l->frame, 1, PYLEAK_FRAME_WINDOW },
		{ FACT(code_filename), l->code_filename, l->code, 8, CODE_WINDOW },
		{ FACT(code_name), l->code_name, l->code, 8, CODE_WINDOW },
		{ FACT(code_qualname), l->code_qualname, l->code, 8, CODE_WINDOW },
		{ FACT(code_linetable), l->code_linetable, l->code, 8, CODE_WINDOW },
		{ FACT(code_firstlineno), l->code_firstlineno, l->code, 4, CODE_WINDOW },
		{ FACT(code_adaptive), l->code_adaptive, l->code, 1, CODE_WINDOW },
		{ FACT(object_type), l->object_type, l->object, 8, OBJECT_WINDOW },
		{ FACT(type_name), l->type_name, l->type, 8, OBJECT_WINDOW },
		{ FACT(type_flags), l->type_flags, l->type, 8, OBJECT_WINDOW },
		{ FACT(bytes_size), l->bytes_size, l->bytes, 8, OBJECT_WINDOW },
		{ FACT(bytes_data), l->bytes_data, l->bytes, 1, OBJECT_WINDOW },
		{ FACT(unicode_state), l->unicode_state, l->unicode, 4, OBJECT_WINDOW },
		{ FACT(unicode_length), l->unicode_length, l->unicode, 8, OBJECT_WINDOW },
		{ FACT(unicode_ascii_data), l->unicode_ascii_size, l->unicode, 1, OBJECT_WINDOW },
	};

	const struct published_offset gc = { FACT(interp_gc), l->interp_gc, l->interp, 8, 0 };

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
