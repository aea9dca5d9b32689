// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/names.h"

#include <string.h>
#include <unistd.h>

#include "cpython/code.h"

enum { MAX_NAME_BYTES = 4096 };

struct names {
	const struct process *process;
	const struct interpreter *interpreter;
	GHashTable *codes;  /* address to struct known_code */
	GHashTable *stacks; /* context id to struct stack */
	GArray *orphans; /* uint32_t ids of contexts whose code object has given way to another */
	char *folder;	 /* the target's working directory, for relative names; may be NULL */
};

struct known_code {
	uint64_t address;
	struct code_object *object;
	const char *file, *function; /* interned */
	GArray *contexts;	     /* uint32_t ids of contexts that lead through it */
};

static void known_code_free(void *data)
{
	struct known_code *code = data;

	code_object_free(code->object);
	g_array_unref(code->contexts);
	g_free(code);
}

static void free_stack(void *data)
{
	stack_free(data);
}

static char *working_folder(const struct process *process)
{
	g_autofree char *link = g_strdup_printf("/proc/%d/cwd", process->pid);

	return g_file_read_link(link, NULL);
}

struct names *names_new(const struct process *process, const struct interpreter *interpreter)
{
	struct names *names = g_new0(struct names, 1);

	names->process = process;
	names->interpreter = interpreter;
	names->codes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, known_code_free);
	names->stacks = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_stack);
	names->orphans = g_array_new(false, false, sizeof(uint32_t));
	names->folder = working_folder(process);
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
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
	return g_intern_string(path && !access(path, F_OK) ? absolute : file);
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
		code_object_free(code->object);
	} else {
		code = g_new0(struct known_code, 1);
		code->address = raw->code;
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
	frame->line = code_object_line(code->object, &names->interpreter->facts, raw->instruction);
	g_array_append_val(code->contexts, context);
	return true;
}

/* 3.12's boundary to C is a frame with a code object of its own: never shown. */
static bool is_trampoline(const struct frame *frame)
{
	return !strcmp(frame->function, "<interpreter trampoline>");
}

uint32_t names_add(struct names *names, const struct context_event *event,
		   const struct raw_frame *frames)
{
	struct stack *stack = g_new0(struct stack, 1);
	uint32_t unnamed = 0;

	stack->frames = g_new0(struct frame, event->count + 1);
	stack->truncated = event->truncated;
	for (uint32_t i = 0; i < event->count; i++) {
		struct frame *frame = &stack->frames[stack->count];

		unnamed += !name_frame(names, event->context, &frames[i], frame);
		stack->count += !is_trampoline(frame);
	}
	g_hash_table_replace(names->stacks, GUINT_TO_POINTER(event->context), stack);
	return unnamed;
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
