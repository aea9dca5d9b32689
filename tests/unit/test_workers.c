// SPDX-License-Identifier: GPL-2.0-or-later
/* --merge-children: who is identical, what their sums are, what becomes of those that exit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "analyse/workers.h"
#include "tests/unit/sample.h"

static char *program[] = { (char *)"python3", (char *)"app.py", NULL };
static struct report_target server = {
	.cmdline = program,
	.exe = (char *)"/usr/bin/python3.11",
	.python_version = (char *)"3.11.2",
};

/* A round of reports with the process that each is on. */
struct round {
	GPtrArray *reports, *targets;
};

static struct round round_new(void)
{
	return (struct round){ g_ptr_array_new(), g_ptr_array_new() };
}

static struct report *add(struct round *round, int32_t pid, int32_t parent,
			  const struct report_target *target)
{
	struct report *report = sample_top_report(10);

	report->pid = pid;
	report->parent_pid = parent;
	g_ptr_array_add(round->reports, report);
	g_ptr_array_add(round->targets, (void *)target);
	return report;
}

static void merge(struct workers *workers, struct round *round)
{
	workers_merge(workers, round->reports, round->targets);
}

static void round_clear(struct round *round)
{
	for (guint i = 0; i < round->reports->len; i++)
		report_free(round->reports->pdata[i]);
	g_ptr_array_unref(round->reports);
	g_ptr_array_unref(round->targets);
}

static struct site *site_of(const struct report *report, guint index)
{
	assert_true(index < report->sites->len);
	return &g_array_index(report->sites, struct site, index);
}

/* The server of pid 10 and its workers, 11 and on, merged to one report. */
static struct report *merged(struct workers *workers, struct round *round)
{
	merge(workers, round);
	assert_int_equal(round->reports->len, 1);
	return round->reports->pdata[0];
}

static void counts_are_added_up_by_stack(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct report *alone = sample_top_report(10), *sum;
	struct round round = round_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&round, 10 + i, i ? 10 : 0, &server);
	sum = merged(workers, &round);
	assert_int_equal(sum->pid, 10);
	assert_int_equal(sum->pids->len, 3);
	assert_int_equal(g_array_index(sum->pids, int32_t, 2), 12);
	assert_int_equal(sum->sites->len, alone->sites->len);
	assert_int_equal(sum->outstanding_bytes, 3 * alone->outstanding_bytes);
	assert_int_equal(sum->rss_bytes, 3 * alone->rss_bytes);
	assert_int_equal(sum->lost[LOST_STACK_TRUNCATED], 3 * alone->lost[LOST_STACK_TRUNCATED]);
	assert_int_equal(sum->families[FAMILY_MALLOC].allocs,
			 3 * alone->families[FAMILY_MALLOC].allocs);
	assert_int_equal(sum->coverage_blocks, 3 * alone->coverage_blocks);
	assert_true(sum->coverage > alone->coverage - 1e-9 &&
		    sum->coverage < alone->coverage + 1e-9);
	for (guint i = 0; i < alone->sites->len; i++) {
		const struct site *one = site_of(alone, i), *all = site_of(sum, i);

		assert_int_equal(all->id, one->id);
		assert_int_equal(all->outstanding_bytes, 3 * one->outstanding_bytes);
		assert_int_equal(all->outstanding_blocks, 3 * one->outstanding_blocks);
		assert_int_equal(all->growth_bytes, 3 * one->growth_bytes);
		assert_int_equal(all->alloc_blocks, 3 * one->alloc_blocks);
		assert_int_equal(all->estimated, one->estimated);
		assert_int_equal(all->stack.count, one->stack.count);
		assert_true(all->growth_share > one->growth_share - 1e-6 &&
			    all->growth_share < one->growth_share + 1e-6);
	}
	round_clear(&round);
	report_free(alone);
	workers_free(workers);
}

static void a_site_of_one_worker_only_is_kept_as_it_is(void **state)
{
	struct workers *workers = workers_new(SORT_BY_BYTES);
	struct round round = round_new();
	struct report *sum;

	(void)state;
	add(&round, 10, 0, &server);
	site_of(add(&round, 11, 10, &server), 1)->id = 77;
	site_of(round.reports->pdata[1], 1)->outstanding_bytes = 1 << 30;
	sum = merged(workers, &round);
	assert_int_equal(sum->sites->len, 6);
	assert_int_equal(sum->sites_total, 6);
	assert_int_equal(site_of(sum, 0)->id, 77);
	assert_int_equal(site_of(sum, 0)->outstanding_bytes, 1 << 30);
	round_clear(&round);
	workers_free(workers);
}

/* Four times as many independent estimates are twice as uncertain, not four times. */
static void variances_add_up(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round round = round_new();
	const struct site *site;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct site *one = site_of(add(&round, 10 + i, i ? 10 : 0, &server), 0);

		one->estimated = i == 3;
		one->judged = true;
		one->growth_bytes_per_s = 100;
		one->growth_bytes_per_s_low = 90;
		one->growth_bytes_per_s_high = 130;
	}
	site = site_of(merged(workers, &round), 0);
	assert_true(site->estimated);
	assert_int_equal(site->growth_bytes_per_s, 400);
	assert_int_equal(site->growth_bytes_per_s_low, 380);
	assert_int_equal(site->growth_bytes_per_s_high, 460);
	round_clear(&round);
	workers_free(workers);
}

struct opinion {
	enum verdict verdict;
	int64_t bytes;
	double confidence;
	bool judged;
};

/* The verdict of sums over workers with these opinions of a site. */
static struct site verdict_of(const struct opinion *opinions, size_t count)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round round = round_new();
	struct site site = { 0 };
	const struct report *sum;
	uint64_t id = 0;

	for (size_t i = 0; i < count; i++) {
		struct site *one = site_of(add(&round, 10 + i, i ? 10 : 0, &server), 0);

		id = one->id;
		one->verdict = opinions[i].verdict;
		one->outstanding_bytes = opinions[i].bytes;
		one->confidence = opinions[i].confidence;
		one->judged = opinions[i].judged;
	}
	sum = merged(workers, &round);
	for (guint i = 0; i < sum->sites->len; i++)
		if (site_of(sum, i)->id == id)
			site = *site_of(sum, i);
	round_clear(&round);
	workers_free(workers);
	return site;
}

static void assert_verdict(const struct opinion *opinions, size_t count, enum verdict verdict,
			   double confidence)
{
	struct site site = verdict_of(opinions, count);

	assert_int_equal(site.verdict, verdict);
	assert_true(site.confidence > confidence - 1e-9 && site.confidence < confidence + 1e-9);
}

static void the_verdict_is_that_of_most_bytes(void **state)
{
	const struct opinion leak[] = { { VERDICT_LEAK, 600, 0.9, true },
					{ VERDICT_LEAK, 200, 0.98, true },
					{ VERDICT_STEADY, 800, 0.7, true } };
	const struct opinion few_leak[] = { { VERDICT_LEAK, 100, 0.99, true },
					    { VERDICT_STEADY, 900, 0.6, true } };
	const struct opinion growing[] = { { VERDICT_LEAK, 300, 0.9, true },
					   { VERDICT_GROWING, 300, 0.8, true },
					   { VERDICT_STEADY, 500, 0.6, true } };
	const struct opinion unheard[] = { { VERDICT_LEAK, 100, 0.95, true },
					   { VERDICT_STEADY, 900, 0, false } };
	const struct opinion split[] = { { VERDICT_GROWING, 400, 0.9, true },
					 { VERDICT_SHRINKING, 400, 0.9, true },
					 { VERDICT_STEADY, 400, 0.6, true } };

	(void)state;
	assert_verdict(leak, 3, VERDICT_LEAK, (600 * 0.9 + 200 * 0.98) / 800);
	assert_verdict(few_leak, 2, VERDICT_STEADY, 0.6);
	assert_verdict(growing, 3, VERDICT_GROWING, 0.85);
	assert_verdict(unheard, 2, VERDICT_LEAK, 0.95);
	assert_verdict(split, 3, VERDICT_STEADY, 0.6);
}

static void other_programs_stay_apart(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	char *other_words[] = { (char *)"python3", (char *)"app.py", (char *)"--debug", NULL };
	struct report_target other = server, elsewhere = server, newer = server;
	struct round round = round_new();

	(void)state;
	other.cmdline = other_words;
	elsewhere.container = (char *)"0123456789ab";
	newer.python_version = (char *)"3.12.1";
	add(&round, 10, 0, &server);
	add(&round, 11, 10, &other);
	add(&round, 12, 0, &elsewhere);
	add(&round, 13, 0, &newer);
	add(&round, 14, 0, NULL);
	add(&round, 15, 0, NULL);
	merge(workers, &round);
	assert_int_equal(round.reports->len, 6);
	for (guint i = 0; i < round.reports->len; i++)
		assert_null(((struct report *)round.reports->pdata[i])->pids);
	round_clear(&round);
	workers_free(workers);
}

/* Their command lines differ by the number of a pipe. */
static void spawned_siblings_are_identical(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct report_target targets[3] = { server, server, server };
	char *words[3][4];
	struct round round = round_new();

	(void)state;
	for (int i = 0; i < 3; i++) {
		words[i][0] = (char *)"python3";
		words[i][1] = (char *)"-c";
		words[i][2] = g_strdup_printf("from multiprocessing.spawn import spawn_main; "
					      "spawn_main(tracker_fd=5, pipe_handle=%d)",
					      7 + i);
		words[i][3] = NULL;
		targets[i].cmdline = words[i];
	}
	add(&round, 20, 10, &targets[0]);
	add(&round, 21, 10, &targets[1]);
	add(&round, 22, 11, &targets[2]);
	merge(workers, &round);
	assert_int_equal(round.reports->len, 2);
	round_clear(&round);
	for (int i = 0; i < 3; i++)
		g_free(words[i][2]);
	workers_free(workers);
}

static void what_an_exited_worker_held_leaves_the_sums_and_what_it_missed_stays(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct report *sum;
	uint64_t lost, allocs;
	int64_t bytes;

	(void)state;
	for (int n = 0; n < 2; n++) {
		struct round round = round_new();

		bytes = add(&round, 10, 0, &server)->outstanding_bytes;
		if (!n)
			add(&round, 11, 10, &server)->exited = true;
		add(&round, 12, 10, &server);
		sum = merged(workers, &round);
		lost = 3 * 3;
		allocs = 3 * 12000;
		assert_int_equal(sum->outstanding_bytes, 2 * bytes);
		assert_int_equal(sum->lost[LOST_STACK_TRUNCATED], lost);
		assert_int_equal(sum->families[FAMILY_PYMALLOC].allocs, allocs);
		assert_int_equal(sum->workers_exited, 1);
		assert_int_equal(sum->seq, n + 1);
		assert_false(sum->exited);
		assert_int_equal(sum->notes->len, n ? 0 : 1);
		round_clear(&round);
	}
	workers_free(workers);
}

static void the_last_of_a_lot_are_shown_once_more(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round round = round_new();
	struct report *sum;
	int64_t bytes;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct report *report = add(&round, 10 + i, i ? 10 : 0, &server);

		report->exited = report->last = true;
		bytes = report->outstanding_bytes;
	}
	sum = merged(workers, &round);
	assert_true(sum->exited && sum->last);
	assert_int_equal(sum->outstanding_bytes, 2 * bytes);
	assert_int_equal(sum->lost[LOST_STACK_TRUNCATED], 2 * 3);
	round_clear(&round);
	workers_free(workers);
}

static void another_takes_the_lead_when_the_parent_exits(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round first = round_new(), second = round_new();

	(void)state;
	/* Pids wrap around: the parent's may be the highest. */
	add(&first, 11, 90, &server);
	add(&first, 12, 90, &server);
	add(&first, 90, 1, &server);
	assert_int_equal(merged(workers, &first)->pid, 90);
	assert_int_equal(workers_replaced(workers)->len, 0);
	add(&second, 11, 90, &server);
	add(&second, 12, 90, &server);
	assert_int_equal(merged(workers, &second)->pid, 11);
	assert_int_equal(workers_replaced(workers)->len, 1);
	assert_int_equal(g_array_index(workers_replaced(workers), int32_t, 0), 90);
	round_clear(&first);
	round_clear(&second);
	workers_free(workers);
}

static void a_process_alone_keeps_its_report(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round round = round_new();
	struct report *report = add(&round, 10, 0, &server);

	(void)state;
	assert_ptr_equal(merged(workers, &round), report);
	assert_non_null(report->curve_points);
	assert_null(report->pids);
	round_clear(&round);
	workers_free(workers);
}

static void watched_ones_add_their_memory_only(void **state)
{
	struct workers *workers = workers_new(SORT_BY_GROWTH);
	struct round round = round_new();
	struct report *traced = add(&round, 10, 0, &server), *watched = g_new0(struct report, 1);
	uint64_t rss = traced->rss_bytes;
	struct report *sum;

	(void)state;
	traced->heap_fraction = 0.25;
	watched->pid = 11;
	watched->parent_pid = 10;
	watched->watched_only = true;
	watched->rss_bytes = 1000;
	watched->coverage = -1;
	watched->sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	watched->notes = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(round.reports, watched);
	g_ptr_array_add(round.targets, &server);
	sum = merged(workers, &round);
	assert_false(sum->watched_only);
	assert_int_equal(sum->rss_bytes, rss + 1000);
	assert_true(sum->budget_scale == 1);
	assert_true(sum->heap_fraction == 0.25);
	assert_int_equal(sum->families[FAMILY_PYMALLOC].mode, FAMILY_MODE_EXACT);
	assert_true(sum->families[FAMILY_PYMALLOC].observed_fraction == 1);
	round_clear(&round);
	workers_free(workers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_added_up_by_stack),
		cmocka_unit_test(a_site_of_one_worker_only_is_kept_as_it_is),
		cmocka_unit_test(variances_add_up),
		cmocka_unit_test(the_verdict_is_that_of_most_bytes),
		cmocka_unit_test(other_programs_stay_apart),
		cmocka_unit_test(spawned_siblings_are_identical),
		cmocka_unit_test(
			what_an_exited_worker_held_leaves_the_sums_and_what_it_missed_stays),
		cmocka_unit_test(the_last_of_a_lot_are_shown_once_more),
		cmocka_unit_test(another_takes_the_lead_when_the_parent_exits),
		cmocka_unit_test(a_process_alone_keeps_its_report),
		cmocka_unit_test(watched_ones_add_their_memory_only),
	};

	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
