// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reports from a recording, with no kernel and no root. The recording is what sample.h describes,
 * written by `PYLEAK_RECORD=1 build/tests/unit/test_snapshot_file`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "analyse/snapshot_file.h"
#include "report/writer.h"
#include "tests/unit/sample.h"

static void write_sample(FILE *stream)
{
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	int n;

	for (n = 1; n <= SAMPLE_SNAPSHOTS; n++) {
		struct snapshot *snapshot = sample_snapshot(n);

		assert_true(snapshot_write(stream, snapshot, &sources, NULL));
		snapshot_free(snapshot);
	}
	g_hash_table_unref(stacks);
}

/* free() */
static char *sample_text(size_t *size)
{
	char *text = NULL;
	FILE *stream = open_memstream(&text, size);

	write_sample(stream);
	fclose(stream);
	return text;
}

static void the_recording_is_what_the_sample_writes(void **state)
{
	g_autofree char *recorded = NULL;
	gsize recorded_size;
	size_t size;
	char *text = sample_text(&size);

	(void)state;
	assert_true(g_file_get_contents(SAMPLE_RECORDING, &recorded, &recorded_size, NULL));
	assert_int_equal(recorded_size, size);
	assert_memory_equal(recorded, text, size);
	free(text);
}

/* Analyses the recording and writes every report with @writer; free(). */
static char *reports_from_recording(const struct report_writer *writer)
{
	const struct report_style style = { .width = 80 };
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	struct report_header *header = sample_header();
	FILE *recording = fopen(SAMPLE_RECORDING, "r");
	struct saved_snapshot *saved;
	g_autoptr(GError) error = NULL;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	uint64_t seq = 0;

	assert_non_null(recording);
	while ((saved = snapshot_read(recording, &error))) {
		const struct analysis_sources sources = { saved_snapshot_stack, NULL, saved, NULL };
		struct report *report = analysis_add(analysis, saved->snapshot, &sources);

		report->pid = 4242;
		report->seq = ++seq;
		assert_true(writer->report(stream, &style, header, report));
		report_free(report);
		saved_snapshot_free(saved);
	}
	assert_null(error);
	assert_int_equal(seq, SAMPLE_SNAPSHOTS);
	fclose(stream);
	fclose(recording);
	report_header_free(header);
	analysis_free(analysis);
	return text;
}

static void how_memory_is_used_is_read_back(void **state)
{
	const struct memory_use use = { true, 9, 8, true, 7, 6, 5, true, true, 4, 3 };
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { .stack = sample_stack, .context = stacks };
	struct snapshot *snapshot = sample_snapshot(1);
	struct saved_snapshot *saved;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	snapshot->rss_bytes = 9;
	snapshot->memory = use;
	assert_true(snapshot_write(stream, snapshot, &sources, NULL));
	fclose(stream);
	stream = fmemopen(text, size, "r");
	saved = snapshot_read(stream, NULL);
	assert_non_null(saved);
	assert_true(saved->snapshot->memory.known && saved->snapshot->memory.malloc_whole);
	assert_int_equal(saved->snapshot->memory.rss_bytes, 9);
	assert_int_equal(saved->snapshot->memory.pymalloc_held_bytes, 7);
	assert_int_equal(memory_use_unused(&saved->snapshot->memory), 8);
	assert_int_equal(memory_use_in_use(&saved->snapshot->memory), 0);
	fclose(stream);
	saved_snapshot_free(saved);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	free(text);
}

static void a_text_report_comes_from_a_recording(void **state)
{
	char *text = reports_from_recording(&text_writer);

	(void)state;
	assert_non_null(strstr(text, "LEAK 98 %     +2.1 MiB/min    2.1 MiB in 9,000 blocks"));
	assert_non_null(strstr(text, "/srv/shop/app.py:8  handle"));
	free(text);
}

/* The id of a site never changes: dashboards and older recordings refer to it. */
static void a_json_report_comes_from_a_recording(void **state)
{
	char *text = reports_from_recording(&json_writer);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	json_t *object, *site;

	(void)state;
	assert_int_equal(g_strv_length(lines), SAMPLE_SNAPSHOTS + 1);
	object = json_loads(lines[SAMPLE_SNAPSHOTS - 1], 0, NULL);
	site = json_array_get(json_object_get(object, "sites"), 0);
	assert_string_equal(json_string_value(json_object_get(site, "verdict")), "leak");
	assert_int_equal(json_integer_value(json_object_get(site, "outstanding_blocks")), 9000);
	assert_string_equal(json_string_value(json_object_get(site, "id")), "6bc7352d9f38a138");
	json_decref(object);
	free(text);
}

static struct saved_snapshot *read_text(const char *text, size_t size, GError **error)
{
	FILE *stream = fmemopen((char *)text, size, "r");
	struct saved_snapshot *saved = snapshot_read(stream, error);

	fclose(stream);
	return saved;
}

static void assert_same_context(const struct snapshot_context *a, const struct snapshot_context *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->family, b->family);
	assert_int_equal(a->live_blocks, b->live_blocks);
	assert_int_equal(a->live_bytes, b->live_bytes);
	assert_true(a->estimated == b->estimated);
	assert_true(a->live_bytes_low == b->live_bytes_low);
	assert_true(a->live_bytes_high == b->live_bytes_high);
	assert_int_equal(a->alloc_blocks, b->alloc_blocks);
	assert_int_equal(a->alloc_bytes, b->alloc_bytes);
	assert_int_equal(a->oldest_born_ns, b->oldest_born_ns);
	assert_int_equal(a->old_alloc_blocks, b->old_alloc_blocks);
	assert_int_equal(a->old_live_blocks, b->old_live_blocks);
}

static void what_is_read_is_what_was_written(void **state)
{
	guint i;
	struct snapshot *snapshot = sample_snapshot(1);
	size_t size;
	char *text = sample_text(&size);
	struct saved_snapshot *saved = read_text(text, size, NULL);
	const struct stack *stack;

	(void)state;
	assert_non_null(saved);
	assert_int_equal(saved->snapshot->contexts->len, snapshot->contexts->len);
	for (i = 0; i < snapshot->contexts->len; i++)
		assert_same_context(
			&g_array_index(saved->snapshot->contexts, struct snapshot_context, i),
			&g_array_index(snapshot->contexts, struct snapshot_context, i));
	assert_memory_equal(saved->snapshot->lost, snapshot->lost, sizeof(snapshot->lost));
	assert_memory_equal(saved->snapshot->families, snapshot->families,
			    sizeof(snapshot->families));
	assert_true(saved->snapshot->coverage == snapshot->coverage);
	assert_true(saved->snapshot->overhead_pct == snapshot->overhead_pct);
	assert_int_equal(saved->snapshot->taken_ns, snapshot->taken_ns);
	stack = saved_snapshot_stack(saved, 5);
	assert_int_equal(stack->count, 3);
	assert_int_equal(stack->frames[0].kind, FRAME_NATIVE);
	assert_int_equal(stack->frames[0].offset, 0x1f40);
	assert_null(stack->frames[0].function);
	assert_true(saved_snapshot_stack(saved, 2)->truncated);
	assert_null(saved_snapshot_stack(saved, 99));
	saved_snapshot_free(saved);
	snapshot_free(snapshot);
	free(text);
}

static void assert_damaged(const char *text, size_t size)
{
	g_autoptr(GError) error = NULL;
	struct saved_snapshot *saved = read_text(text, size, &error);

	if (saved)
		fail_msg("accepted: %.*s", (int)MIN(size, 200), text);
	assert_non_null(error);
	assert_null(strchr(error->message, '\n'));
}

/* @change: what stands in @text, and what it becomes. */
static void assert_damaged_by(const char *const change[2], const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, change[0], 2);
	g_autofree char *changed = NULL;

	if (!parts[0] || !parts[1])
		fail_msg("%s is not in the sample", change[0]);
	changed = g_strjoinv(change[1], parts);
	assert_damaged(changed, strlen(changed));
}

static void files_that_are_no_recording_are_refused(void **state)
{
	static const char *const bad[] = { "{}",	 "[]",
					   "null",	 "x",
					   "\n",	 "{\"schema\":\"pyleak/1\"}",
					   "[[[[[[[[[[", "{\"schema\":7}",
					   "\xff\xfe" };
	g_autofree char *deep = g_strnfill(100000, '[');
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_damaged(bad[i], strlen(bad[i]));
	assert_damaged(deep, strlen(deep));
}

static void values_out_of_range_are_refused(void **state)
{
	static const char *const changes[][2] = {
		{ "\"taken_ns\":15000000000", "\"taken_ns\":-1" },
		{ "\"taken_ns\":15000000000", "\"taken_ns\":1.5" },
		{ "\"threads\":4", "\"threads\":4294967296" },
		{ "\"id\":1,", "\"id\":-1," },
		{ "\"family\":\"pymalloc\"", "\"family\":\"heap\"" },
		{ "\"mode\":\"exact\"", "\"mode\":null" },
		{ "\"contexts\":[", "\"contexts\":7,\"rest\":[" },
		{ "\"frames\":[", "\"frames\":{},\"rest\":[" },
		{ "\"line\":353", "\"line\":99999999999" },
		{ "\"function\":\"handle\"", "\"function\":[]" },
		{ "\"stack_truncated\":3", "\"stack_truncated\":-3" },
	};
	size_t size, i;
	char *text = sample_text(&size);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 2);

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(changes); i++)
		assert_damaged_by(changes[i], lines[0]);
	free(text);
}

/* Cut anywhere: an error, never a crash. Flipped anywhere: an error or another valid snapshot. */
static void damage_anywhere_does_no_harm(void **state)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(3);
	size_t size, i;
	char *text = sample_text(&size);

	(void)state;
	size = strcspn(text, "\n");
	for (i = 1; i < size; i += 7)
		assert_damaged(text, i);
	for (i = 0; i < 2000; i++) {
		size_t where = g_rand_int_range(random, 0, (gint32)size);
		char before = text[where];
		g_autoptr(GError) error = NULL;
		struct saved_snapshot *saved;

		text[where] = (char)g_rand_int_range(random, 1, 256);
		saved = read_text(text, size, &error);
		assert_true(!saved == !!error);
		saved_snapshot_free(saved);
		text[where] = before;
	}
	free(text);
}

/* One snapshot with types, as text; free(). */
static char *text_with_types(size_t *size)
{
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, sample_types };
	struct snapshot *snapshot = sample_snapshot(1);
	char *text = NULL;
	FILE *stream = open_memstream(&text, size);

	assert_true(snapshot_write(stream, snapshot, &sources, NULL));
	fclose(stream);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	return text;
}

static void types_are_saved_too(void **state)
{
	size_t size;
	char *text = text_with_types(&size);
	struct saved_snapshot *saved = read_text(text, size, NULL);
	const struct type_count *type;

	(void)state;
	assert_non_null(saved);
	assert_null(saved_snapshot_types(saved, 2));
	assert_non_null(saved_snapshot_types(saved, 1));
	assert_int_equal(saved_snapshot_types(saved, 1)->len, 2);
	type = &g_array_index(saved_snapshot_types(saved, 1), struct type_count, 1);
	assert_string_equal(type->name, "str");
	assert_float_equal(type->blocks, 1, 0);
	assert_float_equal(type->bytes, 240, 0);
	saved_snapshot_free(saved);
	free(text);
}

static void damaged_types_are_refused(void **state)
{
	static const char *const changes[][2] = {
		{ "\"types\":[{", "\"types\":[1,{" },
		{ "\"types\":[", "\"types\":{},\"other\":[" },
		{ "\"name\":\"dict\"", "\"name\":null" },
		{ "\"blocks\":2", "\"blocks\":-2" },
		{ "\"blocks\":2", "\"blocks\":\"2\"" },
		{ "\"bytes\":240", "\"bits\":240" },
	};
	size_t size;
	char *text = text_with_types(&size);

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
		assert_damaged_by(changes[i], text);
	free(text);
}

static void a_full_disk_is_told(void **state)
{
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	struct snapshot *snapshot = sample_snapshot(1);
	FILE *stream = fopen("/dev/full", "w");
	g_autoptr(GError) error = NULL;

	(void)state;
	assert_non_null(stream);
	assert_false(snapshot_write(stream, snapshot, &sources, &error));
	assert_non_null(error);
	fclose(stream);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_recording_is_what_the_sample_writes),
		cmocka_unit_test(how_memory_is_used_is_read_back),
		cmocka_unit_test(a_text_report_comes_from_a_recording),
		cmocka_unit_test(a_json_report_comes_from_a_recording),
		cmocka_unit_test(what_is_read_is_what_was_written),
		cmocka_unit_test(files_that_are_no_recording_are_refused),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(damage_anywhere_does_no_harm),
		cmocka_unit_test(types_are_saved_too),
		cmocka_unit_test(damaged_types_are_refused),
		cmocka_unit_test(a_full_disk_is_told),
	};

	if (getenv("PYLEAK_RECORD")) {
		FILE *recording = fopen(SAMPLE_RECORDING, "w");

		if (!recording)
			return EXIT_FAILURE;
		write_sample(recording);
		return fclose(recording) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
