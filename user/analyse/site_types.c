// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/site_types.h"

#include <math.h>

#define OTHER_TYPES "other types"

struct type_sum {
	double blocks, bytes;
};

struct site_types {
	GHashTable *sums; /* struct type_sum by name */
};

struct site_types *site_types_new(void)
{
	struct site_types *types = g_new0(struct site_types, 1);

	types->sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return types;
}

void site_types_free(struct site_types *types)
{
	if (!types)
		return;
	g_hash_table_unref(types->sums);
	g_free(types);
}

static void add(struct site_types *types, const char *name, double blocks, double bytes)
{
	struct type_sum *sum = g_hash_table_lookup(types->sums, name);

	if (!sum) {
		sum = g_new0(struct type_sum, 1);
		g_hash_table_insert(types->sums, g_strdup(name), sum);
	}
	sum->blocks += blocks;
	sum->bytes += bytes;
}

void site_types_add(struct site_types *types, const struct snapshot_context *context,
		    const GArray *counts)
{
	double blocks = 0, bytes = 0;

	for (guint i = 0; counts && i < counts->len; i++) {
		const struct type_count *count = &g_array_index(counts, struct type_count, i);

		blocks += count->blocks;
		bytes += count->bytes;
	}
	if (!(blocks > 0) || context->live_blocks <= 0)
		return;
	for (guint i = 0; i < counts->len; i++) {
		const struct type_count *count = &g_array_index(counts, struct type_count, i);

		add(types, count->name, count->blocks * (context->live_blocks / blocks),
		    bytes > 0 ? count->bytes * (MAX(context->live_bytes, 0) / bytes) : 0);
	}
}

/* Most bytes first; ties by name, so that the order stays from report to report. */
static int by_bytes(const void *left, const void *right)
{
	const struct site_type *a = left, *b = right;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	if (a->blocks != b->blocks)
		return a->blocks < b->blocks ? 1 : -1;
	return g_strcmp0(a->name, b->name);
}

static int64_t rounded(double number)
{
	/* Estimates of a forged snapshot may be anything. */
	return number < 0x1p62 ? llround(MAX(number, 0)) : INT64_MAX / 2;
}

static void clear_type(void *element)
{
	g_free(((struct site_type *)element)->name);
}

/* Sums up all but the first, in place. */
static void cut(GArray *list)
{
	struct site_type other = { .name = g_strdup(OTHER_TYPES) };

	if (list->len <= SITE_TYPES_MOST) {
		g_free(other.name);
		return;
	}
	for (guint i = SITE_TYPES_MOST - 1; i < list->len; i++) {
		const struct site_type *type = &g_array_index(list, struct site_type, i);

		other.blocks += MIN(type->blocks, INT64_MAX - other.blocks);
		other.bytes += MIN(type->bytes, INT64_MAX - other.bytes);
	}
	g_array_set_size(list, SITE_TYPES_MOST - 1);
	g_array_append_val(list, other);
}

GArray *site_types_finish(const struct site_types *types)
{
	GArray *list = g_array_new(false, false, sizeof(struct site_type));
	GHashTableIter iterator;
	void *name, *item;

	g_array_set_clear_func(list, clear_type);
	g_hash_table_iter_init(&iterator, types->sums);
	while (g_hash_table_iter_next(&iterator, &name, &item)) {
		const struct type_sum *sum = item;
		struct site_type type = {
			.name = g_strdup(name),
			.blocks = MAX(rounded(sum->blocks), 1),
			.bytes = rounded(sum->bytes),
		};

		g_array_append_val(list, type);
	}
	g_array_sort(list, by_bytes);
	cut(list);
	if (list->len)
		return list;
	g_array_unref(list);
	return NULL;
}

/* A context of a site that is shown. */
struct shown_context {
	const struct snapshot_context *context;
	struct site_types *types; /* of its site */
};

static int by_live_bytes(const void *left, const void *right)
{
	const struct snapshot_context *a = ((const struct shown_context *)left)->context;
	const struct snapshot_context *b = ((const struct shown_context *)right)->context;

	return (a->live_bytes < b->live_bytes) - (a->live_bytes > b->live_bytes);
}

static void free_types(void *types)
{
	site_types_free(types);
}

/* A struct site_types for each of @sites, by its id. */
static GHashTable *types_of_sites(const GArray *sites)
{
	GHashTable *all = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_types);

	for (guint i = 0; i < sites->len; i++)
		g_hash_table_insert(all, &g_array_index(sites, struct site, i).id,
				    site_types_new());
	return all;
}

void site_types_fill(GArray *sites, const struct snapshot *snapshot, const GArray *site_ids,
		     const struct analysis_sources *sources)
{
	g_autoptr(GArray) shown = g_array_new(false, false, sizeof(struct shown_context));
	g_autoptr(GHashTable) all = NULL;

	if (!sources->types)
		return;
	all = types_of_sites(sites);
	for (guint i = 0; i < site_ids->len && i < snapshot->contexts->len; i++) {
		struct shown_context context = {
			&g_array_index(snapshot->contexts, struct snapshot_context, i),
			g_hash_table_lookup(all, &g_array_index(site_ids, uint64_t, i)),
		};

		if (context.types && context.context->live_blocks > 0)
			g_array_append_val(shown, context);
	}
	g_array_sort(shown, by_live_bytes);
	for (guint i = 0; i < shown->len; i++) {
		const struct shown_context *context =
			&g_array_index(shown, struct shown_context, i);

		site_types_add(context->types, context->context,
			       sources->types(sources->context, context->context->id));
	}
	for (guint i = 0; i < sites->len; i++) {
		struct site *site = &g_array_index(sites, struct site, i);

		site->types = site_types_finish(g_hash_table_lookup(all, &site->id));
	}
}
