// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/snapshot_file.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <jansson.h>

#include "base/error.h"

enum { MAX_FRAMES = 4096, MAX_CONTEXTS = 4 << 20, MAX_TYPES = 1 << 16 };

/* Where reading stands: the first thing that is wrong stays, everything after it reads as 0. */
struct reader {
	const char *wrong; /* name of the key, or NULL */
};

static const json_t *get(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!value && !reader->wrong)
		reader->wrong = key;
	return value;
}

static int64_t get_integer(struct reader *reader, const json_t *object, const char *key,
			   int64_t min, int64_t max)
{
	const json_t *value = get(reader, object, key);
	int64_t number = json_integer_value(value);

	if (json_is_integer(value) && number >= min && number <= max)
		return number;
	if (!reader->wrong)
		reader->wrong = key;
	return 0;
}

static uint64_t get_count(struct reader *reader, const json_t *object, const char *key)
{
	return (uint64_t)get_integer(reader, object, key, 0, INT64_MAX);
}

static double get_real(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = get(reader, object, key);

	if (json_is_number(value) && isfinite(json_number_value(value)))
		return json_number_value(value);
	if (!reader->wrong)
		reader->wrong = key;
	return 0;
}

static bool get_boolean(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = get(reader, object, key);

	if (!json_is_boolean(value) && !reader->wrong)
		reader->wrong = key;
	return json_is_true(value);
}

static const char *get_text(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = get(reader, object, key);

	if (!json_is_string(value) && !json_is_null(value) && !reader->wrong)
		reader->wrong = key;
	return g_intern_string(json_string_value(value));
}

/* The index of a name that @name_of gives, below @count. */
static int get_name(struct reader *reader, const json_t *object, const char *key, int count,
		    const char *(*name_of)(int))
{
	const char *name = json_string_value(get(reader, object, key));
	int i;

	for (i = 0; name && i < count; i++) {
		if (!strcmp(name, name_of(i)))
			return i;
	}
	if (!reader->wrong)
		reader->wrong = key;
	return 0;
}

static const char *name_of_family(int family)
{
	return family_name(family);
}

static const char *name_of_mode(int mode)
{
	return family_mode_name(mode);
}

static struct stack *read_stack(struct reader *reader, const json_t *object)
{
	const json_t *frames = get(reader, object, "frames");
	struct stack *stack = g_new0(struct stack, 1);
	size_t i, count = json_array_size(frames);

	if ((!json_is_array(frames) || count > MAX_FRAMES) && !reader->wrong)
		reader->wrong = "frames";
	stack->truncated = get_boolean(reader, object, "truncated");
	if (reader->wrong)
		return stack;
	stack->frames = g_new0(struct frame, count);
	for (i = 0; i < count && !reader->wrong; i++) {
		const json_t *item = json_array_get(frames, i);
		struct frame *frame = &stack->frames[i];

		frame->kind = get_boolean(reader, item, "native") ? FRAME_NATIVE : FRAME_PYTHON;
		frame->function = get_text(reader, item, "function");
		frame->file = get_text(reader, item, "file");
		frame->line = (int32_t)get_integer(reader, item, "line", INT32_MIN, INT32_MAX);
		frame->module = get_text(reader, item, "module");
		frame->offset = get_count(reader, item, "offset");
	}
	stack->count = count;
	return stack;
}

static void clear_type(void *element)
{
	g_ref_string_release(((struct type_count *)element)->name);
}

static GArray *read_types(struct reader *reader, const json_t *object)
{
	GArray *types = g_array_new(FALSE, FALSE, sizeof(struct type_count));
	size_t i, count = json_array_size(object);

	g_array_set_clear_func(types, clear_type);
	if ((!json_is_array(object) || count > MAX_TYPES) && !reader->wrong)
		reader->wrong = "types";
	for (i = 0; i < count && !reader->wrong; i++) {
		const json_t *item = json_array_get(object, i);
		const char *name = json_string_value(get(reader, item, "name"));
		struct type_count type = {
			.name = g_ref_string_new_intern(name ? name : ""),
			.blocks = get_real(reader, item, "blocks"),
			.bytes = get_real(reader, item, "bytes"),
		};

		if ((!name || type.blocks < 0 || type.bytes < 0) && !reader->wrong)
			reader->wrong = "types";
		g_array_append_val(types, type);
	}
	return types;
}

static void read_context(struct reader *reader, const json_t *object, struct saved_snapshot *saved)
{
	struct snapshot_context context = {
		.id = (uint32_t)get_integer(reader, object, "id", 0, UINT32_MAX),
		.family = get_name(reader, object, "family", FAMILY_COUNT, name_of_family),
		.live_blocks = get_integer(reader, object, "live_blocks", INT64_MIN, INT64_MAX),
		.live_bytes = get_integer(reader, object, "live_bytes", INT64_MIN, INT64_MAX),
		.estimated = get_boolean(reader, object, "estimated"),
		.live_bytes_low = get_real(reader, object, "live_bytes_low"),
		.live_bytes_high = get_real(reader, object, "live_bytes_high"),
		.alloc_blocks = get_count(reader, object, "alloc_blocks"),
		.alloc_bytes = get_count(reader, object, "alloc_bytes"),
		.oldest_born_ns = get_count(reader, object, "oldest_born_ns"),
		.old_alloc_blocks = get_count(reader, object, "old_alloc_blocks"),
		.old_live_blocks = get_count(reader, object, "old_live_blocks"),
	};

	if (json_object_get(object, "frames"))
		g_hash_table_replace(saved->stacks, GUINT_TO_POINTER(context.id),
				     read_stack(reader, object));
	if (json_object_get(object, "types"))
		g_hash_table_replace(saved->types, GUINT_TO_POINTER(context.id),
				     read_types(reader, json_object_get(object, "types")));
	g_array_append_val(saved->snapshot->contexts, context);
}

static void read_counters(struct reader *reader, const json_t *object, struct snapshot *snapshot)
{
	const json_t *families = get(reader, object, "families");
	const json_t *lost = get(reader, object, "lost");
	int i;

	for (i = 0; i < FAMILY_COUNT; i++) {
		const json_t *item = get(reader, families, family_name(i));

		snapshot->families[i].mode =
			get_name(reader, item, "mode", FAMILY_MODE_EXACT + 1, name_of_mode);
		snapshot->families[i].observed_fraction =
			get_real(reader, item, "observed_fraction");
		snapshot->families[i].windows = get_count(reader, item, "windows");
		snapshot->families[i].allocs = get_count(reader, item, "allocs");
		snapshot->families[i].frees = get_count(reader, item, "frees");
	}
	/* A reason that an older pyleak did not know is not there: nothing was lost for it. */
	for (i = 0; i < LOST_COUNT; i++) {
		if (json_object_get(lost, lost_reason_name(i)))
			snapshot->lost[i] = get_count(reader, lost, lost_reason_name(i));
	}
}

/* A recording of an older pyleak has none. */
static void read_memory(struct reader *reader, const json_t *object, struct snapshot *snapshot)
{
	const json_t *item = json_object_get(object, "memory");
	struct memory_use *memory = &snapshot->memory;

	if (!item)
		return;
	memory->known = true;
	memory->rss_bytes = snapshot->rss_bytes;
	memory->private_bytes = get_count(reader, item, "private_bytes");
	memory->pymalloc_known = get_boolean(reader, item, "pymalloc_known");
	memory->pymalloc_held_bytes = get_count(reader, item, "pymalloc_held_bytes");
	memory->pymalloc_used_bytes = get_count(reader, item, "pymalloc_used_bytes");
	memory->pymalloc_free_bytes = get_count(reader, item, "pymalloc_free_bytes");
	memory->malloc_known = get_boolean(reader, item, "malloc_known");
	memory->malloc_whole = get_boolean(reader, item, "malloc_whole");
	memory->malloc_held_bytes = get_count(reader, item, "malloc_held_bytes");
	memory->malloc_free_bytes = get_count(reader, item, "malloc_free_bytes");
}

static void read_gc(struct reader *reader, const json_t *object, struct snapshot *snapshot)
{
	if (!object)
		return;
	snapshot->gc_known = true;
	snapshot->gc_enabled = get_boolean(reader, object, "enabled");
	snapshot->gc_collected_ns = get_count(reader, object, "collected_ns");
	snapshot->gc_young = (uint32_t)get_integer(reader, object, "young", 0, UINT32_MAX);
}

static void read_snapshot(struct reader *reader, const json_t *object, struct saved_snapshot *saved)
{
	struct snapshot *snapshot = saved->snapshot;
	const json_t *contexts = get(reader, object, "contexts");
	const char *schema = json_string_value(get(reader, object, "schema"));
	size_t i;

	if (!schema || strcmp(schema, "pyleak-snapshot/1"))
		reader->wrong = "schema";
	if ((!json_is_array(contexts) || json_array_size(contexts) > MAX_CONTEXTS) &&
	    !reader->wrong)
		reader->wrong = "contexts";
	snapshot->taken_ns = get_count(reader, object, "taken_ns");
	snapshot->attached_ns = get_count(reader, object, "attached_ns");
	snapshot->time_us = get_integer(reader, object, "time_us", INT64_MIN, INT64_MAX);
	snapshot->survival_age_ns = get_count(reader, object, "survival_age_ns");
	snapshot->rss_bytes = get_count(reader, object, "rss_bytes");
	snapshot->rss_at_attach_bytes = get_count(reader, object, "rss_at_attach_bytes");
	read_memory(reader, object, snapshot);
	snapshot->threads = (uint32_t)get_integer(reader, object, "threads", 0, UINT32_MAX);
	snapshot->overhead_pct = get_real(reader, object, "overhead_pct");
	snapshot->budget_scale = 1; /* is not saved */
	snapshot->coverage = get_real(reader, object, "coverage");
	snapshot->coverage_blocks = get_count(reader, object, "coverage_blocks");
	read_counters(reader, object, snapshot);
	read_gc(reader, json_object_get(object, "gc"), snapshot);
	for (i = 0; !reader->wrong && i < json_array_size(contexts); i++)
		read_context(reader, json_array_get(contexts, i), saved);
}

/* One line without its end; NULL at the end of the stream or, with @error, when it is too long. */
static GString *read_line(FILE *stream, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	int c;

	while ((c = getc(stream)) != EOF && c != '\n') {
		if (line->len == SNAPSHOT_FILE_MAX_LINE) {
			g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
				    "a snapshot is too long: is this file a recording of pyleak?");
			return NULL;
		}
		g_string_append_c(line, (char)c);
	}
	if (ferror(stream)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "the snapshots could not be read: %s", g_strerror(errno));
		return NULL;
	}
	return c == EOF && !line->len ? NULL : g_steal_pointer(&line);
}

static void free_stack(void *stack)
{
	stack_free(stack);
}

static void free_types(void *types)
{
	g_array_unref(types);
}

struct saved_snapshot *snapshot_read(FILE *stream, GError **error)
{
	GString *line = read_line(stream, error);
	struct saved_snapshot *saved;
	struct reader reader = { NULL };
	json_error_t problem;
	json_t *object;

	if (!line)
		return NULL;
	object = json_loadb(line->str, line->len, JSON_REJECT_DUPLICATES, &problem);
	g_string_free(line, TRUE);
	if (!object) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "the snapshot is not JSON: %s", problem.text);
		return NULL;
	}
	saved = g_new0(struct saved_snapshot, 1);
	saved->snapshot = g_new0(struct snapshot, 1);
	saved->snapshot->contexts = g_array_new(FALSE, FALSE, sizeof(struct snapshot_context));
	saved->stacks = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_stack);
	saved->types = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_types);
	read_snapshot(&reader, object, saved);
	json_decref(object);
	if (!reader.wrong)
		return saved;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
		    "the snapshot is damaged: \"%s\" is missing or out of range", reader.wrong);
	saved_snapshot_free(saved);
	return NULL;
}

void saved_snapshot_free(struct saved_snapshot *saved)
{
	if (!saved)
		return;
	snapshot_free(saved->snapshot);
	g_hash_table_unref(saved->stacks);
	g_hash_table_unref(saved->types);
	g_free(saved);
}

const struct stack *saved_snapshot_stack(void *saved, uint32_t id)
{
	return g_hash_table_lookup(((struct saved_snapshot *)saved)->stacks, GUINT_TO_POINTER(id));
}

const GArray *saved_snapshot_types(void *saved, uint32_t id)
{
	return g_hash_table_lookup(((struct saved_snapshot *)saved)->types, GUINT_TO_POINTER(id));
}
