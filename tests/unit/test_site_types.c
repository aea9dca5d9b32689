// SPDX-License-Identifier: GPL-2.0-or-later
/* Types of contexts summed up to those of sites, and the words for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/site_types.h"
#include "report/text_types.h"

struct given {
	const char *name;
	double blocks, bytes;
};

static void clear_count(void *element)
{
	g_ref_string_release(((struct type_count *)element)->name);
}

static GArray *counts_of(const struct given *given, size_t count)
{
	GArray *counts = g_array_new(false, false, sizeof(struct type_count));

	g_array_set_clear_func(counts, clear_count);
	for (size_t i = 0; i < count; i++) {
		struct type_count type = { g_ref_string_new_intern(given[i].name), given[i].blocks,
					   given[i].bytes };

		g_array_append_val(counts, type);
	}
	return counts;
}

static void add(struct site_types *types, int64_t blocks, int64_t bytes, const struct given *given,
		size_t count)
{
	const struct snapshot_context context = { .live_blocks = blocks, .live_bytes = bytes };
	g_autoptr(GArray) counts = counts_of(given, count);

	site_types_add(types, &context, counts);
}

static const struct site_type *type_at(const GArray *list, guint i)
{
	return &g_array_index(list, struct site_type, i);
}

static void assert_type(const GArray *list, guint i, const char *name, int64_t blocks,
			int64_t bytes)
{
	assert_true(i < list->len);
	assert_string_equal(type_at(list, i)->name, name);
	assert_int_equal(type_at(list, i)->blocks, blocks);
	assert_int_equal(type_at(list, i)->bytes, bytes);
}

/* A sample of 30 blocks stands for 3,000. */
static void a_sample_is_scaled_to_what_is_outstanding(void **state)
{
	const struct given given[] = { { "str", 20, 1000 }, { "dict", 10, 3000 } };
	struct site_types *types = site_types_new();
	g_autoptr(GArray) list = NULL;

	(void)state;
	add(types, 3000, 400000, given, G_N_ELEMENTS(given));
	list = site_types_finish(types);
	assert_int_equal(list->len, 2);
	assert_type(list, 0, "dict", 1000, 300000);
	assert_type(list, 1, "str", 2000, 100000);
	site_types_free(types);
}

static void contexts_of_a_site_are_summed_up(void **state)
{
	const struct given first[] = { { "dict", 1, 64 } };
	const struct given second[] = { { "dict", 1, 64 }, { "list", 1, 64 } };
	struct site_types *types = site_types_new();
	g_autoptr(GArray) list = NULL;

	(void)state;
	add(types, 10, 640, first, 1);
	add(types, 10, 640, second, 2);
	list = site_types_finish(types);
	assert_type(list, 0, "dict", 15, 960);
	assert_type(list, 1, "list", 5, 320);
	site_types_free(types);
}

static void nothing_known_is_nothing_said(void **state)
{
	const struct snapshot_context context = { .live_blocks = 5, .live_bytes = 500 };
	const struct given none[] = { { "dict", 0, 0 } };
	struct site_types *types = site_types_new();

	(void)state;
	site_types_add(types, &context, NULL);
	add(types, 5, 500, none, 1);
	add(types, -5, -500, none, 1);
	assert_null(site_types_finish(types));
	site_types_free(types);
}

/* A hundred types: the smallest are one line, and nothing gets lost. */
static void many_types_are_cut(void **state)
{
	struct site_types *types = site_types_new();
	g_autoptr(GArray) list = NULL;
	int64_t blocks = 0, bytes = 0;

	(void)state;
	for (int i = 1; i <= 100; i++) {
		g_autofree char *name = g_strdup_printf("app.Class%d", i);
		const struct given given[] = { { name, 1, 16 } };

		add(types, i, 16 * i, given, 1);
	}
	list = site_types_finish(types);
	assert_int_equal(list->len, SITE_TYPES_MOST);
	assert_type(list, 0, "app.Class100", 100, 1600);
	assert_string_equal(type_at(list, list->len - 1)->name, "other types");
	for (guint i = 0; i < list->len; i++) {
		blocks += type_at(list, i)->blocks;
		bytes += type_at(list, i)->bytes;
	}
	assert_int_equal(blocks, 5050);
	assert_int_equal(bytes, 16 * 5050);
	site_types_free(types);
}

/* Figures of a forged or torn snapshot. */
static void absurd_figures_do_no_harm(void **state)
{
	const struct given given[] = { { "dict", 1e-300, 1e300 }, { "list", 1e300, 1e-300 } };
	struct site_types *types = site_types_new();
	g_autoptr(GArray) list = NULL;

	(void)state;
	add(types, INT64_MAX, INT64_MAX, given, 2);
	add(types, 1, INT64_MIN, given, 2);
	list = site_types_finish(types);
	for (guint i = 0; i < list->len; i++) {
		assert_true(type_at(list, i)->blocks > 0);
		assert_true(type_at(list, i)->bytes >= 0);
	}
	site_types_free(types);
}

static char *sentence(const struct given *given, size_t count, bool estimated, bool verbose)
{
	struct site_types *types = site_types_new();
	struct site site = { .estimated = estimated };
	char *text;

	for (size_t i = 0; i < count; i++)
		add(types, (int64_t)given[i].blocks, (int64_t)given[i].bytes, &given[i], 1);
	site.types = site_types_finish(types);
	text = text_types(&site, verbose);
	if (site.types)
		g_array_unref(site.types);
	site_types_free(types);
	return text;
}

static void the_largest_are_named_without_modules(void **state)
{
	const struct given given[] = {
		{ "app.models.Order", 10, 5000 },
		{ "dict", 10, 3000 },
		{ "str", 10, 1900 },
		{ "int", 1, 100 },
	};
	g_autofree char *text = sentence(given, G_N_ELEMENTS(given), false, false);
	g_autofree char *none = sentence(NULL, 0, false, false);

	(void)state;
	assert_string_equal(text, "Order, dict, str. ");
	assert_string_equal(none, "");
}

static void two_of_one_name_are_told_apart(void **state)
{
	const struct given given[] = { { "shop.Order", 10, 5000 }, { "bank.Order", 10, 4000 } };
	g_autofree char *text = sentence(given, G_N_ELEMENTS(given), false, false);

	(void)state;
	assert_string_equal(text, "shop.Order, bank.Order. ");
}

static void all_is_said_when_asked_for(void **state)
{
	const struct given given[] = { { "app.Order", 2000, 2 << 20 }, { "str", 1, 64 } };
	g_autofree char *text = sentence(given, G_N_ELEMENTS(given), true, true);

	(void)state;
	assert_string_equal(text, "app.Order (~2.0 MiB in ~2,000), str (~64 B in ~1). ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_is_scaled_to_what_is_outstanding),
		cmocka_unit_test(contexts_of_a_site_are_summed_up),
		cmocka_unit_test(nothing_known_is_nothing_said),
		cmocka_unit_test(many_types_are_cut),
		cmocka_unit_test(absurd_figures_do_no_harm),
		cmocka_unit_test(the_largest_are_named_without_modules),
		cmocka_unit_test(two_of_one_name_are_told_apart),
		cmocka_unit_test(all_is_said_when_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
