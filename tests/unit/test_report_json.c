// SPDX-License-Identifier: GPL-2.0-or-later
/* NDJSON against CLI.md: key names, their order and types; docs/report.schema.json names no other
 * keys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "report/writer.h"
#include "tests/unit/sample.h"

static const struct report_style plain = { .width = 80 };

/* Of a look that remembered one pool in 2^@heap_level. */
static struct report *report_at_level(uint32_t heap_level)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, sample_source, stacks,
						  sample_types };
	struct snapshot *snapshot = sample_snapshot(1);
	struct report *report;

	snapshot->heap_level = heap_level;
	report = analysis_add(analysis, snapshot, &sources);
	report->pid = 4242;
	report->seq = 1;
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	analysis_free(analysis);
	return report;
}

static struct report *sample_report(void)
{
	return report_at_level(0);
}

/* The one line that @text must be. */
static json_t *parse_line(char *text, size_t size)
{
	json_error_t error;
	json_t *object;

	assert_true(size > 0 && text[size - 1] == '\n');
	assert_ptr_equal(strchr(text, '\n'), text + size - 1);
	object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		fail_msg("%s: %s", error.text, text);
	free(text);
	return object;
}

static json_t *written_report(const struct report *report)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_true(json_writer.report(stream, &plain, NULL, report));
	fclose(stream);
	return parse_line(text, size);
}

static json_t *written_header(const struct report_header *header)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_true(json_writer.header(stream, &plain, header));
	fclose(stream);
	return parse_line(text, size);
}

/* @object begins with these keys, in this order. */
static void assert_keys(json_t *object, const char *keys)
{
	g_auto(GStrv) expected = g_strsplit(keys, " ", -1);
	const char *key;
	json_t *value;
	size_t i = 0;

	json_object_foreach(object, key, value)
	{
		if (!expected[i])
			return;
		assert_string_equal(key, expected[i++]);
	}
	assert_null(expected[i]);
}

static json_t *at(json_t *object, const char *first, const char *second)
{
	json_t *value = json_object_get(object, first);

	value = second ? json_object_get(value, second) : value;
	assert_non_null(value);
	return value;
}

static void assert_text(json_t *object, const char *key, const char *text)
{
	assert_string_equal(json_string_value(at(object, key, NULL)), text);
}

static void a_header_has_the_keys_of_the_contract(void **state)
{
	struct report_header *header = sample_header();
	json_t *object, *target;

	(void)state;
	g_ptr_array_add(header->option_names, g_strdup("broken"));
	g_ptr_array_add(header->option_values, g_strdup("not JSON"));
	object = written_header(header);
	assert_keys(object, "schema type version host kernel started targets options");
	assert_text(object, "schema", "pyleak/1");
	assert_text(object, "type", "header");
	assert_text(object, "started", "2026-11-21T04:00:00.123Z");
	target = json_array_get(at(object, "targets", NULL), 0);
	assert_keys(target, "pid cmdline exe python");
	assert_keys(at(target, "python", NULL), "version build stripped");
	assert_text(at(target, "python", NULL), "build", "static");
	assert_int_equal(json_array_size(at(target, "cmdline", NULL)), 5);
	assert_int_equal(json_integer_value(at(object, "options", "interval")), 10);
	assert_true(json_is_string(at(object, "options", "broken")));
	json_decref(object);
	report_header_free(header);
}

static void a_report_has_the_keys_of_the_contract(void **state)
{
	struct report *report = sample_report();
	json_t *object = written_report(report), *families;
	size_t i;

	(void)state;
	assert_keys(object,
		    "schema type seq time pid elapsed_s interval_s process tracing totals sites");
	assert_keys(at(object, "process", NULL), "rss_bytes rss_growth_bytes threads");
	assert_keys(at(object, "tracing", NULL), "overhead_pct families lost");
	assert_keys(at(object, "totals", NULL),
		    "outstanding_bytes outstanding_blocks growth_bytes growth_bytes_per_s");
	assert_text(object, "time", "2026-11-21T04:00:10.123Z");
	families = at(object, "tracing", "families");
	assert_int_equal(json_array_size(families), FAMILY_COUNT);
	for (i = 0; i < FAMILY_COUNT; i++)
		assert_keys(json_array_get(families, i),
			    "name mode observed_fraction windows allocs frees");
	assert_true(json_is_integer(at(object, "totals", "outstanding_bytes")));
	assert_true(json_is_integer(at(object, "process", "rss_bytes")));
	assert_true(json_is_real(at(object, "elapsed_s", NULL)));
	json_decref(object);
	report_free(report);
}

static void a_sampled_heap_and_missed_events_are_told(void **state)
{
	(void)state;
	for (uint32_t level = 0; level <= 3; level += 3) {
		struct report *report = report_at_level(level);
		json_t *object, *notes;

		report->missed_events = 17 * level;
		object = written_report(report);
		notes = at(object, "notes", NULL);
		assert_float_equal(json_number_value(at(object, "tracing", "heap_fraction")),
				   level ? 0.125 : 1, 1e-9);
		assert_int_equal(json_integer_value(at(object, "tracing", "missed_events")),
				 17 * level);
		assert_int_equal(json_array_size(notes), level ? 1 : 0);
		if (level)
			assert_non_null(strstr(json_string_value(json_array_get(notes, 0)),
					       "one pool in 8 is remembered"));
		json_decref(object);
		report_free(report);
	}
}

static void container_and_pid_inside_are_of_the_reports_target(void **state)
{
	struct report_header *header = sample_header();
	struct report_target *target = g_ptr_array_index(header->targets, 0);
	struct report *report = sample_report();
	json_t *objects[2];
	char *text = NULL;
	size_t size;
	FILE *stream;

	(void)state;
	report->pid = target->pid;
	target->cgroup = g_strdup("/docker/web");
	target->container = g_strdup("web");
	target->namespace_pid = 1;
	stream = open_memstream(&text, &size);
	assert_true(json_writer.report(stream, &plain, header, report));
	fclose(stream);
	objects[0] = parse_line(text, size);
	objects[1] = written_header(header);
	for (size_t i = 0; i < 2; i++) {
		json_t *place = i ? json_array_get(at(objects[i], "targets", NULL), 0)
				  : at(objects[i], "process", NULL);

		assert_text(place, "cgroup", "/docker/web");
		assert_text(place, "container", "web");
		assert_int_equal(json_integer_value(at(place, "namespace_pid", NULL)), 1);
		json_decref(objects[i]);
	}
	report->pid++; /* of a process that the header does not know */
	objects[0] = written_report(report);
	assert_true(json_is_null(at(objects[0], "process", "container")));
	assert_true(json_is_null(at(objects[0], "process", "namespace_pid")));
	json_decref(objects[0]);
	report_free(report);
	report_header_free(header);
}

static void every_reason_of_loss_is_there_also_at_zero(void **state)
{
	struct report *report = sample_report();
	json_t *object = written_report(report), *lost = at(object, "tracing", "lost");
	int i;

	(void)state;
	assert_int_equal(json_object_size(lost), LOST_COUNT);
	for (i = 0; i < LOST_COUNT; i++)
		assert_int_equal(json_integer_value(at(lost, lost_reason_name(i), NULL)),
				 i == LOST_STACK_TRUNCATED ? 3 : 0);
	json_decref(object);
	report_free(report);
}

static void a_site_has_the_keys_of_the_contract(void **state)
{
	struct report *report = sample_report();
	json_t *object = written_report(report), *site, *frame;

	(void)state;
	site = json_array_get(at(object, "sites", NULL), 0);
	assert_keys(site, "rank id verdict confidence outstanding_bytes outstanding_blocks "
			  "growth_bytes growth_bytes_per_s growth_bytes_per_s_low "
			  "growth_bytes_per_s_high oldest_age_s family estimated stack");
	assert_int_equal(json_integer_value(at(site, "rank", NULL)), 1);
	assert_int_equal(strlen(json_string_value(at(site, "id", NULL))), 16);
	assert_text(site, "verdict", "growing");
	assert_text(site, "family", "pymalloc");
	assert_true(json_is_false(at(site, "estimated", NULL)));
	assert_int_equal(json_integer_value(at(site, "lead", NULL)), 3);
	assert_text(site, "source", "KEPT.append(json.loads(order))");
	frame = json_array_get(at(site, "stack", NULL), 3);
	assert_keys(frame, "kind function file line");
	assert_int_equal(json_object_size(frame), 4);
	assert_text(frame, "kind", "python");
	assert_text(frame, "function", "handle");
	assert_text(frame, "file", "/srv/shop/app.py");
	assert_int_equal(json_integer_value(at(frame, "line", NULL)), 8);
	json_decref(object);
	report_free(report);
}

static void the_types_of_a_site_are_written(void **state)
{
	struct report *report = sample_report();
	json_t *object = written_report(report), *sites = at(object, "sites", NULL), *site, *type;
	unsigned int known = 0;
	size_t i;

	(void)state;
	json_array_foreach(sites, i, site)
	{
		json_t *types = at(site, "types", NULL);

		if (!json_array_size(types))
			continue;
		known++;
		assert_int_equal(json_array_size(types), 2);
		type = json_array_get(types, 0);
		assert_keys(type, "name blocks bytes");
		assert_text(type, "name", "dict");
		assert_int_equal(json_integer_value(at(type, "blocks", NULL)), 1000);
		assert_int_equal(json_integer_value(at(type, "bytes", NULL)), 240000);
	}
	assert_int_equal(known, 1);
	json_decref(object);
	report_free(report);
}

static void native_frames_and_empty_stacks_are_written(void **state)
{
	struct report *report = sample_report();
	json_t *object = written_report(report), *site, *frame;
	bool empty = false, native = false;
	size_t i;

	(void)state;
	json_array_foreach(at(object, "sites", NULL), i, site)
	{
		frame = json_array_get(at(site, "stack", NULL), 0);
		empty |= !frame;
		if (!frame || strcmp(json_string_value(at(frame, "kind", NULL)), "native"))
			continue;
		native = true;
		assert_keys(frame, "kind function module offset");
		assert_text(frame, "module", "_multiarray_umath.so");
		assert_int_equal(json_integer_value(at(frame, "offset", NULL)), 0x1f40);
	}
	assert_true(empty && native);
	json_decref(object);
	report_free(report);
}

static void no_figure_is_ever_nan_or_infinite(void **state)
{
	static const double bad[] = { NAN, INFINITY, -INFINITY };
	struct report *report = sample_report();
	struct site *site = &g_array_index(report->sites, struct site, 0);
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(bad); i++) {
		json_t *object;

		report->elapsed_s = report->interval_s = report->overhead_pct = bad[i];
		report->coverage = report->growth_bytes_per_s = bad[i];
		site->confidence = site->growth_bytes_per_s = site->oldest_age_s = bad[i];
		site->growth_bytes_per_s_low = site->growth_bytes_per_s_high = bad[i];
		site->survival = site->retention = site->survival_age_s = bad[i];
		report->rss_bytes = UINT64_MAX;
		object = written_report(report);
		assert_true(json_is_real(at(object, "elapsed_s", NULL)));
		assert_true(json_is_null(at(object, "tracing", "coverage")));
		assert_true(json_integer_value(at(object, "process", "rss_bytes")) == INT64_MAX);
		json_decref(object);
	}
	report_free(report);
}

static void names_that_are_no_utf8_become_valid(void **state)
{
	struct report *report = sample_report();
	struct report_header *header = sample_header();
	struct report_target *target = g_ptr_array_index(header->targets, 0);
	struct site *site = &g_array_index(report->sites, struct site, 0);
	json_t *object, *frame;

	(void)state;
	site->stack.frames[0].file = g_intern_string("/srv/\xff\xfe\n\"\\\x01/app.py");
	site->stack.frames[0].function = NULL;
	object = written_report(report);
	frame = json_array_get(at(json_array_get(at(object, "sites", NULL), 0), "stack", NULL), 0);
	assert_text(frame, "file", "/srv/\xef\xbf\xbd\xef\xbf\xbd\n\"\\\x01/app.py");
	assert_text(frame, "function", "");
	json_decref(object);
	g_free(target->cmdline[0]);
	target->cmdline[0] = g_strdup("py\xc3");
	object = written_header(header);
	json_decref(object);
	report_header_free(header);
	report_free(report);
}

static void the_end_says_why(void **state)
{
	const struct report_end end = { -1000, "target_exited" };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	json_t *object;

	(void)state;
	assert_true(json_writer.end(stream, &plain, &end));
	fclose(stream);
	object = parse_line(text, size);
	assert_keys(object, "schema type time reason");
	assert_text(object, "time", "1969-12-31T23:59:59.999Z");
	assert_text(object, "reason", "target_exited");
	json_decref(object);
}

static void a_broken_stream_is_told(void **state)
{
	struct report *report = sample_report();
	FILE *stream = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(stream);
	assert_false(json_writer.report(stream, &plain, NULL, report));
	fclose(stream);
	report_free(report);
}

static void assert_known(json_t *object, json_t *properties, const char *where)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (!json_object_get(properties, key))
			fail_msg("%s.%s is not in docs/report.schema.json", where, key);
	}
}

/* A key that is written but not in the schema, or demanded there and not written, is a mistake in
 * one. */
static void assert_matches_definition(json_t *object, json_t *definitions, const char *name)
{
	json_t *definition = at(definitions, name, NULL), *key;
	size_t i;

	assert_known(object, at(definition, "properties", NULL), name);
	json_array_foreach(at(definition, "required", NULL), i, key)
	{
		assert_non_null(json_object_get(object, json_string_value(key)));
	}
}

static void the_schema_names_every_key(void **state)
{
	json_t *schema = json_load_file("docs/report.schema.json", 0, NULL), *definitions, *reasons;
	struct report *report = sample_report();
	struct report_header *header = sample_header();
	json_t *object = written_report(report), *head = written_header(header);
	size_t i;

	(void)state;
	assert_non_null(schema);
	definitions = at(schema, "definitions", NULL);
	assert_matches_definition(object, definitions, "report");
	assert_matches_definition(at(object, "tracing", NULL), definitions, "tracing");
	assert_matches_definition(json_array_get(at(object, "sites", NULL), 0), definitions,
				  "site");
	assert_matches_definition(head, definitions, "header");
	assert_matches_definition(json_array_get(at(head, "targets", NULL), 0), definitions,
				  "target");
	reasons = at(at(at(definitions, "tracing", "properties"), "lost", NULL), "required", NULL);
	assert_int_equal(json_array_size(reasons), LOST_COUNT);
	for (i = 0; i < LOST_COUNT; i++)
		assert_string_equal(json_string_value(json_array_get(reasons, i)),
				    lost_reason_name(i));
	json_decref(schema);
	json_decref(object);
	json_decref(head);
	report_header_free(header);
	report_free(report);
}

static void formats_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(report_writer_find("json"), &json_writer);
	assert_ptr_equal(report_writer_find("text"), &text_writer);
	assert_ptr_equal(report_writer_find("pprof"), &pprof_writer);
	assert_null(report_writer_find("xml"));
	assert_null(report_writer_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_has_the_keys_of_the_contract),
		cmocka_unit_test(a_report_has_the_keys_of_the_contract),
		cmocka_unit_test(a_sampled_heap_and_missed_events_are_told),
		cmocka_unit_test(container_and_pid_inside_are_of_the_reports_target),
		cmocka_unit_test(every_reason_of_loss_is_there_also_at_zero),
		cmocka_unit_test(a_site_has_the_keys_of_the_contract),
		cmocka_unit_test(the_types_of_a_site_are_written),
		cmocka_unit_test(native_frames_and_empty_stacks_are_written),
		cmocka_unit_test(no_figure_is_ever_nan_or_infinite),
		cmocka_unit_test(names_that_are_no_utf8_become_valid),
		cmocka_unit_test(the_end_says_why),
		cmocka_unit_test(a_broken_stream_is_told),
		cmocka_unit_test(the_schema_names_every_key),
		cmocka_unit_test(formats_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
