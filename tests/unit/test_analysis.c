// SPDX-License-Identifier: GPL-2.0-or-later
/* From snapshots to reports: who leads, what is one site, what comes first. Verdicts:
 * test_verdict_simulated.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "analyse/frame_rank.h"
#include "analyse/group.h"
#include "analyse/history.h"
#include "analyse/lead.h"
#include "tests/unit/sample.h"

static const struct site *site_at(const struct report *report, guint index)
{
	assert_true(index < report->sites->len);
	return &g_array_index(report->sites, struct site, index);
}

static void assert_lead(const struct site *site, const char *file, int line)
{
	assert_true(site->lead < site->stack.count);
	assert_string_equal(site->stack.frames[site->lead].file, file);
	assert_int_equal(site->stack.frames[site->lead].line, line);
}

static void the_line_that_grows_most_comes_first(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct report *report = report_on_sample(&options, SAMPLE_SNAPSHOTS);
	const struct site *site = site_at(report, 0);

	(void)state;
	assert_int_equal(report->sites_total, 5);
	assert_int_equal(site->outstanding_blocks, 9000);
	assert_int_equal(site->outstanding_bytes, 9000 * 240);
	assert_int_equal(site->growth_bytes, site->outstanding_bytes);
	assert_int_equal(site->interval_growth_bytes, 1500 * 240);
	assert_true(fabs(site->growth_bytes_per_s - 9000 * 240 / 60.0) < 1e-6);
	assert_int_equal(site->verdict, VERDICT_LEAK);
	assert_lead(site, "/srv/shop/app.py", 8);
	assert_string_equal(site->source, "KEPT.append(json.loads(order))");
	assert_int_equal(site->intervals, 6);
	assert_int_equal(site->intervals_grown, 6);
	assert_true(site->survival == 1);
	assert_true(fabs(site->retention - 1) < 0.01);
	assert_true(fabs(site->oldest_age_s - 59) < 1e-6);
	assert_false(site->estimated);
	report_free(report);
}

/* 4,096 bytes an interval give or take a quarter: 24,576 in 60 s. */
static void an_estimate_widens_the_interval_of_its_growth(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct report *report = report_on_sample(&options, SAMPLE_SNAPSHOTS);
	guint i, estimated = 0;

	(void)state;
	for (i = 0; i < report->sites->len; i++) {
		const struct site *site = site_at(report, i);

		if (!site->estimated)
			continue;
		estimated++;
		assert_true(fabs(site->growth_bytes_per_s_low - 0.75 * 24576 / 60) < 1e-6);
		assert_true(fabs(site->growth_bytes_per_s_high - 1.25 * 24576 / 60) < 1e-6);
	}
	assert_int_equal(estimated, 1);
	report_free(report);
}

static void totals_are_of_all_sites_not_only_of_those_shown(void **state)
{
	const struct analysis_options options = { .top = 1 };
	struct report *report = report_on_sample(&options, 1);

	(void)state;
	assert_int_equal(report->sites->len, 1);
	assert_int_equal(report->sites_total, 5);
	assert_int_equal(report->outstanding_blocks, 1500 + 2 + 4096 + 1 + 1);
	assert_int_equal(report->outstanding_bytes,
			 1500 * 240 + 2 * 80000 + 4096 * 64 + 65536 + 4096);
	assert_true(report->growth_bytes_per_s == report->growth_bytes / 10.0);
	assert_int_equal(report->rss_growth_bytes, 3 << 20);
	assert_true(report->elapsed_s == 10 && report->interval_s == 10);
	report_free(report);
}

static void sites_are_ordered_by_what_is_asked(void **state)
{
	struct analysis_options options = { .top = 10, .sort_by = SORT_BY_BLOCKS };
	struct report *report = report_on_sample(&options, 1);

	(void)state;
	assert_int_equal(site_at(report, 0)->outstanding_blocks, 4096);
	assert_int_equal(site_at(report, 1)->outstanding_blocks, 1500);
	report_free(report);
	options.sort_by = SORT_BY_BYTES;
	report = report_on_sample(&options, 1);
	assert_int_equal(site_at(report, 0)->outstanding_bytes, 360000);
	assert_int_equal(site_at(report, 1)->outstanding_bytes, 262144);
	assert_int_equal(site_at(report, 2)->outstanding_bytes, 160000);
	report_free(report);
}

static void groups_sum_over_their_stacks(void **state)
{
	struct analysis_options options = { .top = 10, .group_by = GROUP_BY_LINE };
	struct report *report = report_on_sample(&options, 1);
	const struct site *site = site_at(report, 2);

	(void)state;
	/* The line of Chart.render leads two stacks, one of them with a native leaf. */
	assert_int_equal(report->sites_total, 4);
	assert_int_equal(site->outstanding_bytes, 2 * 80000 + 4096);
	assert_int_equal(site->family, FAMILY_MALLOC);
	assert_int_equal(site->stack.count, 1);
	assert_lead(site, "/srv/shop/report.py", 21);
	report_free(report);

	options.group_by = GROUP_BY_FUNCTION;
	report = report_on_sample(&options, 1);
	assert_string_equal(site_at(report, 0)->stack.frames[0].function, "handle");
	assert_int_equal(site_at(report, 0)->stack.frames[0].line, 0);
	report_free(report);

	options.group_by = GROUP_BY_FILE;
	report = report_on_sample(&options, 1);
	assert_string_equal(site_at(report, 0)->stack.frames[0].file, "/srv/shop/app.py");
	assert_null(site_at(report, 0)->stack.frames[0].function);
	report_free(report);

	options.group_by = GROUP_BY_MODULE;
	report = report_on_sample(&options, 1);
	assert_int_equal(report->sites_total, 2); /* the shop, and no frame at all */
	assert_string_equal(site_at(report, 0)->stack.frames[0].file, "/srv/shop");
	report_free(report);
}

static void globs_decide_who_leads(void **state)
{
	char *include[] = { "*/json/*", NULL }, *exclude[] = { "app.py", NULL };
	struct analysis_options options = { .top = 10, .include = include };
	struct report *report = report_on_sample(&options, 1);

	(void)state;
	assert_lead(site_at(report, 0), "/usr/lib/python3.11/json/decoder.py", 353);
	report_free(report);
	options.include = NULL;
	options.exclude = exclude;
	report = report_on_sample(&options, 1);
	assert_lead(site_at(report, 0), "/srv/shop/worker.py", 77);
	report_free(report);
}

static uint32_t lead_of(const struct stack *stack)
{
	struct known_frames *known = known_frames_new(NULL, NULL);
	uint32_t lead = stack_lead(stack, known);

	assert_int_equal(stack_lead(stack, known), lead);
	known_frames_free(known);
	return lead;
}

static void the_users_own_code_leads(void **state)
{
	struct frame frames[] = {
		{ .kind = FRAME_NATIVE, .module = "libc.so.6" },
		{ .kind = FRAME_PYTHON, .file = "<frozen importlib._bootstrap>" },
		{ .kind = FRAME_PYTHON, .file = "/usr/lib/python3/dist-packages/numpy/core.py" },
		{ .kind = FRAME_PYTHON, .file = "<string>" },
		{ .kind = FRAME_PYTHON, .file = "/home/u/lib/python/mine.py" },
	};
	struct stack stack = { frames, 5, false, 0 };

	(void)state;
	assert_int_equal(lead_of(&stack), 4);
	stack.count = 4; /* python -c */
	assert_int_equal(lead_of(&stack), 3);
	stack.count = 3; /* libraries only: the innermost Python frame */
	assert_int_equal(lead_of(&stack), 1);
	stack.count = 1;
	assert_int_equal(lead_of(&stack), 0);
	stack.count = 0;
	assert_int_equal(lead_of(&stack), 0);
}

static void a_script_that_only_starts_a_library_does_not_lead(void **state)
{
	struct frame frames[] = {
		{ .kind = FRAME_PYTHON,
		  .file = "/venv/lib/python3.11/site-packages/celery/app.py" },
		{ .kind = FRAME_PYTHON, .file = "/venv/bin/celery", .function = "<module>" },
		{ .kind = FRAME_PYTHON, .file = "/srv/app.py" },
	};
	struct stack stack = { frames, 2, false, 0 };

	(void)state;
	assert_int_equal(lead_of(&stack), 0);
	frames[1].function = "main"; /* a program of its own */
	assert_int_equal(lead_of(&stack), 1);
	frames[1].function = "<module>";
	frames[1].file = "/usr/local/bin/shop";
	assert_int_equal(lead_of(&stack), 1);
	frames[1].file = "bin/x"; /* shorter than any prefix */
	assert_int_equal(lead_of(&stack), 1);
	frames[1].file = "/venv/bin/celery";
	stack.count = 3; /* not the outermost */
	assert_int_equal(lead_of(&stack), 1);
}

/* What holds a tenth of it and has stopped growing has no part in growth. */
static void shares_are_of_all_sites(void **state)
{
	const struct analysis_options options = { .top = 2 };
	struct report *report = report_on_sample(&options, SAMPLE_SNAPSHOTS);
	double all = 9000 * 240 + 12 * 80000 + 4096 * 64 + 65536 + 6 * 4096;
	double growing = 9000 * 240 + 12 * 80000 + 6 * 4096;

	(void)state;
	assert_int_equal(report->group_by, GROUP_BY_STACK);
	assert_true(fabs(site_at(report, 0)->outstanding_share - 9000 * 240 / all) < 1e-9);
	assert_true(fabs(site_at(report, 0)->growth_share - 9000 * 240 / growing) < 1e-9);
	assert_true(fabs(site_at(report, 1)->growth_share - 12 * 80000 / growing) < 1e-9);
	assert_int_equal(site_at(report, 0)->stacks, 1);
	report_free(report);
}

/*
 * The estimated context of the sample claims 1 MB of malloc's more at each snapshot, others at most
 * 360 KB. Memory in use goes up and down by 20 MB; @kept: the bytes of it that stay each time.
 */
static struct report *report_with_memory(double kept)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	struct report *report = NULL;

	for (int n = 1; n <= SAMPLE_SNAPSHOTS; n++) {
		struct snapshot *snapshot = sample_snapshot(n);
		struct snapshot_context *claim = &g_array_index(
			snapshot->contexts, struct snapshot_context, SAMPLE_ESTIMATED - 1);

		claim->live_bytes = n * 1000000;
		claim->live_bytes_low = claim->live_bytes_high = claim->live_bytes;
		claim->live_blocks = claim->old_live_blocks = claim->old_alloc_blocks = n;
		snapshot->memory.known = true;
		snapshot->memory.private_bytes = 50000000 + n % 2 * 20000000 + n * kept;
		report_free(report);
		report = analysis_add(analysis, snapshot, &sources);
		snapshot_free(snapshot);
	}
	g_hash_table_unref(stacks);
	analysis_free(analysis);
	return report;
}

/* A large temporary of malloc's that passes for a survivor claims more than memory has kept. */
static void what_memory_has_not_kept_does_not_lead(void **state)
{
	struct report *report = report_with_memory(0);

	(void)state;
	assert_lead(site_at(report, 0), "/srv/shop/app.py", 8);
	report_free(report);
	report = report_with_memory(1.4e6);
	assert_lead(site_at(report, 0), "/srv/shop/report.py", 21);
	assert_int_equal(site_at(report, 0)->outstanding_bytes, SAMPLE_SNAPSHOTS * 1000000);
	report_free(report);
}

/* Two contexts of one line, one of them estimated: 0.75 and 1.25 times 4,096 bytes. */
static void the_interval_of_a_group_is_that_of_its_sum(void **state)
{
	const struct analysis_options options = { .top = 10, .group_by = GROUP_BY_LINE };
	struct report *report = report_on_sample(&options, 2);
	const struct site *site = site_at(report, 1);

	(void)state;
	assert_lead(site, "/srv/shop/report.py", 21);
	assert_int_equal(report->group_by, GROUP_BY_LINE);
	assert_true(site->estimated);
	assert_int_equal(site->stacks, 2);
	assert_true(fabs(site->growth_bytes_per_s_low - (320000 + 0.75 * 8192) / 20) < 1e-6);
	assert_true(fabs(site->growth_bytes_per_s_high - (320000 + 1.25 * 8192) / 20) < 1e-6);
	/* Of 2 + 1 old blocks 2 + 1 live; 1.5 times as many were held then. */
	assert_true(site->survival == 1);
	report_free(report);
}

static void library_files_are_told_from_the_users(void **state)
{
	static const struct {
		const char *file, *below;
	} cases[] = {
		{ "/usr/lib/python3.11/json/decoder.py", "json/decoder.py" },
		{ "/root/.pyenv/versions/3.13.0/lib/python3.13/queue.py", "queue.py" },
		{ "/opt/py/lib/python3.13t/queue.py", "queue.py" },
		{ "/v/lib/python3.11/site-packages/numpy/core/x.py", "numpy/core/x.py" },
		{ "/usr/lib/python3/dist-packages/PIL/Image.py", "PIL/Image.py" },
		{ "/usr/lib/python311.zip/json/decoder.py", "json/decoder.py" },
		{ "/srv/eggs/shop-1.0-py3.8.egg/shop/cart.py", "shop/cart.py" },
		{ "/srv/app/__pypackages__/3.11/lib/numpy/x.py", "numpy/x.py" },
		{ "/srv/app/__pypackages__/numpy/x.py", NULL },
		{ "/srv/lib/pythonic/app.py", NULL },
		{ "/srv/app.py", NULL },
		{ "/lib/python", NULL },
		{ "", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *below = library_path(cases[i].file);

		if (cases[i].below)
			assert_string_equal(below, cases[i].below);
		else
			assert_null(below);
	}
}

/* A reload makes new code objects, so new contexts, with the same names. */
static void contexts_with_the_same_names_are_one_site(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	struct snapshot *snapshot = sample_snapshot(1);
	struct frame again = sample_frame("/srv/shop/cache.py", 12, "Cache.put");
	struct frame frames[] = { again, sample_frame("/srv/shop/app.py", 29, "serve") };
	struct report *report;

	(void)state;
	sample_add(stacks, 9, frames, 2, false);
	sample_context(snapshot, 9, FAMILY_PYMALLOC, 100, 64, 0);
	sample_context(snapshot, 9, FAMILY_MALLOC, 0, 0, 0);
	report = analysis_add(analysis, snapshot, &sources);
	assert_int_equal(report->sites_total, 5);
	assert_int_equal(site_at(report, 1)->outstanding_blocks, 4196);
	report_free(report);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	analysis_free(analysis);
}

static uint64_t site_id(enum group_by group_by, enum family family, const struct stack *stack,
			uint32_t lead)
{
	struct known_frames *known = known_frames_new(NULL, NULL);
	uint64_t id = group_site_id(group_by, family, stack, lead, known);

	/* Frames that are known by now are the same. */
	assert_true(id == group_site_id(group_by, family, stack, lead, known));
	known_frames_free(known);
	return id;
}

/* Another family or another line is another site; the id does not depend on anything else. */
static void ids_depend_on_names_only(void **state)
{
	struct frame a[] = { sample_frame("/a.py", 1, "f"), sample_frame("/a.py", 2, "g") };
	struct frame b[] = { sample_frame("/a.py", 1, "f"), sample_frame("/a.py", 3, "g") };
	struct stack first = { a, 2, false, 0 }, second = { b, 2, false, 0 };
	uint64_t id = site_id(GROUP_BY_STACK, FAMILY_PYMALLOC, &first, 0);

	(void)state;
	assert_true(id == site_id(GROUP_BY_STACK, FAMILY_PYMALLOC, &first, 1));
	assert_true(id != site_id(GROUP_BY_STACK, FAMILY_MALLOC, &first, 0));
	assert_true(id != site_id(GROUP_BY_STACK, FAMILY_PYMALLOC, &second, 0));
	assert_true(site_id(GROUP_BY_LINE, FAMILY_PYMALLOC, &first, 0) ==
		    site_id(GROUP_BY_LINE, FAMILY_MALLOC, &second, 0));
	assert_true(site_id(GROUP_BY_LINE, FAMILY_PYMALLOC, &first, 1) !=
		    site_id(GROUP_BY_LINE, FAMILY_PYMALLOC, &second, 1));
	b[0].function = "f.<locals>.<lambda>";
	assert_true(site_id(GROUP_BY_LINE, FAMILY_PYMALLOC, &first, 0) ==
		    site_id(GROUP_BY_LINE, FAMILY_PYMALLOC, &second, 0));
	assert_true(site_id(GROUP_BY_FUNCTION, FAMILY_PYMALLOC, &first, 0) !=
		    site_id(GROUP_BY_FUNCTION, FAMILY_PYMALLOC, &second, 0));
	assert_true(site_id(GROUP_BY_STACK, 0, NULL, 0) !=
		    site_id(GROUP_BY_STACK, 0, &(struct stack){ NULL, 0, false, 0 }, 0));
}

/* exec() and reloads make frames without end: what is known of them stays bounded, and right. */
static void a_frame_is_the_same_after_many_others(void **state)
{
	char *exclude[] = { "no.py", NULL };
	struct known_frames *known = known_frames_new(NULL, exclude);
	struct frame frame = sample_frame("/a.py", 1, "f"), other = frame;
	uint64_t id = known_frames_get(known, &frame)->id;

	(void)state;
	for (int i = 0; i < 70000; i++) {
		other.line = 2 + i;
		assert_true(known_frames_get(known, &other)->id != id);
	}
	assert_true(known_frames_get(known, &frame)->id == id);
	assert_true(frame_id(&frame) == id);
	assert_int_equal(known_frames_get(known, &frame)->rank, FRAME_RANK_USER);
	frame.file = "/no.py";
	assert_int_equal(known_frames_get(known, &frame)->rank, FRAME_RANK_EXCLUDED);
	known_frames_free(known);
}

static const struct stack *unknown_stack(void *context, uint32_t id)
{
	(void)context;
	(void)id;
	return NULL;
}

static void a_stack_not_known_yet_is_not_shown_as_no_frame(void **state)
{
	const struct analysis_options options = { .top = 10 };
	const struct analysis_sources unknown = { unknown_stack, NULL, NULL, NULL };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources known = { sample_stack, NULL, stacks, NULL };
	struct snapshot *snapshot = sample_snapshot(1);
	struct report *report = analysis_add(analysis, snapshot, &unknown);

	(void)state;
	assert_true(site_at(report, 0)->stack.count == 0 && site_at(report, 0)->stack.truncated);
	assert_int_equal(report->notes->len, 1);
	report_free(report);
	snapshot_free(snapshot);
	snapshot = sample_snapshot(2);
	report = analysis_add(analysis, snapshot, &known);
	assert_int_equal(report->sites_total, 5);
	assert_int_equal(report->notes->len, 0);
	report_free(report);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	analysis_free(analysis);
}

static void sites_without_anything_left_are_not_listed(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	struct snapshot *snapshot = sample_snapshot(1);
	struct report *report = analysis_add(analysis, snapshot, &sources);

	(void)state;
	report_free(report);
	snapshot_free(snapshot);
	snapshot = sample_snapshot(2);
	g_array_set_size(snapshot->contexts, 0);
	report = analysis_add(analysis, snapshot, &sources);
	assert_int_equal(report->sites_total, 0);
	assert_int_equal(report->sites->len, 0);
	report_free(report);
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	analysis_free(analysis);
}

/* When a target has exited, its last snapshot is reported once more: no interval has gone by. */
static void the_same_snapshot_again_counts_no_interval(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	struct snapshot *snapshot = sample_snapshot(1);
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct report *report = analysis_add(analysis, snapshot, &sources);

		assert_int_equal(site_at(report, 0)->intervals, 1);
		assert_int_equal(site_at(report, 0)->intervals_grown, 1);
		assert_true(report->interval_s == (i ? 0 : 10));
		report_free(report);
	}
	snapshot_free(snapshot);
	g_hash_table_unref(stacks);
	analysis_free(analysis);
}

/* 5,000 snapshots: memory stays bounded, the curve keeps its shape and its last point. */
static void a_long_history_is_thinned_evenly(void **state)
{
	struct history *history = history_new();
	double *bytes;
	guint n, i;

	(void)state;
	for (n = 1; n <= 5000; n++) {
		history_begin(history);
		history_site(history, 7)->now.bytes = 3 * n;
		history_site(history, 7)->now.blocks = n;
		if (n > 4000)
			history_site(history, 8)->now.bytes = n;
		history_commit(history, n);
		assert_true(history->times->len <= HISTORY_MAX_POINTS);
	}
	assert_true(history->times->len > HISTORY_MAX_POINTS / 2);
	bytes = history_bytes(history, history_site(history, 7));
	for (i = 0; i < history->times->len; i++)
		assert_true(bytes[i] == 3 * g_array_index(history->times, double, i));
	assert_true(bytes[history->times->len - 1] == 15000);
	assert_int_equal(history_site(history, 7)->intervals_grown, 5000);
	assert_true(history_blocks_at(history, history_site(history, 7), 2500) == 2500);
	g_free(bytes);
	bytes = history_bytes(history, history_site(history, 8));
	for (i = 0; i < history->times->len; i++) {
		double time = g_array_index(history->times, double, i);

		assert_true(bytes[i] == (time > 4000 ? time : 0));
	}
	g_free(bytes);
	history_free(history);
}

static void absurd_figures_do_no_harm(void **state)
{
	const struct analysis_options options = { .top = 10 };
	struct analysis *analysis = analysis_new(&options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, NULL, stacks, NULL };
	int n;

	(void)state;
	for (n = 1; n <= 6; n++) {
		struct snapshot *snapshot = sample_snapshot(n);
		struct snapshot_context forged = {
			.id = 3,
			.family = n % 2 ? FAMILY_PYMALLOC : (enum family)77,
			.live_blocks = n % 3 ? INT64_MAX : INT64_MIN,
			.live_bytes = n % 2 ? INT64_MAX : INT64_MIN,
			.oldest_born_ns = UINT64_MAX,
			.old_live_blocks = UINT64_MAX,
			.old_alloc_blocks = 1,
		};
		struct report *report;
		guint i;

		g_array_append_val(snapshot->contexts, forged);
		g_array_append_val(snapshot->contexts, forged);
		if (n == 4)
			snapshot->taken_ns = 0;
		report = analysis_add(analysis, snapshot, &sources);
		for (i = 0; i < report->sites->len; i++) {
			const struct site *site = site_at(report, i);

			assert_true(isfinite(site->growth_bytes_per_s_low));
			assert_true(site->growth_bytes_per_s_low <= site->growth_bytes_per_s);
			assert_true(site->growth_bytes_per_s <= site->growth_bytes_per_s_high);
			assert_true(site->confidence >= 0 && site->confidence <= 1);
		}
		report_free(report);
		snapshot_free(snapshot);
	}
	g_hash_table_unref(stacks);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_that_grows_most_comes_first),
		cmocka_unit_test(an_estimate_widens_the_interval_of_its_growth),
		cmocka_unit_test(totals_are_of_all_sites_not_only_of_those_shown),
		cmocka_unit_test(sites_are_ordered_by_what_is_asked),
		cmocka_unit_test(groups_sum_over_their_stacks),
		cmocka_unit_test(globs_decide_who_leads),
		cmocka_unit_test(the_users_own_code_leads),
		cmocka_unit_test(library_files_are_told_from_the_users),
		cmocka_unit_test(a_script_that_only_starts_a_library_does_not_lead),
		cmocka_unit_test(shares_are_of_all_sites),
		cmocka_unit_test(what_memory_has_not_kept_does_not_lead),
		cmocka_unit_test(the_interval_of_a_group_is_that_of_its_sum),
		cmocka_unit_test(contexts_with_the_same_names_are_one_site),
		cmocka_unit_test(ids_depend_on_names_only),
		cmocka_unit_test(a_frame_is_the_same_after_many_others),
		cmocka_unit_test(a_stack_not_known_yet_is_not_shown_as_no_frame),
		cmocka_unit_test(sites_without_anything_left_are_not_listed),
		cmocka_unit_test(the_same_snapshot_again_counts_no_interval),
		cmocka_unit_test(a_long_history_is_thinned_evenly),
		cmocka_unit_test(absurd_figures_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
