// SPDX-License-Identifier: GPL-2.0-or-later
/* The latest reports: a view shows one moment and keeps it, whatever other threads put and remove.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "report/latest.h"
#include "tests/unit/sample.h"

enum { WRITES = 2000, TARGETS = 7, READERS = 3 };

static struct report *report_of(int32_t pid, uint64_t seq)
{
	struct report *report = sample_top_report(3);

	report->pid = pid;
	report->seq = seq;
	return report;
}

static const struct report *report_at(const struct latest_view *view, guint i)
{
	return g_ptr_array_index(view->reports, i);
}

static void a_later_report_takes_the_place_of_the_one_before(void **state)
{
	struct latest *latest = latest_new();
	struct latest_view *before, *after;

	(void)state;
	latest_put(latest, report_of(9, 1), NULL);
	latest_put(latest, report_of(4, 1), NULL);
	before = latest_view(latest);
	latest_put(latest, report_of(9, 2), NULL);
	latest_remove(latest, 4);
	latest_remove(latest, 12345);
	after = latest_view(latest);
	assert_true(after->generation > before->generation);
	assert_int_equal(after->generation, latest_generation(latest));
	assert_int_equal(after->reports->len, 1);
	assert_int_equal(report_at(after, 0)->seq, 2);
	latest_view_free(after);
	latest_free(latest);
	/* Still whole, although neither is among the latest any more, nor is there such a thing. */
	assert_int_equal(before->reports->len, 2);
	assert_int_equal(report_at(before, 0)->pid, 4);
	assert_int_equal(report_at(before, 1)->seq, 1);
	assert_true(report_at(before, 1)->sites->len > 0);
	latest_view_free(before);
}

static void a_view_knows_header_and_targets(void **state)
{
	struct latest *latest = latest_new();
	struct report_header *header = sample_header();
	const struct report_target *target;
	struct latest_view *view;

	(void)state;
	latest_set_header(latest, header);
	latest_put(latest, report_of(4242, 1), header->targets->pdata[0]);
	latest_put(latest, report_of(5000, 1), NULL);
	report_header_free(header);
	view = latest_view(latest);
	assert_string_equal(view->header.host, "shop-1");
	assert_int_equal(view->header.option_names->len, 1);
	assert_int_equal(view->header.targets->len, 2);
	target = view->header.targets->pdata[0];
	assert_string_equal(target->python_version, "3.11.2");
	assert_string_equal(target->cmdline[2], "shop/app.py");
	target = view->header.targets->pdata[1];
	assert_int_equal(target->pid, 5000);
	assert_null(target->cmdline);
	assert_int_equal(view->beat_us, 0);
	latest_beat(latest);
	latest_view_free(view);
	view = latest_view(latest);
	assert_true(view->beat_us > 0);
	latest_view_free(view);
	latest_free(latest);
}

struct shared {
	struct latest *latest;
	int done, looks;
};

/* Every view is of one moment: pids in order and once each, a sequence that never goes back. */
static void *read_views(void *data)
{
	struct shared *shared = data;
	uint64_t seen[TARGETS] = { 0 }, generation = 0;

	while (!g_atomic_int_get(&shared->done)) {
		struct latest_view *view = latest_view(shared->latest);
		int32_t last = -1;

		g_assert_cmpuint(view->generation, >=, generation);
		generation = view->generation;
		for (guint i = 0; i < view->reports->len; i++) {
			const struct report *report = report_at(view, i);

			g_assert_cmpint(report->pid, >, last);
			last = report->pid;
			g_assert_cmpuint(report->seq, >=, seen[last]);
			seen[last] = report->seq;
			g_assert_cmpuint(report->sites->len, ==, 3);
		}
		latest_view_free(view);
		g_atomic_int_inc(&shared->looks);
	}
	return NULL;
}

static void readers_see_whole_moments_while_reports_change(void **state)
{
	struct shared shared = { .latest = latest_new() };
	GThread *threads[READERS];
	uint64_t i;

	(void)state;
	for (i = 0; i < READERS; i++)
		threads[i] = g_thread_new("reader", read_views, &shared);
	for (i = 1; i <= WRITES || g_atomic_int_get(&shared.looks) < READERS; i++) {
		if (i % 11)
			latest_put(shared.latest, report_of((int32_t)(i % TARGETS), i), NULL);
		else
			latest_remove(shared.latest, (int32_t)(i / 11 % TARGETS));
	}
	g_atomic_int_set(&shared.done, 1);
	for (i = 0; i < READERS; i++)
		g_thread_join(threads[i]);
	latest_free(shared.latest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_later_report_takes_the_place_of_the_one_before),
		cmocka_unit_test(a_view_knows_header_and_targets),
		cmocka_unit_test(readers_see_whole_moments_while_reports_change),
	};

	return cmocka_run_group_tests_name("latest", tests, NULL, NULL);
}
