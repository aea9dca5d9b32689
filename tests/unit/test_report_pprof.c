// SPDX-License-Identifier: GPL-2.0-or-later
/* The pprof profile, unpacked again: every index and id leads somewhere, and sums are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "report/profile.pb-c.h"
#include "report/writer.h"
#include "tests/unit/sample.h"

enum { LARGEST = 1 << 20, INUSE_SPACE = 3 };

static Pyleak__Profile *unpacked(const GPtrArray *reports)
{
	g_autofree uint8_t *bytes = g_malloc(LARGEST);
	z_stream stream = { .next_out = bytes, .avail_out = LARGEST };
	Pyleak__Profile *profile;
	size_t size;
	char *packed = written_document(&pprof_writer, reports, &size);

	assert_true(size > 2 && packed[0] == '\x1f' && packed[1] == '\x8b');
	stream.next_in = (uint8_t *)packed;
	stream.avail_in = size;
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	free(packed);
	profile = pyleak__profile__unpack(NULL, stream.total_out, bytes);
	assert_non_null(profile);
	return profile;
}

static const char *string_at(const Pyleak__Profile *profile, int64_t index)
{
	assert_true(index >= 0 && (size_t)index < profile->n_string_table);
	return profile->string_table[index];
}

/* The function of a location, by position in @sample; -1 is the root. */
static const Pyleak__Function *function_at(const Pyleak__Profile *profile,
					   const Pyleak__Sample *sample, int position)
{
	size_t i = position < 0 ? sample->n_location_id - 1 : (size_t)position;
	const Pyleak__Location *location = profile->location[sample->location_id[i] - 1];

	return profile->function[location->line[0]->function_id - 1];
}

/* As strictly as go tool pprof does (profile.CheckValid), and ids are positions. */
static void assert_sound(const Pyleak__Profile *profile)
{
	size_t i, j;

	assert_string_equal(profile->string_table[0], "");
	for (i = 0; i < profile->n_string_table; i++)
		assert_true(g_utf8_validate(profile->string_table[i], -1, NULL));
	for (i = 0; i < profile->n_function; i++) {
		assert_int_equal(profile->function[i]->id, i + 1);
		string_at(profile, profile->function[i]->name);
		string_at(profile, profile->function[i]->filename);
	}
	for (i = 0; i < profile->n_mapping; i++)
		assert_int_equal(profile->mapping[i]->id, i + 1);
	for (i = 0; i < profile->n_location; i++) {
		const Pyleak__Location *location = profile->location[i];

		assert_int_equal(location->id, i + 1);
		assert_in_range(location->mapping_id, 1, profile->n_mapping);
		assert_int_equal(location->n_line, 1);
		assert_in_range(location->line[0]->function_id, 1, profile->n_function);
		assert_true(location->line[0]->line >= 0);
	}
	for (i = 0; i < profile->n_sample; i++) {
		const Pyleak__Sample *sample = profile->sample[i];

		assert_int_equal(sample->n_value, profile->n_sample_type);
		assert_true(sample->n_location_id > 0);
		for (j = 0; j < sample->n_location_id; j++)
			assert_in_range(sample->location_id[j], 1, profile->n_location);
		for (j = 0; j < sample->n_value; j++)
			assert_true(sample->value[j] >= 0);
		assert_true(sample->value[0] >= sample->value[2]);
		assert_true(sample->value[1] >= sample->value[3]);
	}
}

static int64_t in_use(const Pyleak__Profile *profile)
{
	int64_t sum = 0;

	for (size_t i = 0; i < profile->n_sample; i++)
		sum += profile->sample[i]->value[INUSE_SPACE];
	return sum;
}

static void sample_types_are_those_of_go(void **state)
{
	static const char *const types[] = { "alloc_objects", "alloc_space", "inuse_objects",
					     "inuse_space" };
	static const char *const units[] = { "count", "bytes", "count", "bytes" };
	g_autoptr(GPtrArray) reports = reports_of(sample_top_report(10));
	Pyleak__Profile *profile = unpacked(reports);
	size_t i;

	(void)state;
	assert_int_equal(profile->n_sample_type, G_N_ELEMENTS(types));
	for (i = 0; i < G_N_ELEMENTS(types); i++) {
		assert_string_equal(string_at(profile, profile->sample_type[i]->type), types[i]);
		assert_string_equal(string_at(profile, profile->sample_type[i]->unit), units[i]);
	}
	assert_string_equal(string_at(profile, profile->default_sample_type), "inuse_space");
	assert_string_equal(string_at(profile, profile->period_type->type), "space");
	assert_int_equal(profile->period, 1);
	assert_int_equal(profile->duration_nanos, 10000000000);
	assert_int_equal(profile->time_nanos, 1795233610123000000);
	pyleak__profile__free_unpacked(profile, NULL);
}

static void a_site_is_a_sample_leaf_first(void **state)
{
	g_autoptr(GPtrArray) reports = reports_of(sample_top_report(10));
	Pyleak__Profile *profile = unpacked(reports);
	const Pyleak__Sample *leak = NULL;
	const Pyleak__Location *leaf;
	size_t i;

	(void)state;
	assert_sound(profile);
	assert_int_equal(profile->n_sample, 5);
	for (i = 0; i < profile->n_sample; i++)
		if (profile->sample[i]->n_location_id == 6)
			leak = profile->sample[i];
	assert_non_null(leak);
	assert_string_equal(string_at(profile, function_at(profile, leak, 0)->name),
			    "JSONDecoder.raw_decode");
	assert_string_equal(string_at(profile, function_at(profile, leak, -1)->name), "run");
	assert_string_equal(string_at(profile, function_at(profile, leak, -1)->filename),
			    "/srv/shop/worker.py");
	leaf = profile->location[leak->location_id[0] - 1];
	assert_int_equal(leaf->line[0]->line, 353);
	/* sample.h: 1500 blocks of 240 bytes live, 3010 were allocated. */
	assert_int_equal(leak->value[0], 3010);
	assert_int_equal(leak->value[1], 3010 * 240);
	assert_int_equal(leak->value[2], 1500);
	assert_int_equal(leak->value[3], 1500 * 240);
	pyleak__profile__free_unpacked(profile, NULL);
}

static void frames_that_are_the_same_are_there_once(void **state)
{
	g_autoptr(GPtrArray) reports = reports_of(sample_top_report(10));
	Pyleak__Profile *profile = unpacked(reports);
	size_t i, runs = 0;

	(void)state;
	for (i = 0; i < profile->n_function; i++)
		runs += !strcmp(string_at(profile, profile->function[i]->name), "run");
	assert_int_equal(runs, 1);
	/* worker.py:77 stands in three stacks; serve is one function on three lines. */
	assert_int_equal(profile->n_location, 13);
	assert_int_equal(profile->n_mapping, 2);
	pyleak__profile__free_unpacked(profile, NULL);
}

static void sums_are_right_however_few_sites_are_shown(void **state)
{
	uint32_t top;

	(void)state;
	for (top = 0; top < 7; top++) {
		struct report *report = sample_top_report(top);
		g_autoptr(GPtrArray) reports = reports_of(report);
		Pyleak__Profile *profile = unpacked(reports);

		assert_sound(profile);
		assert_int_equal(in_use(profile), report->outstanding_bytes);
		pyleak__profile__free_unpacked(profile, NULL);
	}
}

static bool has_pid(const Pyleak__Profile *profile, const Pyleak__Sample *sample, int64_t pid)
{
	for (size_t i = 0; i < sample->n_label; i++)
		if (!strcmp(string_at(profile, sample->label[i]->key), "pid"))
			return sample->label[i]->num == pid;
	return false;
}

static void processes_are_told_apart_by_a_label(void **state)
{
	struct report *other = sample_top_report(10);
	g_autoptr(GPtrArray) reports = reports_of(other);
	Pyleak__Profile *profile;
	size_t i, first = 0, second = 0;

	(void)state;
	other->pid = 7;
	g_ptr_array_add(reports, sample_top_report(10));
	profile = unpacked(reports);
	assert_sound(profile);
	for (i = 0; i < profile->n_sample; i++) {
		first += has_pid(profile, profile->sample[i], 7);
		second += has_pid(profile, profile->sample[i], 4242);
	}
	assert_true(first == 5 && second == 5 && profile->n_sample == 10);
	assert_int_equal(profile->n_comment, 2);
	pyleak__profile__free_unpacked(profile, NULL);
}

static void hostile_names_and_figures_stay_a_sound_profile(void **state)
{
	static const char *const names[] = { NULL, "", "\xff\xfe\x80", "a\nb;\x01",
					     "[other sites]" };
	struct report *report = sample_top_report(10);
	g_autoptr(GPtrArray) reports = reports_of(report);
	size_t i, j;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(names); i++) {
		Pyleak__Profile *profile;

		for (j = 0; j < report->sites->len; j++) {
			struct site *site = &g_array_index(report->sites, struct site, j);

			site->outstanding_bytes = -5;
			site->outstanding_blocks = INT64_MIN;
			if (!site->stack.count)
				continue;
			site->stack.frames[0].function = names[i];
			site->stack.frames[0].file = names[i];
			site->stack.frames[0].line = INT32_MIN;
		}
		profile = unpacked(reports);
		assert_sound(profile);
		pyleak__profile__free_unpacked(profile, NULL);
	}
}

static void no_process_is_an_empty_profile(void **state)
{
	g_autoptr(GPtrArray) reports = g_ptr_array_new();
	Pyleak__Profile *profile = unpacked(reports);

	(void)state;
	assert_sound(profile);
	assert_int_equal(profile->n_sample, 0);
	pyleak__profile__free_unpacked(profile, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sample_types_are_those_of_go),
		cmocka_unit_test(a_site_is_a_sample_leaf_first),
		cmocka_unit_test(frames_that_are_the_same_are_there_once),
		cmocka_unit_test(sums_are_right_however_few_sites_are_shown),
		cmocka_unit_test(processes_are_told_apart_by_a_label),
		cmocka_unit_test(hostile_names_and_figures_stay_a_sound_profile),
		cmocka_unit_test(no_process_is_an_empty_profile),
	};

	return cmocka_run_group_tests_name("pprof", tests, NULL, NULL);
}
