// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/names.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cpython/code.h"
#include "symbolize/merge.h"

enum { MAX_NAME_BYTES = 4096 };

struct names {
	const struct process *process;
	const struct interpreter *interpreter;
	struct native *native; /* NULL: no native frames */
	enum native_mode mode;
	GHashTable *codes;  /* address to struct known_code */
	GHashTable *stacks; /* context id to struct stack */
	GArray *orphans; /* uint32_t ids of contexts whose code object has given way to another */
	char *folder;	 /* the target's working directory, for relative names; may be NULL */
};

struct known_code {
	uint64_t address;
	struct code_object *object;
	const char *file, *function; /* interned */
	GHashTable *lines; /* by instruction, as far as they were asked for; both in the pointers */
	GArray *contexts;  /* uint32_t ids of contexts that lead through it */
};

static void known_code_free(void *data)
{
	struct known_code *code = data;

	code_object_free(code->object);
	g_hash_table_unref(code->lines);
	g_array_unref(code->contexts);
	g_free(code);
}

static void free_stack(void *data)
{
	stack_free(data);
}

struct names *names_new(const struct process *process, const struct interpreter *interpreter)
{
	struct names *names = g_new0(struct names, 1);

	names->process = process;
	names->interpreter = interpreter;
	names->codes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, known_code_free);
	names->stacks = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_stack);
	names->orphans = g_array_new(false, false, sizeof(uint32_t));
	names->folder = process_working_folder(process);
	return names;
}

void names_set_native(struct names *names, enum native_mode mode, struct address_range interpreter,
		      uint64_t *debug_bytes_left)
{
	native_free(names->native);
	names->native = mode == NATIVE_OFF
				? NULL
				: native_new(names->process, interpreter, debug_bytes_left);
	names->mode = mode;
}

uint32_t names_without_room(const struct names *names)
{
	return names->native ? native_without_room(names->native) : 0;
}

void names_add_piece(struct names *names, const struct stack_piece *piece)
{
	if (names->native)
		native_add_piece(names->native, piece);
}

void names_free(struct names *names)
{
	if (!names)
		return;
	native_free(names->native);
	g_hash_table_unref(names->codes);
	g_hash_table_unref(names->stacks);
	g_array_unref(names->orphans);
	g_free(names->folder);
	g_free(names);
}

/* The program may have changed its folder since it was started, so a guess counts only if such a
 * file is there. */
static const char *absolute_file(const struct names *names, const char *file)
{
	g_autofree char *absolute = NULL, *path = NULL;

	if (!names->folder || *file == '/' || *file == '<' || !*file)
		return g_intern_string(file);
	absolute = g_canonicalize_filename(file, names->folder);
	path = process_root_path(names->process, absolute);
	return g_intern_string(path && !faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) ? absolute
										    : file);
}

static bool is_of(const struct known_code *code, const struct raw_frame *raw)
{
	return code->object->filename_address == raw->filename &&
	       code->object->name_address == raw->name;
}

/* The code object that the frame ran, if it still is at its address; NULL when it has died. */
static struct known_code *find_code(struct names *names, const struct raw_frame *raw)
{
	struct known_code *code = g_hash_table_lookup(names->codes, &raw->code);
	struct code_object *object;

	if (code && is_of(code, raw))
		return code;
	object = code_object_read(&names->process->memory.base, &names->interpreter->facts,
				  raw->code);
	if (!object)
		return NULL;
	if (code) {
		g_array_append_vals(names->orphans, code->contexts->data, code->contexts->len);
		g_array_set_size(code->contexts, 0);
		g_hash_table_remove_all(code->lines);
		code_object_free(code->object);
	} else {
		code = g_new0(struct known_code, 1);
		code->address = raw->code;
		code->lines = g_hash_table_new(g_direct_hash, g_direct_equal);
		code->contexts = g_array_new(false, false, sizeof(uint32_t));
		g_hash_table_insert(names->codes, &code->address, code);
	}
	code->object = object;
	code->file = absolute_file(names, object->filename);
	code->function = g_intern_string(object->function);
	return is_of(code, raw) ? code : NULL;
}

/* A code object that has died leaves its strings, as a rule: the module's other functions have the
 * same file name. */
static bool name_dead_frame(struct names *names, const struct raw_frame *raw, struct frame *frame)
{
	const struct memory *memory = &names->process->memory.base;
	const struct python_facts *facts = &names->interpreter->facts;
	g_autofree char *file = python_string_read(memory, facts, raw->filename, MAX_NAME_BYTES);
	g_autofree char *function = python_string_read(memory, facts, raw->name, MAX_NAME_BYTES);

	if (!file || !function)
		return false;
	frame->file = absolute_file(names, file);
	frame->function = g_intern_string(function);
	return true;
}

/* Contexts share most of their frames, and a line table is read from its beginning. */
static int32_t find_line(const struct names *names, struct known_code *code, int64_t instruction)
{
	void *key = (void *)(intptr_t)instruction, *known;
	int32_t line;

	if (g_hash_table_lookup_extended(code->lines, key, NULL, &known))
		return GPOINTER_TO_INT(known);
	line = code_object_line(code->object, &names->interpreter->facts, instruction);
	g_hash_table_insert(code->lines, key, GINT_TO_POINTER(line));
	return line;
}

static bool name_frame(struct names *names, uint32_t context, const struct raw_frame *raw,
		       struct frame *frame)
{
	struct known_code *code = names->interpreter ? find_code(names, raw) : NULL;

	frame->kind = FRAME_PYTHON;
	if (!code) {
		frame->function = g_intern_static_string("?");
		frame->file = g_intern_static_string("?");
		return names->interpreter && name_dead_frame(names, raw, frame);
	}
	frame->file = code->file;
	frame->function = code->function;
	frame->line = find_line(names, code, raw->instruction);
	g_array_append_val(code->contexts, context);
	return true;
}

/* 3.12's boundary to C is a frame with a code object of its own: never shown. */
static bool is_trampoline(const struct frame *frame)
{
	return !strcmp(frame->function, "<interpreter trampoline>");
}

/* The named Python frames of a context, and how C and they have called each other. */
struct python_part {
	struct frame frames[PYLEAK_MAX_FRAMES];
	struct python_run runs[PYLEAK_MAX_FRAMES + 1];
	uint32_t count, run_count;
};

static void end_run(struct python_part *part, uint64_t address)
{
	part->runs[part->run_count++] = (struct python_run){ part->count, address };
}

/*
 * Names the frames and tells their runs. Before 3.11 each frame has a call of the loop to itself;
 * later @event says where C stood in between.
 */
static uint32_t name_python(struct names *names, const struct context_event *event,
			    const struct raw_frame *frames, struct python_part *part)
{
	const struct python_layout *layout =
		names->interpreter ? &names->interpreter->layout : NULL;
	bool entries = layout && (layout->frame_owner || layout->frame_is_entry);
	uint32_t unnamed = 0, entry = 0, entry_count = MIN(event->entry_count, PYLEAK_MAX_ENTRIES);

	for (uint32_t i = 0; i < MIN(event->count, PYLEAK_MAX_FRAMES); i++) {
		struct frame *frame = &part->frames[part->count];

		unnamed += !name_frame(names, event->context, &frames[i], frame);
		part->count += !is_trampoline(frame);
		if (!entries)
			end_run(part, 0);
		/* More than one without a Python frame between them would not fit, and says
		 * nothing. */
		while (entries && entry < entry_count &&
		       PYLEAK_ENTRY_FRAME(event->entries[entry]) <= i + 1) {
			if (!part->run_count || part->runs[part->run_count - 1].end < part->count)
				end_run(part, PYLEAK_ENTRY_ADDRESS(event->entries[entry]));
			entry++;
		}
	}
	if (part->count && (!part->run_count || part->runs[part->run_count - 1].end < part->count))
		end_run(part, 0);
	if (part->run_count && !part->runs[0].address)
		part->runs[0].address = event->loop;
	return unnamed;
}

/* Unwinds the native part and puts both in one order. */
static void merge_native(struct names *names, const struct context_event *event,
			 struct python_part *part, struct stack *stack, struct names_missed *missed)
{
	uint64_t last = names->mode == NATIVE_LEAF && part->run_count ? part->runs[0].address : 0;
	g_autoptr(GArray) frames = g_array_new(false, true, sizeof(struct frame));
	enum unwind_end end = UNWIND_COMPLETE;
	g_autoptr(GArray) lines =
		names->native ? native_take(names->native, event, last, &end) : NULL;
	struct merge merge = {
		.mode = lines ? names->mode : NATIVE_OFF,
		.family = event->family,
		.native = lines ? (const struct native_line *)(void *)lines->data : NULL,
		.native_count = lines ? lines->len : 0,
		.python = part->frames,
		.runs = part->runs,
		.run_count = part->run_count,
	};

	if (lines)
		stack->native =
			merge_is_foreign(&merge) ? NATIVE_PART_FOREIGN : NATIVE_PART_INTERPRETER;
	merge_stacks(&merge, frames);
	stack->count = frames->len;
	stack->frames = g_memdup2(frames->data, frames->len * sizeof(struct frame));
	/* What is beyond the Python frame is not wanted by leaf. */
	if (names->mode == NATIVE_LEAF && part->run_count && merge_reaches_python(&merge))
		return;
	missed->native_cut = end == UNWIND_CUT;
	missed->native_no_unwind = end == UNWIND_NO_RULES;
}

/* One path has to stand for all of a context: one that leaves the interpreter says more. Whether
 * this one says no more than @known, as far as can be told without naming it. */
static bool says_no_more(struct names *names, const struct context_event *event,
			 const struct stack *known)
{
	if (!names->native || !event->native_end || known->native == NATIVE_PART_FOREIGN)
		return true;
	return known->native == NATIVE_PART_INTERPRETER &&
	       !native_leaves_interpreter(names->native, event);
}

struct names_missed names_add(struct names *names, const struct context_event *event,
			      const struct raw_frame *frames)
{
	const struct stack *known = names_stack(names, event->context);
	g_autofree struct python_part *part = NULL;
	struct names_missed missed = { 0 };
	struct stack *stack;

	if (event->again && known && says_no_more(names, event, known)) {
		if (names->native)
			native_drop(names->native, event->context);
		return missed;
	}
	part = g_new0(struct python_part, 1);
	stack = g_new0(struct stack, 1);
	missed.unnamed = name_python(names, event, frames, part);
	merge_native(names, event, part, stack, &missed);
	stack->truncated = event->truncated ||
			   (!part->count && (missed.native_cut || missed.native_no_unwind));
	if (event->again && known && known->native >= stack->native) {
		stack_free(stack);
		return (struct names_missed){ 0 };
	}
	g_hash_table_replace(names->stacks, GUINT_TO_POINTER(event->context), stack);
	return missed;
}

const struct stack *names_stack(const struct names *names, uint32_t context)
{
	return g_hash_table_lookup(names->stacks, GUINT_TO_POINTER(context));
}

GArray *names_forget_dead_code(struct names *names)
{
	GArray *contexts = g_array_new(false, false, sizeof(uint32_t));
	GHashTableIter iterator;
	void *value;

	if (!process_is_alive(names->process))
		return contexts;
	if (names->native)
		native_refresh(names->native);
	g_array_append_vals(contexts, names->orphans->data, names->orphans->len);
	g_array_set_size(names->orphans, 0);
	g_hash_table_iter_init(&iterator, names->codes);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		struct known_code *code = value;

		if (code_object_is_same(&names->process->memory.base, &names->interpreter->facts,
					code->address, code->object))
			continue;
		g_array_append_vals(contexts, code->contexts->data, code->contexts->len);
		g_hash_table_iter_remove(&iterator);
	}
	return contexts;
}
