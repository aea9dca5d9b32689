// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json_memory.h"

#include <math.h>

#include "report/json_values.h"
#include "report/memory_words.h"

static json_t *curve_value(const GArray *points)
{
	json_t *array = json_array();
	guint i;

	for (i = 0; points && i < points->len; i++) {
		const struct curve_point *point = &g_array_index(points, struct curve_point, i);
		json_t *object = json_object();

		json_object_set_new(object, "elapsed_s", real_value(point->elapsed_s));
		json_object_set_new(object, "rss_bytes", json_integer(llround(point->rss_bytes)));
		json_object_set_new(object, "in_use_bytes",
				    json_integer(llround(point->in_use_bytes)));
		json_object_set_new(object, "fragmentation_bytes",
				    json_integer(llround(point->unused_bytes)));
		json_object_set_new(object, "traced_growth_bytes",
				    json_integer(llround(point->traced_bytes)));
		json_array_append_new(array, object);
	}
	return array;
}

json_t *json_memory(const struct report *report)
{
	const struct memory_use *memory = &report->memory;
	const struct curve_summary *curve = &report->curve;
	bool pymalloc = memory->pymalloc_known, glibc = memory->malloc_known;
	g_autofree char *sentence = memory_sentence(report);
	json_t *object = json_object();

	json_object_set_new(object, "rss_bytes", count_value(memory->rss_bytes));
	json_object_set_new(object, "private_bytes", count_value(memory->private_bytes));
	json_object_set_new(object, "in_use_bytes", count_value(memory_use_in_use(memory)));
	json_object_set_new(object, "fragmentation_bytes",
			    known_count_value(pymalloc || glibc, memory_use_unused(memory)));
	json_object_set_new(object, "pymalloc_held_bytes",
			    known_count_value(pymalloc, memory->pymalloc_held_bytes));
	json_object_set_new(object, "pymalloc_used_bytes",
			    known_count_value(pymalloc, memory->pymalloc_used_bytes));
	json_object_set_new(object, "pymalloc_free_bytes",
			    known_count_value(pymalloc, memory->pymalloc_free_bytes));
	json_object_set_new(object, "malloc_held_bytes",
			    known_count_value(glibc, memory->malloc_held_bytes));
	json_object_set_new(object, "malloc_free_bytes",
			    known_count_value(glibc, memory->malloc_free_bytes));
	json_object_set_new(object, "malloc_whole",
			    glibc ? json_boolean(memory->malloc_whole) : json_null());
	json_object_set_new(object, "in_use_growth_bytes_per_s", real_value(curve->bytes_per_s));
	json_object_set_new(object, "trend", json_string(curve_trend_name(curve->trend)));
	json_object_set_new(object, "sentence", nullable_text_value(sentence));
	if (report->last)
		json_object_set_new(object, "curve", curve_value(report->curve_points));
	return object;
}
