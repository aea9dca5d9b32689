// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/curve.h"

#include <math.h>

#include "analyse/significance.h"
#include "analyse/trend.h"

/* The rule is in the header; these are its numbers. */
enum { MIN_POINTS = 6, MIN_POINTS_OF_FLOOR = 4 };
static const double TELLING_SHARE = 0.01, TELLING_BYTES = 1 << 20;
static const double PLATEAU = 0.25;
static const double CERTAIN = 0.01, LATE_PACE = 0.35, LASTING_S = 45, SPAN_S = 5;
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

/* The slope of what is in use from point @from to before @to, and whether it is significant either
 * way. */
static struct theil_sen slope_of(const struct curve *curve, guint from, guint to,
				 struct mann_kendall *test)
{
	guint count = to - from, i;
	g_autofree double *times = g_new(double, count), *values = g_new(double, count);

	for (i = 0; i < count; i++) {
		times[i] = point_at(curve, from + i)->elapsed_s;
		values[i] = point_at(curve, from + i)->in_use_bytes;
	}
	if (test)
		*test = mann_kendall(values, count);
	return theil_sen(times, values, count);
}

/* Less in all tells nothing: bytes. */
static double telling_bytes(const struct curve_point *point)
{
	return MAX(TELLING_SHARE * (point->in_use_bytes + point->unused_bytes), TELLING_BYTES);
}

/* @late: bytes/s in the later half. */
static enum curve_trend decide(const struct curve_summary *summary, double p_down, double late)
{
	const struct curve_point *last = &summary->last;
	double held = last->in_use_bytes + last->unused_bytes, telling = telling_bytes(last);

	if (summary->p_up < SIGNIFICANT && summary->rise_bytes >= telling &&
	    late >= PLATEAU * summary->bytes_per_s)
		return CURVE_GROWING;
	if (last->unused_bytes >= MAX(UNUSED_SHARE * held, UNUSED_BYTES))
		return CURVE_FRAGMENTED;
	if (p_down < SIGNIFICANT && summary->rise_bytes <= -telling)
		return CURVE_SHRINKING;
	return CURVE_FLAT;
}

static bool is_lasting(const struct curve_summary *summary, double early, double late)
{
	return summary->p_up < CERTAIN && late > 0 && late >= LATE_PACE * early &&
	       summary->last.elapsed_s - summary->first.elapsed_s >= LASTING_S &&
	       summary->rise_bytes >= telling_bytes(&summary->last);
}

/* The median of what is in use in the span of SPAN_S that begins with point *@next, which is moved
 * on to the next span. */
static double span_median(const struct curve *curve, guint *next)
{
	double end = point_at(curve, *next)->elapsed_s + SPAN_S, values[CURVE_MAX_POINTS];
	guint count = 0;

	do {
		values[count++] = point_at(curve, (*next)++)->in_use_bytes;
	} while (*next < curve->points->len && point_at(curve, *next)->elapsed_s < end);
	return median(values, count);
}

static uint32_t spans_grown(const struct curve *curve)
{
	guint next = 0;
	double before = span_median(curve, &next);
	uint32_t grown = 0;

	while (next < curve->points->len) {
		double now = span_median(curve, &next);

		grown += now > before;
		before = now;
	}
	return grown;
}

static double floor_rise(const struct curve *curve)
{
	guint count = curve->points->len;
	double least[2] = { INFINITY, INFINITY }, middle;

	if (count < MIN_POINTS_OF_FLOOR)
		return INFINITY;
	middle = (point_at(curve, 0)->elapsed_s + point_at(curve, count - 1)->elapsed_s) / 2;
	for (guint i = 0; i < count; i++) {
		const struct curve_point *point = point_at(curve, i);
		double *half = &least[point->elapsed_s > middle];

		*half = MIN(*half, point->in_use_bytes);
	}
	return 2 * (least[1] - least[0]);
}

struct curve_summary curve_summarise(const struct curve *curve)
{
	struct curve_summary summary = { .trend = CURVE_UNKNOWN,
					 .points = curve->points->len,
					 .floor_rise_bytes = floor_rise(curve) };
	guint count = summary.points, middle = count / 2, i;
	struct mann_kendall test;
	struct theil_sen slope;
	double early, late;

	if (!count)
		return summary;
	summary.first = *point_at(curve, 0);
	summary.last = *point_at(curve, count - 1);
	for (i = 0; i < count; i++)
		summary.peak_bytes = MAX(summary.peak_bytes, point_at(curve, i)->in_use_bytes);
	slope = slope_of(curve, 0, count, &test);
	summary.bytes_per_s = slope.slope;
	summary.rise_bytes =
		summary.bytes_per_s * (summary.last.elapsed_s - summary.first.elapsed_s);
	if (count < MIN_POINTS)
		return summary;
	early = slope_of(curve, 0, middle + 1, NULL).slope;
	late = slope_of(curve, middle, count, NULL).slope;
	summary.p_up = test.p_up;
	summary.most_bytes_per_s = slope.high;
	summary.spans_grown = spans_grown(curve);
	summary.trend = decide(&summary, test.p_down, late);
	summary.lasting = is_lasting(&summary, early, late);
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
