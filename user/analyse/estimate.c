// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/estimate.h"

#include <math.h>

/* Relative standard errors that no count shows: see the header. */
static const double FRACTION_ERROR = 0.12;
static const double TAKEN_PLACES_ERROR = 0.04;
/* Of a normal distribution, two-sided 95 %. */
static const double QUANTILE_95 = 1.96;
/* So many bursts can be there with 95 % when none was seen: the upper limit of a Poisson count of
 * 0. */
static const double UNSEEN_BURSTS = 3;
/* The sample must fall short of the known total by so many standard errors to be believed. */
static const double BEYOND_CHANCE = 2.5;

/* Of one context: bytes, and how far the truth may be below and above, squared. */
struct estimate {
	double blocks, bytes;
	double below_squares, above_squares;
	double seen_bytes;
};

struct size_class {
	double weight, products; /* sums over the cells */
	double variance;	 /* of @weight */
	double excess;		 /* of the known total over @weight; 0: not to be used */
	uint64_t seen;
};

/* A sum with its variance. */
struct sum {
	double value, variance;
};

static uint32_t class_of(const struct snapshot *snapshot, uint32_t block_size)
{
	uint32_t step = snapshot->class_step;

	return step && block_size >= step ? MIN(block_size / step, SNAPSHOT_MAX_CLASSES) - 1 : 0;
}

/*
 * The covariance of two sums over bursts, from the sum of the bursts' @products: of @windows
 * independent terms each, and of what the sampled fraction has in common.
 */
static double covariance(double products, double a, double b, double windows)
{
	if (products > 0 && windows > 1)
		products -= a * b / windows;
	return products + FRACTION_ERROR * FRACTION_ERROR * a * b;
}

/* At least that of a count of @blocks, where anything is left to chance. */
static double variance(double squares, double sum, double windows, uint64_t blocks)
{
	double least = squares > 0 ? (1 / (double)blocks + FRACTION_ERROR * FRACTION_ERROR) : 0;

	return MAX(covariance(squares, sum, sum, windows), least * sum * sum);
}

static void sum_classes(const struct snapshot *snapshot,
			struct size_class classes[SNAPSHOT_MAX_CLASSES])
{
	double windows = snapshot->families[FAMILY_PYMALLOC].windows;

	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);
		struct size_class *class = &classes[class_of(snapshot, cell->block_size)];

		if (!cell->block_size)
			continue;
		class->weight += cell->weight;
		class->products += cell->weight_products;
		class->seen += cell->blocks;
	}
	for (guint i = 0; i < SNAPSHOT_MAX_CLASSES; i++) {
		struct size_class *class = &classes[i];

		if (!class->seen)
			continue;
		class->variance =
			variance(class->products, class->weight, windows, class->seen);
		class->excess = snapshot->class_blocks[i] - class->weight;
		/* Blocks too young to be survivors are in the total too. */
		if (class->excess > BEYOND_CHANCE * sqrt(class->variance))
			class->excess = 0;
	}
}

/* Quantile of the chi-squared distribution with 2 x @half degrees, halved, by Wilson and Hilferty
 * (1931). */
static double half_chi_squared(double half, double z)
{
	double root = 1 - 1 / (9 * half) + z / (3 * sqrt(half));

	return half * pow(MAX(root, 0), 3);
}

/*
 * Adds a part of a context. Its interval is that of a weighted sum of Poisson counts (Fay and Feuer
 * 1997): for the few bursts that a rare event leaves it is far from symmetric. @below: what the
 * truth may be below for other reasons.
 */
static void add(struct estimate *estimate, const struct sum *sum, double below, double unit)
{
	double error = QUANTILE_95 * TAKEN_PLACES_ERROR * sum->value, count;
	double low = 0, high = 0;

	if (sum->value <= 0)
		return;
	if (sum->variance > 0) {
		count = sum->value * sum->value / sum->variance;
		low = sum->value * (1 - half_chi_squared(count, -QUANTILE_95) / count);
		high = sum->value * (half_chi_squared(count + 1, QUANTILE_95) / count - 1);
	}
	estimate->bytes += unit * sum->value;
	estimate->below_squares += unit * unit * (low * low + below * below + error * error);
	estimate->above_squares += unit * unit * (high * high + error * error);
}

/*
 * A regression estimator (Cochran, Sampling Techniques, 3rd ed., 7): what the class's sum misses of
 * the known total is given to the contexts by how much they vary together with that sum.
 */
static void add_of_class(struct estimate *estimate, const struct sample_cell *cell,
			 const struct size_class *class, double windows)
{
	double own = variance(cell->weight_squares, cell->weight, windows, cell->blocks), slope = 0;
	struct sum sum = { cell->weight, own };
	double below = 0;

	if (class->excess && class->variance > 0) {
		double common = covariance(cell->weight_products, cell->weight, class->weight,
					   windows);

		slope = CLAMP(common / class->variance, 0, 1);
		sum.value += slope * class->excess;
		sum.variance = MAX(own - slope * common, 0);
		below = slope * hypot(MAX(class->excess, 0),
				      UNSEEN_BURSTS * class->products / class->weight);
	}
	sum.value = MAX(sum.value, cell->blocks);
	estimate->blocks += sum.value;
	add(estimate, &sum, below, cell->block_size);
	estimate->seen_bytes += cell->size;
}

static void add_of_any_size(struct estimate *estimate, const struct sample_cell *cell,
			    double windows)
{
	struct sum sum = { cell->bytes,
			   variance(cell->byte_squares, cell->bytes, windows, cell->blocks) };

	estimate->blocks += cell->weight;
	add(estimate, &sum, 0, 1);
	estimate->seen_bytes += cell->size;
}

static GHashTable *estimate_cells(const struct snapshot *snapshot, const GHashTable *families)
{
	GHashTable *estimates = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	struct size_class classes[SNAPSHOT_MAX_CLASSES] = { { 0 } };

	sum_classes(snapshot, classes);
	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);
		void *id = GUINT_TO_POINTER(cell->context);
		struct estimate *estimate = g_hash_table_lookup(estimates, id);
		const struct size_class *class = &classes[class_of(snapshot, cell->block_size)];
		enum family family =
			GPOINTER_TO_INT(g_hash_table_lookup((GHashTable *)families, id));

		if (!estimate) {
			estimate = g_new0(struct estimate, 1);
			g_hash_table_insert(estimates, id, estimate);
		}
		if (cell->block_size)
			add_of_class(estimate, cell, class, snapshot->families[family].windows);
		else
			add_of_any_size(estimate, cell, snapshot->families[family].windows);
	}
	return estimates;
}

static void set_live(struct snapshot_context *context, const struct estimate *estimate)
{
	static const struct estimate none;
	const struct estimate *found = estimate ? estimate : &none;

	context->estimated = true;
	if (estimate && context->live_blocks > 0) {
		/* In the same measure, so that they compare with what was outstanding then. */
		double scale = estimate->blocks / context->live_blocks;

		context->old_alloc_blocks = context->old_alloc_blocks * scale;
		context->old_live_blocks = context->old_live_blocks * scale;
	}
	context->live_blocks = llround(found->blocks);
	context->live_bytes = llround(found->bytes);
	/* What was seen is there. */
	context->live_bytes_low =
		MIN(MAX(found->bytes - sqrt(found->below_squares), found->seen_bytes),
		    found->bytes);
	context->live_bytes_high = found->bytes + sqrt(found->above_squares);
}

static GHashTable *families_by_context(const struct snapshot *snapshot)
{
	GHashTable *families = g_hash_table_new(g_direct_hash, g_direct_equal);

	for (guint i = 0; i < snapshot->contexts->len; i++) {
		const struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		g_hash_table_insert(families, GUINT_TO_POINTER(context->id),
				    GINT_TO_POINTER(context->family));
	}
	return families;
}

void estimate_contexts(struct snapshot *snapshot)
{
	g_autoptr(GHashTable) families = NULL, estimates = NULL;

	if (!snapshot->cells)
		return;
	families = families_by_context(snapshot);
	estimates = estimate_cells(snapshot, families);
	for (guint i = 0; i < snapshot->contexts->len; i++) {
		struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		if (snapshot->families[context->family].mode == FAMILY_MODE_SAMPLED)
			set_live(context, g_hash_table_lookup(estimates,
							      GUINT_TO_POINTER(context->id)));
	}
}
