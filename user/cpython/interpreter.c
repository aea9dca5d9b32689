// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/interpreter.h"

#include "base/error.h"
#include "cpython/allocators.h"
#include "cpython/debug_offsets.h"
#include "cpython/find_image.h"
#include "cpython/loads.h"
#include "cpython/pools.h"
#include "cpython/version.h"
#include "proc/maps.h"

enum {
	OLDEST_RUNTIME_MINOR = 7,	    /* 3.7: the first with _PyRuntime */
	NEWEST_MINOR_OF_TWO_ALIGNMENTS = 7, /* 3.7, see facts.c */
	SMALL_CLASSES = 32, /* size classes of an alignment of 16; an alignment of 8 has 64 */
	ENOUGH_POOLS = 64,
};

static bool take_image(struct interpreter *interpreter, const struct process *process,
		       const struct maps *maps, GError **error)
{
	interpreter->image =
		find_image(process, maps, &interpreter->path, &interpreter->load_bias, error);
	if (!interpreter->image)
		return false;
	interpreter->shared = !elf_image_has_interpreter(interpreter->image);
	interpreter->stripped = !elf_image_has_symtab(interpreter->image);
	return true;
}

static bool take_version(struct interpreter *interpreter, const struct process *process,
			 GError **error)
{
	const struct python_facts *row = NULL;
	struct python_version version;

	if (!python_version_detect(interpreter->image, interpreter->path, &version)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "cannot tell the Python version of process %d (%s); pyleak knows "
			    "CPython 2.7 and 3.6 to 3.15",
			    process->pid, interpreter->path);
		return false;
	}
	row = python_facts_find(version.major, version.minor);
	if (!row) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "process %d runs Python %s, which pyleak does not know; it knows 2.7 "
			    "and 3.6 to 3.15",
			    process->pid, version.text);
		return false;
	}
	interpreter->major = version.major;
	interpreter->minor = version.minor;
	interpreter->micro = version.micro;
	interpreter->version = g_strdup(version.text);
	interpreter->facts = *row;
	return true;
}

static bool exported_address(const struct interpreter *interpreter, const char *name,
			     uint64_t *address)
{
	struct elf_symbol symbol;

	if (!elf_image_exports(interpreter->image, name, &symbol))
		return false;
	*address = symbol.address + interpreter->load_bias;
	return true;
}

/* Builds whose objects look different from what the facts say. */
static bool refuse_odd_builds(const struct interpreter *interpreter, const struct process *process,
			      GError **error)
{
	const char *what = NULL;
	struct elf_symbol symbol;

	if (interpreter->free_threaded)
		what = "a free-threaded build";
	/* Two more words in every object. Objects/object.c, #ifdef Py_TRACE_REFS; --with-pydebug
	 * implies it up to 3.7. */
	else if (elf_image_exports(interpreter->image, "_Py_PrintReferences", &symbol))
		what = "a build with Py_TRACE_REFS";
	if (what)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "process %d runs Python %s, %s, which pyleak cannot read; use an "
			    "ordinary build",
			    process->pid, interpreter->version, what);
	return what != NULL;
}

/* Corrects the facts by what the interpreter publishes: in the process, or, while that is not set
 * up, in its file. */
static bool take_published(struct interpreter *interpreter, const struct memory *memory,
			   uint64_t runtime, GError **error)
{
	uint8_t bytes[DEBUG_OFFSETS_SIZE];
	const uint8_t *source = bytes;

	if (interpreter->facts.published == PUBLISHED_NOT)
		return true;
	if (!memory_read(memory, runtime, bytes, sizeof(bytes)) ||
	    !debug_offsets_present(bytes, sizeof(bytes)))
		source = elf_image_bytes(interpreter->image, runtime - interpreter->load_bias,
					 sizeof(bytes));
	if (interpreter->facts.published == PUBLISHED_AS_WELL &&
	    (!source || !debug_offsets_present(source, sizeof(bytes))))
		return true;
	return debug_offsets_apply(source ? source : bytes, sizeof(bytes), &interpreter->facts,
				   &interpreter->free_threaded, error);
}

/* Where the pointer to the first interpreter is: in _PyRuntime, or the static interp_head of 2.7
 * and 3.6. */
static bool find_interpreters_head(struct interpreter *interpreter, const struct memory *memory,
				   uint64_t runtime, GError **error)
{
	struct elf_symbol symbol;
	uint64_t head = 0;
	bool found = true;

	if (runtime) {
		head = runtime + interpreter->facts.runtime_interpreters_head;
	} else if (elf_image_symbol(interpreter->image, "interp_head", &symbol)) {
		head = symbol.address + interpreter->load_bias;
	} else {
		found = elf_image_exports(interpreter->image, "PyInterpreterState_Head", &symbol);
		if (found) {
			GArray *loads = function_loads(interpreter->image, memory,
						       interpreter->load_bias, symbol.address);

			found = loads_first_word(loads, &head);
			g_array_unref(loads);
		}
	}
	interpreter->layout.interpreters_head = head;
	if (!found)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "cannot find the list of interpreters in %s; use a build of Python "
			    "with its symbols",
			    interpreter->path);
	return found;
}

static bool count_pool(const struct pool *pool, void *context)
{
	unsigned int *count = context;

	(void)pool;
	return ++*count < ENOUGH_POOLS;
}

/* Builds of 2.7, 3.6 and 3.7 align blocks to 8 or to 16: ask the table of size classes, else the
 * pools themselves. */
static void take_pool_alignment(struct interpreter *interpreter, const struct memory *memory,
				const struct maps *maps)
{
	uint32_t *alignment = &interpreter->facts.pool_alignment;
	struct pool_geometry wide = { interpreter->facts.pool_size, 16 },
			     narrow = { wide.pool_size, 8 };
	unsigned int wide_count = 0, narrow_count = 0;
	struct elf_symbol symbol;

	if (interpreter->major == 3 && interpreter->minor > NEWEST_MINOR_OF_TWO_ALIGNMENTS)
		return;
	/* poolp usedpools[2 * classes] */
	if (elf_image_symbol(interpreter->image, "usedpools", &symbol) && symbol.size) {
		*alignment = symbol.size > 2 * SMALL_CLASSES * sizeof(void *) ? 8 : 16;
		return;
	}
	pools_walk(memory, maps, &wide, count_pool, &wide_count);
	pools_walk(memory, maps, &narrow, count_pool, &narrow_count);
	if (wide_count != narrow_count)
		*alignment = wide_count > narrow_count ? 16 : 8;
}

/* 2.7: text of Py_UNICODE that has 2 or 4 bytes, by the names of the functions
 * (Include/unicodeobject.h). */
static void take_unicode_width(struct interpreter *interpreter)
{
	struct elf_symbol symbol;

	if (interpreter->major == 2 &&
	    elf_image_exports(interpreter->image, "PyUnicodeUCS2_FromUnicode", &symbol))
		interpreter->facts.old_unicode_width = 2;
}

static void fill_layout(struct interpreter *interpreter)
{
	const struct python_facts *facts = &interpreter->facts;
	struct python_layout *layout = &interpreter->layout;
	uint64_t none;

	layout->interp_next = facts->interp_next;
	layout->interp_tstate_head = facts->interp_tstate_head;
	layout->tstate_next = facts->tstate_next;
	layout->tstate_thread_id = facts->tstate_thread_id;
	layout->tstate_frame = facts->tstate_frame;
	layout->cframe_current_frame = facts->cframe_current_frame;
	layout->chain = facts->chain;
	layout->frame_code = facts->frame_code;
	layout->frame_previous = facts->frame_previous;
	layout->frame_instruction = facts->frame_instruction;
	layout->instruction = facts->instruction;
	layout->frame_owner = facts->frame_owner;
	layout->owner_boundary_min = facts->owner_boundary_min;
	layout->owner_boundary_max = facts->owner_boundary_max;
	layout->frame_is_entry = facts->frame_is_entry;
	layout->code_tag_mask = facts->code_tag_mask;
	layout->code_filename = facts->code_filename;
	layout->code_name = facts->code_qualname ? facts->code_qualname : facts->code_name;
	layout->pool_size = facts->pool_size;
	layout->pool_alignment = facts->pool_alignment;
	layout->arena_size = facts->arena_size;
	/* Frames of 3.13 on may hold None where others hold code. */
	if (facts->chain == CHAIN_CURRENT && exported_address(interpreter, "_Py_NoneStruct", &none))
		layout->none_object = none;
}

static void take_allocator(struct interpreter *interpreter, const struct memory *memory,
			   uint64_t runtime)
{
	const struct runtime_view view = {
		.image = interpreter->image,
		.memory = memory,
		.facts = &interpreter->facts,
		.load_bias = interpreter->load_bias,
		.runtime = runtime,
	};
	struct allocator_state state;
	uint64_t head = 0;
	bool initialised;

	initialised = memory_read_u64(memory, interpreter->layout.interpreters_head, &head) && head;
	allocators_read(&view, initialised, &state);
	interpreter->allocator = state.allocator;
	interpreter->tracemalloc = state.tracemalloc;
	interpreter->layout.arena_alloc = state.arena_alloc;
}

/* Everything after the file was found. */
static bool examine(struct interpreter *interpreter, const struct process *process,
		    const struct maps *maps, GError **error)
{
	const struct memory *memory = &process->memory.base;
	uint64_t runtime = 0;

	if (!take_version(interpreter, process, error))
		return false;
	if (interpreter->major == 3 && interpreter->minor >= OLDEST_RUNTIME_MINOR &&
	    !exported_address(interpreter, "_PyRuntime", &runtime)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "%s says it is Python %s but exports no _PyRuntime; use a release "
			    "build of Python",
			    interpreter->path, interpreter->version);
		return false;
	}
	if (!take_published(interpreter, memory, runtime, error) ||
	    refuse_odd_builds(interpreter, process, error) ||
	    !find_interpreters_head(interpreter, memory, runtime, error))
		return false;
	take_unicode_width(interpreter);
	take_pool_alignment(interpreter, memory, maps);
	fill_layout(interpreter);
	take_allocator(interpreter, memory, runtime);
	return true;
}

struct interpreter *interpreter_discover(const struct process *process, GError **error)
{
	struct interpreter *interpreter;
	struct maps *maps = maps_read(process->pid, error);

	if (!maps)
		return NULL;
	interpreter = g_new0(struct interpreter, 1);
	if (!take_image(interpreter, process, maps, error) ||
	    !examine(interpreter, process, maps, error)) {
		interpreter_free(interpreter);
		interpreter = NULL;
	}
	maps_free(maps);
	return interpreter;
}

void interpreter_free(struct interpreter *interpreter)
{
	if (!interpreter)
		return;
	elf_image_free(interpreter->image);
	g_free(interpreter->version);
	g_free(interpreter->path);
	g_free(interpreter);
}

void interpreter_close_image(struct interpreter *interpreter)
{
	g_clear_pointer(&interpreter->image, elf_image_free);
}

const char *object_allocator_name(enum object_allocator allocator)
{
	static const char *const names[] = {
		[ALLOCATOR_UNKNOWN] = "unknown allocator",
		[ALLOCATOR_PYMALLOC] = "pymalloc",
		[ALLOCATOR_PYMALLOC_DEBUG] = "pymalloc with debug hooks",
		[ALLOCATOR_MALLOC] = "malloc",
		[ALLOCATOR_MALLOC_DEBUG] = "malloc with debug hooks",
		[ALLOCATOR_MIMALLOC] = "mimalloc",
		[ALLOCATOR_OTHER] = "an allocator of another tool",
	};

	return names[allocator];
}
