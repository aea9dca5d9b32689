// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/curve.h"

#include <math.h>

#include "analyse/trend.h"

/* The rule is in the header; these are its numbers. */
enum { MIN_POINTS = 6 };
static const double SIGNIFICANT = 0.05;
static const double TELLING_SHARE = 0.01, TELLING_BYTES = 1 << 20;
static const double PLATEAU = 0.25;
static const double UNUSED_SHARE = 0.1, UNUSED_BYTES = 4 << 20;

struct curve {
	GArray *points; /* of struct curve_point */
	double spacing; /* seconds that points are apart at least, but for the last */
};

struct curve *curve_new(void)
{
	struct curve *curve = g_new0(struct curve, 1);

	curve->points = g_array_new(FALSE, FALSE, sizeof(struct curve_point));
	return curve;
}

void curve_free(struct curve *curve)
{
	if (!curve)
		return;
	g_array_unref(curve->points);
	g_free(curve);
}

static struct curve_point *point_at(const struct curve *curve, guint index)
{
	return &g_array_index(curve->points, struct curve_point, index);
}

/* Keeps every second point, the first and the last. */
static void thin(struct curve *curve)
{
	guint count = curve->points->len, kept = 0, i;

	for (i = 0; i < count; i++) {
		if (i % 2 == 0 || i + 1 == count)
			*point_at(curve, kept++) = *point_at(curve, i);
	}
	g_array_set_size(curve->points, kept);
	curve->spacing = (point_at(curve, kept - 1)->elapsed_s - point_at(curve, 0)->elapsed_s) /
			 (CURVE_MAX_POINTS / 2);
}

void curve_add(struct curve *curve, const struct curve_point *point)
{
	guint count = curve->points->len;

	if (!isfinite(point->elapsed_s))
		return;
	if (count && point->elapsed_s <= point_at(curve, count - 1)->elapsed_s) {
		*point_at(curve, count - 1) = *point;
		if (count > 1)
			point_at(curve, count - 1)->elapsed_s =
				MAX(point->elapsed_s, point_at(curve, count - 2)->elapsed_s);
		return;
	}
	/* The last was only kept as it was the last. */
	if (count > 1 &&
	    point_at(curve, count - 1)->elapsed_s - point_at(curve, count - 2)->elapsed_s <
		    curve->spacing)
		*point_at(curve, count - 1) = *point;
	else
		g_array_append_vals(curve->points, point, 1);
	if (curve->points->len > CURVE_MAX_POINTS)
		thin(curve);
}

/* The slope of what is in use from point @from on, and whether it is significant either way. */
static double slope_from(const struct curve *curve, guint from, struct mann_kendall *test)
{
	guint count = curve->points->len - from, i;
	g_autofree double *times = g_new(double, count), *values = g_new(double, count);

	for (i = 0; i < count; i++) {
		times[i] = point_at(curve, from + i)->elapsed_s;
		values[i] = point_at(curve, from + i)->in_use_bytes;
	}
	if (test)
		*test = mann_kendall(values, count);
	return theil_sen(times, values, count).slope;
}

static enum curve_trend decide(const struct curve *curve, const struct curve_summary *summary,
			       const struct mann_kendall *test)
{
	const struct curve_point *last = &summary->last;
	double held = last->in_use_bytes + last->unused_bytes;
	double telling = MAX(TELLING_SHARE * held, TELLING_BYTES);
	double late = slope_from(curve, curve->points->len / 2, NULL);

	if (test->p_up < SIGNIFICANT && summary->rise_bytes >= telling &&
	    late >= PLATEAU * summary->bytes_per_s)
		return CURVE_GROWING;
	if (last->unused_bytes >= MAX(UNUSED_SHARE * held, UNUSED_BYTES))
		return CURVE_FRAGMENTED;
	if (test->p_down < SIGNIFICANT && summary->rise_bytes <= -telling)
		return CURVE_SHRINKING;
	return CURVE_FLAT;
}

struct curve_summary curve_summarise(const struct curve *curve)
{
	struct curve_summary summary = { .trend = CURVE_UNKNOWN, .points = curve->points->len };
	struct mann_kendall test;
	guint i;

	if (!summary.points)
		return summary;
	summary.first = *point_at(curve, 0);
	summary.last = *point_at(curve, summary.points - 1);
	for (i = 0; i < summary.points; i++)
		summary.peak_bytes = MAX(summary.peak_bytes, point_at(curve, i)->in_use_bytes);
	summary.bytes_per_s = slope_from(curve, 0, &test);
	summary.rise_bytes =
		summary.bytes_per_s * (summary.last.elapsed_s - summary.first.elapsed_s);
	if (summary.points >= MIN_POINTS)
		summary.trend = decide(curve, &summary, &test);
	return summary;
}

GArray *curve_points(const struct curve *curve)
{
	GArray *points = g_array_new(FALSE, FALSE, sizeof(struct curve_point));

	if (curve->points->len)
		g_array_append_vals(points, curve->points->data, curve->points->len);
	return points;
}

const char *curve_trend_name(enum curve_trend trend)
{
	static const char *const names[] = {
		[CURVE_UNKNOWN] = "unknown",
		[CURVE_GROWING] = "growing",
		[CURVE_FRAGMENTED] = "fragmented",
		[CURVE_SHRINKING] = "shrinking",
		[CURVE_FLAT] = "flat",
	};

	return (size_t)trend < G_N_ELEMENTS(names) ? names[trend] : names[CURVE_UNKNOWN];
}
