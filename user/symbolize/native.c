// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/native.h"

#include <stddef.h>
#include <string.h>

#include "symbolize/native_modules.h"

/*
 * By leaf the kernel side stops at the Python frame, where it can tell (3.11 on); the first figure
 * is for the others. C functions with large arrays, as in codecs, need tens of KiB.
 */
static const uint32_t leaf_bytes = 48 << 10, full_bytes = 96 << 10;

struct native {
	struct native_modules *modules;
	struct address_range interpreter;
	GHashTable *pieces; /* context id to GPtrArray of struct stack_piece * */
};

/* The pieces of one stack as memory. Each holds 1 KiB that is aligned to its size, or less. */
struct copied_stack {
	struct memory base;
	const GPtrArray *pieces; /* NULL: none */
	uint64_t stamp;
};

static const struct stack_piece *piece_at(const struct copied_stack *stack, uint64_t address)
{
	for (guint i = 0; stack->pieces && i < stack->pieces->len; i++) {
		const struct stack_piece *piece = stack->pieces->pdata[i];

		if (piece->stamp == stack->stamp && address >= piece->address &&
		    address - piece->address < piece->length)
			return piece;
	}
	return NULL;
}

static bool read_copied(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct copied_stack *stack = (const struct copied_stack *)memory;
	uint8_t *to = buffer;

	while (length) {
		const struct stack_piece *piece = piece_at(stack, address);
		size_t at, part;

		if (!piece)
			return false;
		at = address - piece->address;
		part = MIN(length, piece->length - at);
		memcpy(to, piece->bytes + at, part);
		to += part;
		address += part;
		length -= part;
	}
	return true;
}

static void free_pieces(void *pieces)
{
	g_ptr_array_unref(pieces);
}

struct native *native_new(const struct process *process, struct address_range interpreter,
			  uint64_t *debug_bytes_left)
{
	struct native *native = g_new0(struct native, 1);

	native->modules = native_modules_new(process, debug_bytes_left);
	native->interpreter = interpreter;
	native->pieces = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_pieces);
	return native;
}

uint32_t native_without_room(const struct native *native)
{
	return native_modules_without_room(native->modules);
}

void native_free(struct native *native)
{
	if (!native)
		return;
	native_modules_free(native->modules);
	g_hash_table_unref(native->pieces);
	g_free(native);
}

uint32_t native_stack_bytes(enum native_mode mode)
{
	if (mode == NATIVE_OFF)
		return 0;
	return mode == NATIVE_FULL ? full_bytes : leaf_bytes;
}

void native_add_piece(struct native *native, const struct stack_piece *piece)
{
	void *key = GUINT_TO_POINTER(piece->context);
	GPtrArray *pieces = g_hash_table_lookup(native->pieces, key);
	const struct stack_piece *first = pieces && pieces->len ? pieces->pdata[0] : NULL;

	if (piece->length > PYLEAK_STACK_PIECE)
		return;
	/* Of an earlier attempt, whose context could not be sent. Another thread's, at the same
	 * moment, may go with it: then its unwinding is cut, and counted. */
	if (first && first->stamp < piece->stamp)
		g_ptr_array_set_size(pieces, 0);
	if (!pieces) {
		pieces = g_ptr_array_new_with_free_func(g_free);
		g_hash_table_insert(native->pieces, key, pieces);
	}
	g_ptr_array_add(pieces,
			g_memdup2(piece, offsetof(struct stack_piece, bytes) + piece->length));
}

static Dwarf_Frame *rules_at(void *modules, uint64_t pc)
{
	return native_modules_rules(modules, pc);
}

static bool is_interpreter(const struct native *native, uint64_t pc)
{
	return pc >= native->interpreter.start && pc < native->interpreter.end;
}

static struct native_line line_of(struct native *native, const struct native_frame *from)
{
	const struct native_name *name =
		native_modules_name(native->modules, from->pc, from->exact);
	struct native_line line = {
		.frame = { .kind = FRAME_NATIVE,
			   .function = name->function,
			   .file = name->file,
			   .line = name->line,
			   .module = name->module,
			   .offset = name->offset },
		.named = name->function,
		.interpreter = is_interpreter(native, from->pc),
		.sp = from->sp,
		.cfa = from->cfa,
	};

	if (!line.named) {
		g_autofree char *place =
			g_strdup_printf("%s+0x%" G_GINT64_MODIFIER "x", name->module, name->offset);

		line.frame.function = g_intern_string(place);
	}
	return line;
}

/* Appends the frames (struct native_frame) of the copied stack to @frames. */
static enum unwind_end unwind_copy(struct native *native, const struct context_event *event,
				   uint64_t last_holds, GArray *frames)
{
	struct copied_stack stack = {
		.base.read = read_copied,
		.pieces = g_hash_table_lookup(native->pieces, GUINT_TO_POINTER(event->context)),
		.stamp = event->stamp,
	};
	const struct unwind job = { &stack.base, rules_at, native->modules, last_holds };

	/* The probe of malloc stands where the call has just returned, the others where they are.
	 */
	return unwind(&job, &event->registers, event->family != FAMILY_MALLOC, frames);
}

bool native_leaves_interpreter(struct native *native, const struct context_event *event)
{
	g_autoptr(GArray) frames = g_array_new(false, false, sizeof(struct native_frame));

	unwind_copy(native, event, 0, frames);
	for (guint i = 0; i < frames->len; i++)
		if (!is_interpreter(native, g_array_index(frames, struct native_frame, i).pc))
			return true;
	return false;
}

void native_drop(struct native *native, uint32_t context)
{
	g_hash_table_remove(native->pieces, GUINT_TO_POINTER(context));
}

GArray *native_take(struct native *native, const struct context_event *event, uint64_t last_holds,
		    enum unwind_end *end)
{
	g_autoptr(GArray) frames = g_array_new(false, false, sizeof(struct native_frame));
	GArray *lines;

	*end = UNWIND_COMPLETE;
	if (!event->native_end)
		return NULL;
	*end = unwind_copy(native, event, last_holds, frames);
	native_drop(native, event->context);
	lines = g_array_new(false, false, sizeof(struct native_line));
	/* The innermost frame of mmap is libc's wrapper. */
	for (guint i = event->family == FAMILY_MMAP; i < frames->len; i++) {
		struct native_line line =
			line_of(native, &g_array_index(frames, struct native_frame, i));

		g_array_append_val(lines, line);
	}
	return lines;
}

void native_refresh(struct native *native)
{
	native_modules_refresh(native->modules);
}
