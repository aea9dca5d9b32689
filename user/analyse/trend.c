// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/trend.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>

#include "analyse/significance.h"

enum { EXACT_MAX = 10, EXACT_PAIRS = EXACT_MAX * (EXACT_MAX - 1) / 2 };

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* The variance of Mann-Kendall's S without a trend, corrected for ties (Kendall 1975). */
static double variance(const double *values, size_t count, bool *ties)
{
	g_autofree double *sorted = g_memdup2(values, count * sizeof(*values));
	double n = count, sum = n * (n - 1) * (2 * n + 5);
	size_t i, run;

	*ties = false;
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	for (i = 0; i < count; i += run) {
		for (run = 1; i + run < count && sorted[i + run] == sorted[i]; run++)
			;
		if (run > 1) {
			*ties = true;
			sum -= (double)run * (run - 1) * (2.0 * run + 5);
		}
	}
	return sum / 18;
}

/*
 * The probability that a random order of @count different values has at most @inversions
 * inversions: Mahonian numbers, built up one value at a time.
 */
static double probability_of_inversions(size_t count, size_t inversions)
{
	double ways[EXACT_PAIRS + 1] = { 1 }, total = 0, all = 0;
	size_t n, i, j;

	for (n = 2; n <= count; n++) {
		double next[EXACT_PAIRS + 1] = { 0 };

		for (i = 0; i <= n * (n - 1) / 2; i++)
			for (j = 0; j < n && j <= i; j++)
				next[i] += ways[i - j];
		memcpy(ways, next, sizeof(ways));
	}
	for (i = 0; i <= count * (count - 1) / 2; i++) {
		all += ways[i];
		if (i <= inversions)
			total += ways[i];
	}
	return total / all;
}

static double normal_tail(double z)
{
	return 0.5 * erfc(z / M_SQRT2);
}

struct mann_kendall mann_kendall(const double *values, size_t count)
{
	struct mann_kendall result = { 1, 1 };
	size_t i, j, up = 0, down = 0;
	double var, s;
	bool ties;

	if (count < 3)
		return result;
	for (i = 0; i < count; i++) {
		for (j = i + 1; j < count; j++) {
			up += values[j] > values[i];
			down += values[j] < values[i];
		}
	}
	if (up + down == 0)
		return result;
	var = variance(values, count, &ties);
	if (count <= EXACT_MAX && !ties) {
		result.p_up = probability_of_inversions(count, down);
		result.p_down = probability_of_inversions(count, up);
		return result;
	}
	s = (double)up - (double)down;
	/* S moves in steps of two: one is taken off towards zero, the usual continuity correction.
	 */
	result.p_up = normal_tail((s - 1) / sqrt(var));
	result.p_down = normal_tail((-s - 1) / sqrt(var));
	return result;
}

double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : values[count / 2 - 1] / 2 + values[count / 2] / 2;
}

/* An index into @count sorted slopes, from a rank that may lie outside. */
static size_t clamp_rank(double rank, size_t count)
{
	if (!(rank > 0))
		return 0;
	return rank >= count ? count - 1 : (size_t)rank;
}

struct theil_sen theil_sen(const double *times, const double *values, size_t count)
{
	struct theil_sen result = { 0, 0, 0 };
	g_autofree double *slopes = NULL;
	size_t i, j, n = 0;
	double half_width;
	bool ties;

	if (count < 2)
		return result;
	slopes = g_new(double, count *(count - 1) / 2);
	for (i = 0; i < count; i++) {
		for (j = i + 1; j < count; j++) {
			double slope = (values[j] - values[i]) / (times[j] - times[i]);

			if (times[j] > times[i] && isfinite(slope))
				slopes[n++] = slope;
		}
	}
	if (!n)
		return result;
	result.slope = median(slopes, n); /* which sorts them */
	/* Ranks by Gilbert, Statistical Methods for Environmental Pollution Monitoring
	 * (1987), 16.5. */
	half_width = QUANTILE_95 * sqrt(variance(values, count, &ties));
	result.low = MIN(slopes[clamp_rank(floor((n - half_width) / 2) - 1, n)], result.slope);
	result.high = MAX(slopes[clamp_rank(ceil((n + half_width) / 2), n)], result.slope);
	return result;
}

/* 97.5 % quantile of Student's distribution from 2 degrees of freedom on. */
static double student_quantile(size_t freedom)
{
	static const double first[] = { 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262 };

	if (freedom - 2 < G_N_ELEMENTS(first))
		return first[freedom - 2];
	/* The first terms of its expansion in 1 / freedom (Cornish and Fisher). */
	return QUANTILE_95 +
	       (QUANTILE_95 * QUANTILE_95 * QUANTILE_95 + QUANTILE_95) / (4.0 * freedom);
}

bool falls_evenly(const double *values, size_t count)
{
	double centre = (count - 1) / 2.0, mean = 0, squares = 0, products = 0, rest = 0, slope;

	if (count < 4)
		return false;
	for (size_t i = 0; i < count; i++)
		mean += values[i] / count;
	for (size_t i = 0; i < count; i++) {
		squares += (i - centre) * (i - centre);
		products += (i - centre) * (values[i] - mean);
	}
	slope = products / squares;
	for (size_t i = 0; i < count; i++) {
		double residual = values[i] - mean - slope * (i - centre);

		rest += residual * residual;
	}
	return slope < 0 &&
	       -slope > student_quantile(count - 2) * sqrt(rest / (count - 2) / squares);
}
