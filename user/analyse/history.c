// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/history.h"

#include <math.h>

int64_t saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

static void site_history_free(void *data)
{
	struct site_history *site = data;

	g_array_unref(site->points);
	g_free(site);
}

struct history *history_new(void)
{
	struct history *history = g_new0(struct history, 1);
	const double attach = 0;

	history->times = g_array_new(FALSE, FALSE, sizeof(double));
	g_array_append_val(history->times, attach);
	history->sites =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, site_history_free);
	history->stride = 1;
	history->last_is_kept = true;
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	g_array_unref(history->times);
	g_hash_table_unref(history->sites);
	g_free(history);
}

struct site_history *history_site(struct history *history, uint64_t id)
{
	struct site_history *site = g_hash_table_lookup(history->sites, &id);

	if (site)
		return site;
	site = g_new0(struct site_history, 1);
	site->id = id;
	site->points = g_array_new(FALSE, TRUE, sizeof(struct history_point));
	/* The snapshot that is being added will write the last point or add one after it. */
	site->start = history->times->len - (history->last_is_kept ? 0 : 1);
	g_hash_table_insert(history->sites, &site->id, site);
	return site;
}

void history_begin(struct history *history)
{
	struct site_history *site;
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, history->sites);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&site))
		site->now = (struct site_sums){ 0 };
}

/* Keeps the moments with an even index, of the time axis and of every site. */
static void thin(struct history *history)
{
	struct site_history *site;
	GHashTableIter iter;
	guint i, kept = 0;

	for (i = 0; i < history->times->len; i += 2)
		g_array_index(history->times, double, kept++) =
			g_array_index(history->times, double, i);
	g_array_set_size(history->times, kept);
	g_hash_table_iter_init(&iter, history->sites);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&site)) {
		struct history_point *points = (struct history_point *)(void *)site->points->data;

		kept = 0;
		for (i = site->start % 2; i < site->points->len; i += 2)
			points[kept++] = points[i];
		g_array_set_size(site->points, kept);
		site->start = (site->start + 1) / 2;
	}
	history->stride *= 2;
}

static bool never_held_anything(const struct site_history *site)
{
	guint i;

	if (site->now.bytes || site->now.blocks)
		return false;
	for (i = 0; i < site->points->len; i++) {
		const struct history_point *point =
			&g_array_index(site->points, struct history_point, i);

		if (point->bytes || point->blocks)
			return false;
	}
	return true;
}

/* Makes the sums of every site its point at the last moment of the time axis. */
static void write_last_points(struct history *history, bool same_snapshot)
{
	guint last = history->times->len - 1;
	struct site_history *site;
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, history->sites);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&site)) {
		struct history_point point = { site->now.bytes, site->now.blocks };
		int64_t before = site->previous_bytes;

		site->start = MIN(site->start, last);
		g_array_set_size(site->points, last + 1 - site->start);
		g_array_index(site->points, struct history_point, last - site->start) = point;
		site->interval_growth_bytes =
			saturating_add(point.bytes, before == INT64_MIN ? INT64_MAX : -before);
		site->intervals_grown += !same_snapshot && point.bytes > before;
		site->previous_bytes = point.bytes;
		if (never_held_anything(site))
			g_hash_table_iter_remove(&iter);
	}
}

void history_commit(struct history *history, double time)
{
	guint last;

	if (history->last_is_kept && history->times->len == HISTORY_MAX_POINTS)
		thin(history);
	history->snapshots++;
	if (history->last_is_kept)
		g_array_set_size(history->times, history->times->len + 1);
	last = history->times->len - 1;
	time = isfinite(time) ? time : 0;
	g_array_index(history->times, double, last) =
		MAX(time, g_array_index(history->times, double, last - 1));
	history->last_is_kept = history->snapshots % history->stride == 0;
	write_last_points(history, false);
}

void history_commit_again(struct history *history)
{
	if (history->snapshots)
		write_last_points(history, true);
}

double *history_bytes(const struct history *history, const struct site_history *site)
{
	double *bytes = g_new0(double, history->times->len);
	guint i;

	for (i = 0; i < site->points->len; i++)
		bytes[site->start + i] = g_array_index(site->points, struct history_point, i).bytes;
	return bytes;
}

static double blocks_of(const struct site_history *site, guint index)
{
	if (index < site->start || index - site->start >= site->points->len)
		return 0;
	return g_array_index(site->points, struct history_point, index - site->start).blocks;
}

static double bytes_of(const struct site_history *site, guint index)
{
	if (index < site->start || index - site->start >= site->points->len)
		return 0;
	return g_array_index(site->points, struct history_point, index - site->start).bytes;
}

static double value_at(const struct history *history, const struct site_history *site, double time,
		       double (*value)(const struct site_history *site, guint i))
{
	const double *times = (const double *)(void *)history->times->data;
	guint i, count = history->times->len;

	if (!(time > times[0]))
		return value(site, 0);
	for (i = 1; i < count; i++) {
		double before = value(site, i - 1);

		if (time <= times[i] && times[i] > times[i - 1])
			return before + (value(site, i) - before) * (time - times[i - 1]) /
						(times[i] - times[i - 1]);
	}
	return value(site, count - 1);
}

double history_blocks_at(const struct history *history, const struct site_history *site,
			 double time)
{
	return value_at(history, site, time, blocks_of);
}

double history_bytes_at(const struct history *history, const struct site_history *site, double time)
{
	return value_at(history, site, time, bytes_of);
}
