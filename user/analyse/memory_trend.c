// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/memory_trend.h"

#include <string.h>

static const double MINUTE = 60;
/* Fewer points or a shorter span than this say nothing. */
enum { FEWEST_POINTS = 6 };
static const double SHORTEST_SECONDS = 8;
/* A page here and there is no growth; a leak of 1 MiB an hour is one. */
static const int64_t RECENT_BYTES = 256 << 10, PAST_BYTES = 1 << 20;

static void push(struct trend_point *points, uint32_t *count, uint32_t size,
		 struct trend_point point)
{
	if (*count == size)
		memmove(points, points + 1, --*count * sizeof(*points));
	points[(*count)++] = point;
}

void memory_trend_add(struct memory_trend *trend, double time_s, uint64_t bytes)
{
	struct trend_point point = { time_s, bytes };

	push(trend->recent, &trend->recent_count, TREND_RECENT, point);
	if (!trend->minute_begun) {
		trend->least = point;
		trend->minute_begun = true;
	}
	trend->least.bytes = MIN(trend->least.bytes, bytes);
	if (time_s - trend->least.time_s < MINUTE)
		return;
	push(trend->past, &trend->past_count, TREND_PAST, trend->least);
	trend->minute_begun = false;
}

static uint64_t least(const struct trend_point *points, uint32_t count)
{
	uint64_t bytes = points[0].bytes;

	for (uint32_t i = 1; i < count; i++)
		bytes = MIN(bytes, points[i].bytes);
	return bytes;
}

static struct lasting_growth growth(const struct trend_point *points, uint32_t count)
{
	uint32_t third = count / 3;
	struct lasting_growth growth = { 0 };

	if (count < FEWEST_POINTS || points[count - 1].time_s - points[0].time_s < SHORTEST_SECONDS)
		return growth;
	/* From the first of the one third to the first of the other: where what grows steadily has
	 * its least. */
	growth.seconds = points[count - third].time_s - points[0].time_s;
	growth.bytes = (int64_t)(least(points + count - third, third) - least(points, third));
	return growth;
}

struct lasting_growth memory_trend_recent(const struct memory_trend *trend)
{
	return growth(trend->recent, trend->recent_count);
}

struct lasting_growth memory_trend_past(const struct memory_trend *trend)
{
	return growth(trend->past, trend->past_count);
}

bool memory_trend_grows(const struct memory_trend *trend)
{
	return memory_trend_recent(trend).bytes >= RECENT_BYTES ||
	       memory_trend_past(trend).bytes >= PAST_BYTES;
}

double memory_trend_rate(const struct memory_trend *trend)
{
	struct lasting_growth recent = memory_trend_recent(trend), past = memory_trend_past(trend);
	double rate = 0;

	if (recent.bytes >= RECENT_BYTES)
		rate = recent.bytes / recent.seconds;
	if (past.bytes >= PAST_BYTES)
		rate = MAX(rate, past.bytes / past.seconds);
	return rate;
}
