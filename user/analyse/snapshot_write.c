// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/snapshot_file.h"

#include <math.h>
#include <jansson.h>

#include "base/error.h"

static json_t *text_value(const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	return valid ? json_string(valid) : json_null();
}

static json_t *count_value(uint64_t number)
{
	return json_integer((json_int_t)MIN(number, (uint64_t)INT64_MAX));
}

static json_t *real_value(double number)
{
	return json_real(isfinite(number) ? number : 0);
}

static json_t *frames_value(const struct stack *stack)
{
	json_t *frames = json_array();
	uint32_t i;

	for (i = 0; i < stack->count; i++) {
		const struct frame *frame = &stack->frames[i];
		json_t *object = json_object();

		json_object_set_new(object, "native", json_boolean(frame->kind == FRAME_NATIVE));
		json_object_set_new(object, "function", text_value(frame->function));
		json_object_set_new(object, "file", text_value(frame->file));
		json_object_set_new(object, "line", json_integer(frame->line));
		json_object_set_new(object, "module", text_value(frame->module));
		json_object_set_new(object, "offset", count_value(frame->offset));
		json_array_append_new(frames, object);
	}
	return frames;
}

static json_t *types_value(const GArray *types)
{
	json_t *array = json_array();

	for (guint i = 0; i < types->len; i++) {
		const struct type_count *type = &g_array_index(types, struct type_count, i);
		json_t *item = json_object();

		json_object_set_new(item, "name", text_value(type->name));
		json_object_set_new(item, "blocks", real_value(type->blocks));
		json_object_set_new(item, "bytes", real_value(type->bytes));
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *context_value(const struct snapshot_context *context, const struct stack *stack,
			     const GArray *types)
{
	json_t *object = json_object();

	json_object_set_new(object, "id", json_integer(context->id));
	json_object_set_new(object, "family", json_string(family_name(context->family)));
	json_object_set_new(object, "live_blocks", json_integer(context->live_blocks));
	json_object_set_new(object, "live_bytes", json_integer(context->live_bytes));
	json_object_set_new(object, "estimated", json_boolean(context->estimated));
	json_object_set_new(object, "live_bytes_low", real_value(context->live_bytes_low));
	json_object_set_new(object, "live_bytes_high", real_value(context->live_bytes_high));
	json_object_set_new(object, "alloc_blocks", count_value(context->alloc_blocks));
	json_object_set_new(object, "alloc_bytes", count_value(context->alloc_bytes));
	json_object_set_new(object, "oldest_born_ns", count_value(context->oldest_born_ns));
	json_object_set_new(object, "old_alloc_blocks", count_value(context->old_alloc_blocks));
	json_object_set_new(object, "old_live_blocks", count_value(context->old_live_blocks));
	if (stack) {
		json_object_set_new(object, "truncated", json_boolean(stack->truncated));
		json_object_set_new(object, "frames", frames_value(stack));
	}
	if (types)
		json_object_set_new(object, "types", types_value(types));
	return object;
}

static void add_counters(json_t *object, const struct snapshot *snapshot)
{
	json_t *families = json_object(), *lost = json_object();
	enum lost_reason reason;
	enum family family;

	for (family = 0; family < FAMILY_COUNT; family++) {
		json_t *item = json_object();

		json_object_set_new(item, "mode",
				    json_string(family_mode_name(snapshot->families[family].mode)));
		json_object_set_new(item, "observed_fraction",
				    real_value(snapshot->families[family].observed_fraction));
		json_object_set_new(item, "windows",
				    count_value(snapshot->families[family].windows));
		json_object_set_new(item, "allocs", count_value(snapshot->families[family].allocs));
		json_object_set_new(item, "frees", count_value(snapshot->families[family].frees));
		json_object_set_new(families, family_name(family), item);
	}
	for (reason = 0; reason < LOST_COUNT; reason++)
		json_object_set_new(lost, lost_reason_name(reason),
				    count_value(snapshot->lost[reason]));
	json_object_set_new(object, "families", families);
	json_object_set_new(object, "lost", lost);
}

static json_t *memory_value(const struct memory_use *memory)
{
	json_t *object = json_object();

	json_object_set_new(object, "private_bytes", count_value(memory->private_bytes));
	json_object_set_new(object, "pymalloc_known", json_boolean(memory->pymalloc_known));
	json_object_set_new(object, "pymalloc_held_bytes",
			    count_value(memory->pymalloc_held_bytes));
	json_object_set_new(object, "pymalloc_used_bytes",
			    count_value(memory->pymalloc_used_bytes));
	json_object_set_new(object, "pymalloc_free_bytes",
			    count_value(memory->pymalloc_free_bytes));
	json_object_set_new(object, "malloc_known", json_boolean(memory->malloc_known));
	json_object_set_new(object, "malloc_whole", json_boolean(memory->malloc_whole));
	json_object_set_new(object, "malloc_held_bytes", count_value(memory->malloc_held_bytes));
	json_object_set_new(object, "malloc_free_bytes", count_value(memory->malloc_free_bytes));
	return object;
}

bool snapshot_write(FILE *stream, const struct snapshot *snapshot,
		    const struct analysis_sources *sources, GError **error)
{
	json_t *object = json_object(), *contexts = json_array();
	bool written;
	guint i;

	json_object_set_new(object, "schema", json_string("pyleak-snapshot/1"));
	json_object_set_new(object, "taken_ns", count_value(snapshot->taken_ns));
	json_object_set_new(object, "attached_ns", count_value(snapshot->attached_ns));
	json_object_set_new(object, "time_us", json_integer(snapshot->time_us));
	json_object_set_new(object, "survival_age_ns", count_value(snapshot->survival_age_ns));
	json_object_set_new(object, "rss_bytes", count_value(snapshot->rss_bytes));
	json_object_set_new(object, "rss_at_attach_bytes",
			    count_value(snapshot->rss_at_attach_bytes));
	if (snapshot->memory.known)
		json_object_set_new(object, "memory", memory_value(&snapshot->memory));
	json_object_set_new(object, "threads", json_integer(snapshot->threads));
	json_object_set_new(object, "overhead_pct", real_value(snapshot->overhead_pct));
	json_object_set_new(object, "coverage", real_value(snapshot->coverage));
	json_object_set_new(object, "coverage_blocks", count_value(snapshot->coverage_blocks));
	add_counters(object, snapshot);
	if (snapshot->gc_known)
		json_object_set_new(object, "gc",
				    json_pack("{s:b, s:I, s:I}", "enabled", snapshot->gc_enabled,
					      "collected_ns", (json_int_t)snapshot->gc_collected_ns,
					      "young", (json_int_t)snapshot->gc_young));
	for (i = 0; i < snapshot->contexts->len; i++) {
		const struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		const GArray *types =
			sources->types ? sources->types(sources->context, context->id) : NULL;

		json_array_append_new(contexts,
				      context_value(context,
						    sources->stack(sources->context, context->id),
						    types));
	}
	json_object_set_new(object, "contexts", contexts);
	/* 17 digits: what is read back is what was written. */
	written = !json_dumpf(object, stream, JSON_COMPACT | JSON_REAL_PRECISION(17)) &&
		  putc('\n', stream) != EOF && !fflush(stream);
	json_decref(object);
	if (!written)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "the snapshot could not be written: is the disk full?");
	return written;
}
