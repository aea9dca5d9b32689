/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A made-up trace of a small shop service, for tests of what comes after collecting: six intervals
 * of 10 s. One line leaks dicts through the json library, one leaks numpy buffers, a cache is full,
 * one thread holds no Python frame. tests/unit/data/shop.ndjson is its recording
 * (test_snapshot_file).
 */
#ifndef PYLEAK_TESTS_SAMPLE_H
#define PYLEAK_TESTS_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <glib.h>

#include "analyse/analysis.h"
#include "collect/snapshot.h"
#include "report/writer.h"

/* The figures of context SAMPLE_ESTIMATED are estimates, give or take a quarter. */
enum { SAMPLE_SNAPSHOTS = 6, SAMPLE_INTERVAL_S = 10, SAMPLE_ESTIMATED = 5 };
#define SAMPLE_RECORDING "tests/unit/data/shop.ndjson"

static inline struct frame sample_frame(const char *file, int32_t line, const char *function)
{
	return (struct frame){
		.kind = FRAME_PYTHON,
		.function = g_intern_string(function),
		.file = g_intern_string(file),
		.line = line,
	};
}

static inline void sample_add(GHashTable *stacks, uint32_t id, const struct frame *frames,
			      uint32_t count, bool truncated)
{
	struct stack *stack = g_new0(struct stack, 1);

	stack->frames = g_memdup2(frames, count * sizeof(*frames));
	stack->count = count;
	stack->truncated = truncated;
	g_hash_table_insert(stacks, GUINT_TO_POINTER(id), stack);
}

/* Stacks by context id; g_hash_table_unref(). */
static inline GHashTable *sample_stacks(void)
{
	const char *decoder = "/usr/lib/python3.11/json/decoder.py";
	GHashTable *stacks =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)(void *)stack_free);
	struct frame leak[] = {
		sample_frame(decoder, 353, "JSONDecoder.raw_decode"),
		sample_frame(decoder, 337, "JSONDecoder.decode"),
		sample_frame("/usr/lib/python3.11/json/__init__.py", 346, "loads"),
		sample_frame("/srv/shop/app.py", 8, "handle"),
		sample_frame("/srv/shop/app.py", 31, "serve"),
		sample_frame("/srv/shop/worker.py", 77, "run"),
	};
	struct frame arrays[] = {
		sample_frame("/srv/shop/report.py", 21, "Chart.render"),
		sample_frame("/srv/shop/app.py", 35, "serve"),
		sample_frame("/srv/shop/worker.py", 77, "run"),
	};
	struct frame cache[] = {
		sample_frame("/srv/shop/cache.py", 12, "Cache.put"),
		sample_frame("/srv/shop/app.py", 29, "serve"),
	};
	struct frame native = {
		.kind = FRAME_NATIVE,
		.module = g_intern_string("_multiarray_umath.so"),
		.offset = 0x1f40,
	};
	struct frame mixed[] = { native, arrays[0], arrays[1] };

	sample_add(stacks, 1, leak, G_N_ELEMENTS(leak), false);
	sample_add(stacks, 2, arrays, G_N_ELEMENTS(arrays), true);
	sample_add(stacks, 3, cache, G_N_ELEMENTS(cache), false);
	sample_add(stacks, 4, NULL, 0, false);
	sample_add(stacks, 5, mixed, G_N_ELEMENTS(mixed), false);
	return stacks;
}

static inline void sample_context(struct snapshot *snapshot, uint32_t id, enum family family,
				  int64_t blocks, int64_t size, int64_t old_blocks)
{
	struct snapshot_context context = {
		.id = id,
		.family = family,
		.live_blocks = blocks,
		.live_bytes = blocks * size,
		.estimated = id == SAMPLE_ESTIMATED,
		.live_bytes_low = id == SAMPLE_ESTIMATED ? 0.75 * blocks * size : 0,
		.live_bytes_high = id == SAMPLE_ESTIMATED ? 1.25 * blocks * size : 0,
		.alloc_blocks = 2 * blocks + 10,
		.alloc_bytes = (2 * blocks + 10) * size,
		.oldest_born_ns = snapshot->attached_ns + 1000000000,
		.old_alloc_blocks = old_blocks,
		.old_live_blocks = old_blocks,
	};

	g_array_append_val(snapshot->contexts, context);
}

/* The snapshot at the end of interval @n (1 to SAMPLE_SNAPSHOTS); snapshot_free(). */
static inline struct snapshot *sample_snapshot(int n)
{
	struct snapshot *snapshot = g_new0(struct snapshot, 1);
	enum family family;

	snapshot->attached_ns = 5000000000;
	snapshot->taken_ns = snapshot->attached_ns + n * SAMPLE_INTERVAL_S * 1000000000ULL;
	snapshot->time_us = 1795233600123000 + n * SAMPLE_INTERVAL_S * 1000000LL;
	snapshot->survival_age_ns = n * SAMPLE_INTERVAL_S * 1000000000ULL / 2;
	snapshot->rss_at_attach_bytes = 100 << 20;
	snapshot->rss_bytes = (100 + 3 * n) << 20;
	snapshot->threads = 4;
	snapshot->overhead_pct = 1.625;
	snapshot->budget_scale = 1;
	snapshot->coverage = 0.9995;
	snapshot->coverage_blocks = 6000 * n;
	for (family = 0; family < FAMILY_COUNT; family++) {
		snapshot->families[family].mode = FAMILY_MODE_EXACT;
		snapshot->families[family].observed_fraction = 1;
		snapshot->families[family].windows = 1;
		snapshot->families[family].allocs = 12000 * n;
		snapshot->families[family].frees = 9000 * n;
	}
	snapshot->lost[LOST_STACK_TRUNCATED] = 3;
	snapshot->contexts = g_array_new(FALSE, FALSE, sizeof(struct snapshot_context));
	sample_context(snapshot, 1, FAMILY_PYMALLOC, 1500 * n, 240, 750 * n);
	sample_context(snapshot, 2, FAMILY_MALLOC, 2 * n, 80000, n);
	sample_context(snapshot, 3, FAMILY_PYMALLOC, 4096, 64, 2048);
	sample_context(snapshot, 4, FAMILY_MMAP, 1, 65536, 1);
	sample_context(snapshot, 5, FAMILY_MALLOC, n, 4096, n / 2);
	return snapshot;
}

static inline const struct stack *sample_stack(void *stacks, uint32_t id)
{
	return g_hash_table_lookup(stacks, GUINT_TO_POINTER(id));
}

static inline char *sample_source(void *stacks, const char *file, int32_t line)
{
	(void)stacks;
	if (g_str_has_suffix(file, "app.py") && line == 8)
		return g_strdup("    KEPT.append(json.loads(order))\n");
	return NULL;
}

/* The report on the first @count snapshots; report_free(). */
static inline struct report *report_on_sample(const struct analysis_options *options, int count)
{
	struct analysis *analysis = analysis_new(options);
	GHashTable *stacks = sample_stacks();
	const struct analysis_sources sources = { sample_stack, sample_source, stacks, NULL };
	struct report *report = NULL;

	for (int n = 1; n <= count; n++) {
		struct snapshot *snapshot = sample_snapshot(n);

		report_free(report);
		report = analysis_add(analysis, snapshot, &sources);
		report->pid = 4242;
		report->seq = n;
		snapshot_free(snapshot);
	}
	g_hash_table_unref(stacks);
	analysis_free(analysis);
	return report;
}

/* The same on the first interval, with @top sites. */
static inline struct report *sample_top_report(uint32_t top)
{
	const struct analysis_options options = { .top = top };

	return report_on_sample(&options, 1);
}

/* Of context 1 the types are known: two dicts of 240 bytes for each str of the same. */
static inline const GArray *sample_types(void *stacks, uint32_t id)
{
	static struct type_count types[2];
	static GArray array = { (char *)types, G_N_ELEMENTS(types) };

	(void)stacks;
	types[0] = (struct type_count){ (char *)"dict", 2, 480 };
	types[1] = (struct type_count){ (char *)"str", 1, 240 };
	return id == 1 ? &array : NULL;
}

/* The header of that trace; report_header_free(). */
static inline struct report_header *sample_header(void)
{
	struct report_header *header = g_new0(struct report_header, 1);
	struct report_target *target = g_new0(struct report_target, 1);
	const char *cmdline[] = { "python3", "-u", "shop/app.py", "--port", "80", NULL };

	target->pid = 4242;
	target->cmdline = g_strdupv((char **)cmdline);
	target->exe = g_strdup("/usr/bin/python3.11");
	target->python_version = g_strdup("3.11.2");
	target->stripped = true;
	target->allocator = g_strdup("pymalloc");
	header->version = g_strdup(PYLEAK_VERSION);
	header->host = g_strdup("shop-1");
	header->kernel = g_strdup("6.18.0");
	header->started_us = 1795233600123000;
	header->targets = g_ptr_array_new();
	g_ptr_array_add(header->targets, target);
	header->option_names = g_ptr_array_new();
	header->option_values = g_ptr_array_new();
	g_ptr_array_add(header->option_names, g_strdup("interval"));
	g_ptr_array_add(header->option_values, g_strdup("10"));
	return header;
}

/* Reports to write, with @report, which they own, as the first; g_ptr_array_unref(). */
static inline GPtrArray *reports_of(struct report *report)
{
	GPtrArray *reports = g_ptr_array_new_with_free_func((GDestroyNotify)(void *)report_free);

	g_ptr_array_add(reports, report);
	return reports;
}

/* The document of @reports under that header; free(). */
static inline char *written_document(const struct report_writer *writer, const GPtrArray *reports,
				     size_t *size)
{
	struct report_header *header = sample_header();
	char *text = NULL;
	FILE *stream = open_memstream(&text, size);

	assert_true(writer->document(stream, header, reports));
	fclose(stream);
	report_header_free(header);
	return text;
}

#endif
