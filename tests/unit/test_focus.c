// SPDX-License-Identifier: GPL-2.0-or-later
/* Windows on the size classes that grow: which sites they arm, and that what they see is weighed
 * without bias. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "trace/focus.h"

enum {
	ALIGNMENT = 16,
	SITES = 6,
	GENERIC = 0, /* serves all classes, most of them not the one that grows */
	BYTES = 1,   /* serves one class: the one that grows */
	HOT = 2,     /* serves another one, and most of all births */
	RARE = 3,    /* little is known of it */
	SILENT = 4,  /* nothing is */
	IMPURE = 5,  /* serves the growing class, too, but has not been seen to */
	LARGE_BYTES = 128,
	SMALL_BYTES = 48,
};

static uint32_t class_of(uint32_t size)
{
	return size / ALIGNMENT - 1;
}

static void learn(struct focus *focus, uint16_t site, uint32_t size, uint32_t count)
{
	const struct birth birth = { .site = site, .size = size };

	while (count--)
		focus_learn(focus, &birth, 1);
}

/* As of a program that mostly allocates 48 bytes. */
static void learn_experience(struct focus *focus)
{
	learn(focus, HOT, SMALL_BYTES, 6000);
	learn(focus, GENERIC, SMALL_BYTES, 2970);
	learn(focus, GENERIC, LARGE_BYTES, 30);
	learn(focus, BYTES, LARGE_BYTES, 970);
	learn(focus, RARE, 64, 30);
	learn(focus, IMPURE, 80, 300);
}

static struct focus *experienced(void)
{
	struct focus *focus = focus_new(SITES, NULL, ALIGNMENT);

	learn_experience(focus);
	return focus;
}

static void grow(struct focus *focus, uint32_t size, int64_t bytes)
{
	int64_t growth[FOCUS_CLASSES] = { 0 };

	growth[class_of(size)] = bytes;
	focus_set_growth(focus, growth);
}

/* At all looks that are remembered. */
static void grow_for_good(struct focus *focus, uint32_t size, int64_t bytes)
{
	for (int i = 0; i < 3; i++)
		grow(focus, size, bytes);
}

static bool sees(const struct focus_view *view, const struct birth *birth)
{
	return !(view->skipped_classes >> class_of(birth->size) & 1) &&
	       (!view->sites || view->sites[birth->site]);
}

static void everything_is_seen_while_little_is_known(void **state)
{
	const struct birth birth = { .site = BYTES, .size = LARGE_BYTES };
	struct focus *focus = focus_new(SITES, NULL, ALIGNMENT);
	struct focus_view view;

	(void)state;
	grow_for_good(focus, LARGE_BYTES, 100 << 20);
	focus_draw(focus, 0, &view);
	assert_true(!view.skipped_classes && !view.sites && view.armed == SITES);
	assert_true(focus_chance(focus, &birth) == 1);
	focus_free(focus);
	/* Births are known, but nothing has grown. */
	focus = experienced();
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	grow_for_good(focus, LARGE_BYTES, 10 << 10);
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	focus_free(focus);
}

static void sites_are_armed_that_mostly_serve_what_grows(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	grow_for_good(focus, LARGE_BYTES, 5 << 20);
	focus_draw(focus, 0, &view);
	assert_int_equal(view.skipped_classes, ~(1ULL << class_of(LARGE_BYTES)));
	assert_true(view.sites[BYTES]);
	assert_false(view.sites[GENERIC] || view.sites[HOT] || view.sites[IMPURE]);
	/* Some windows go on to see everything. */
	focus_draw(focus, 0.9999, &view);
	assert_true(!view.skipped_classes && !view.sites);
	focus_free(focus);
}

/* What leaks may be rare. But most sites are silent, and all of them would cost more than they
 * tell. */
static void sites_of_which_little_is_known_are_armed_in_turn(void **state)
{
	enum { LOTS = 3000 };
	struct focus *focus = experienced();
	struct birth rare = { .site = RARE, .size = LARGE_BYTES };
	struct birth silent = { .site = SILENT, .size = LARGE_BYTES };
	struct birth bytes = { .site = BYTES, .size = LARGE_BYTES };
	unsigned int focused = 0, rares = 0, silents = 0, both = 0;

	(void)state;
	grow_for_good(focus, LARGE_BYTES, 5 << 20);
	for (int i = 0; i < LOTS; i++) {
		struct focus_view view;
		uint32_t armed = 0;

		focus_draw(focus, (i + 0.5) / LOTS, &view);
		if (!view.skipped_classes)
			continue;
		for (uint32_t site = 0; site < SITES; site++)
			armed += view.sites[site];
		assert_int_equal(view.armed, armed);
		focused++;
		rares += view.sites[RARE];
		silents += view.sites[SILENT];
		both += view.sites[RARE] && view.sites[SILENT];
	}
	assert_true(focused > LOTS / 2);
	assert_in_range(rares, focused / 5, focused / 2);
	assert_in_range(silents, focused / 5, focused / 2);
	assert_int_equal(both, 0);
	/* Whatever it is that they are seen by counts as often. */
	assert_true(fabs(focus_chance(focus, &rare) * LOTS - (LOTS - focused + rares)) < 2);
	assert_true(fabs(focus_chance(focus, &silent) * LOTS - (LOTS - focused + silents)) < 2);
	assert_true(focus_chance(focus, &bytes) == 1);
	focus_free(focus);
}

/* By their code they serve another class. */
static void silent_sites_that_serve_something_else_are_left_out(void **state)
{
	int classes[SITES] = { -1, -1, -1, -1, -1, -1 };
	struct birth silent = { .site = SILENT, .size = LARGE_BYTES };
	struct focus *focus;
	unsigned int with_silent;

	(void)state;
	for (int right = 0; right < 2; right++) {
		classes[SILENT] = right ? (int)class_of(LARGE_BYTES) : 1;
		focus = focus_new(SITES, classes, ALIGNMENT);
		learn_experience(focus);
		grow_for_good(focus, LARGE_BYTES, 5 << 20);
		with_silent = 0;
		for (int i = 0; i < 100; i++) {
			struct focus_view view;

			focus_draw(focus, i / 100., &view);
			with_silent += view.skipped_classes && view.sites[SILENT];
		}
		assert_int_equal(with_silent > 0, right);
		/* Where the code was misread, windows that see everything still see it. */
		assert_true(focus_chance(focus, &silent) > 0.1);
		focus_free(focus);
	}
}

static void memory_that_goes_up_and_down_is_no_growth(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	grow(focus, LARGE_BYTES, 0);
	grow(focus, LARGE_BYTES, 50 << 20);
	grow(focus, LARGE_BYTES, 50 << 20);
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	/* Five looks count, the first one among them. */
	grow(focus, LARGE_BYTES, 51 << 20);
	grow(focus, LARGE_BYTES, 51 << 20);
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	grow(focus, LARGE_BYTES, 51 << 20);
	focus_draw(focus, 0, &view);
	assert_true(view.skipped_classes);
	grow(focus, LARGE_BYTES, -(50 << 20));
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	focus_free(focus);
}

/* Windows that see everything cost most: among focused ones they are shorter. */
static void windows_that_see_everything_are_shorter_among_focused_ones(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	focus_draw(focus, 0.99, &view);
	assert_true(view.length == 1); /* none are focused, for nothing has grown */
	grow_for_good(focus, LARGE_BYTES, 4 << 20);
	focus_draw(focus, 0, &view);
	assert_true(view.skipped_classes);
	assert_true(view.length == 1);
	focus_draw(focus, 0.99, &view);
	assert_false(view.skipped_classes);
	assert_true(view.length > 0 && view.length < 1);
	focus_free(focus);
}

static void what_most_births_are_of_is_not_focused_on(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	grow_for_good(focus, SMALL_BYTES, 4 << 20);
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	focus_free(focus);
}

/* Nobody has seen a birth of the class: any site that is not known to serve a single one. */
static void of_an_unknown_class_every_site_that_serves_several(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	grow_for_good(focus, 400, 4 << 20);
	focus_draw(focus, 0, &view);
	assert_int_equal(view.skipped_classes, ~(1ULL << class_of(400)));
	assert_true(view.sites[GENERIC]);
	assert_false(view.sites[HOT] || view.sites[BYTES] || view.sites[IMPURE]);
	focus_free(focus);
}

/*
 * Windows as they are drawn, each of the same length, on births from a site that is armed in
 * focused ones and from one that is not: weighed by their chances both come out right.
 */
static void births_are_weighed_without_bias(void **state)
{
	static const struct birth births[] = { { .site = BYTES, .size = LARGE_BYTES },
					       { .site = GENERIC, .size = LARGE_BYTES },
					       { .site = IMPURE, .size = LARGE_BYTES },
					       { .site = HOT, .size = SMALL_BYTES },
					       { .site = SILENT, .size = LARGE_BYTES } };
	enum { WINDOWS = 40000 };
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	struct focus *focus = experienced();
	double sums[G_N_ELEMENTS(births)] = { 0 }, seen[G_N_ELEMENTS(births)] = { 0 };

	(void)state;
	for (int i = 0; i < WINDOWS; i++) {
		struct focus_view view;

		/* Another class grows as well, in turn more and less. */
		int64_t growth[FOCUS_CLASSES] = { 0 };

		growth[class_of(LARGE_BYTES)] = 4 << 20;
		growth[class_of(64)] = (i / 100 % 8) << 20;
		focus_set_growth(focus, growth);
		focus_draw(focus, g_rand_double(random), &view);
		for (size_t k = 0; k < G_N_ELEMENTS(births); k++)
			if (sees(&view, &births[k])) {
				sums[k] += 1 / focus_chance(focus, &births[k]);
				seen[k]++;
			}
	}
	for (size_t k = 0; k < G_N_ELEMENTS(births); k++)
		assert_true(fabs(sums[k] / WINDOWS - 1) < 0.06);
	/* And that is what it is for. */
	assert_true(seen[0] > 2.5 * seen[3]);
	assert_true(seen[3] > 0.1 * WINDOWS);
	focus_free(focus);
}

static void births_that_cannot_be_are_left_out(void **state)
{
	const struct birth odd[] = { { .site = SITES, .size = 64 },
				     { .site = UINT16_MAX, .size = 64 },
				     { .site = 0, .size = 0 },
				     { .site = 0, .size = UINT32_MAX } };
	struct focus *focus = focus_new(SITES, NULL, ALIGNMENT);
	struct focus_view view;

	(void)state;
	for (int i = 0; i < 1000; i++)
		focus_learn(focus, odd, G_N_ELEMENTS(odd));
	grow_for_good(focus, 64, 4 << 20);
	focus_draw(focus, 0, &view);
	assert_false(view.skipped_classes);
	for (size_t i = 0; i < G_N_ELEMENTS(odd); i++)
		assert_true(focus_chance(focus, &odd[i]) == 1);
	focus_free(focus);
	focus_free(NULL);
}

/* Sums that ran over would make a hot site look like a rare one. */
static void old_births_are_forgotten(void **state)
{
	struct focus *focus = experienced();
	struct focus_view view;

	(void)state;
	/* The program has changed: what served the class does something else now. */
	learn(focus, BYTES, SMALL_BYTES, 1 << 20);
	learn(focus, RARE, LARGE_BYTES, 1 << 12);
	grow_for_good(focus, LARGE_BYTES, 4 << 20);
	focus_draw(focus, 0, &view);
	assert_true(view.skipped_classes);
	assert_true(view.sites[RARE]);
	assert_false(view.sites[BYTES]);
	focus_free(focus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_seen_while_little_is_known),
		cmocka_unit_test(sites_are_armed_that_mostly_serve_what_grows),
		cmocka_unit_test(sites_of_which_little_is_known_are_armed_in_turn),
		cmocka_unit_test(silent_sites_that_serve_something_else_are_left_out),
		cmocka_unit_test(memory_that_goes_up_and_down_is_no_growth),
		cmocka_unit_test(windows_that_see_everything_are_shorter_among_focused_ones),
		cmocka_unit_test(what_most_births_are_of_is_not_focused_on),
		cmocka_unit_test(of_an_unknown_class_every_site_that_serves_several),
		cmocka_unit_test(births_are_weighed_without_bias),
		cmocka_unit_test(births_that_cannot_be_are_left_out),
		cmocka_unit_test(old_births_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
