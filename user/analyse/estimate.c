// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/estimate.h"

#include <math.h>

/* Variance of a count over its mean: survivors come in clusters. */
static const double CLUSTERING = 2;
/* Relative standard errors that no count shows, by family: see the header. */
static const double SHARE_ERROR = 0.04;
static const double FRACTION_ERROR = 0.12;
/* Of a normal distribution, two-sided. */
static const double QUANTILE_95 = 1.96;

struct estimate {
	double blocks, bytes, variance; /* of bytes */
};

static uint32_t class_of(const struct snapshot *snapshot, uint32_t block_size)
{
	return snapshot->class_step
		       ? MIN(block_size / snapshot->class_step, SNAPSHOT_MAX_CLASSES) - 1
		       : 0;
}

struct class_sums {
	double weight, squares;
};

static void sum_classes(const struct snapshot *snapshot,
			struct class_sums sums[SNAPSHOT_MAX_CLASSES])
{
	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);

		if (!cell->block_size)
			continue;
		sums[class_of(snapshot, cell->block_size)].weight += cell->weight;
		sums[class_of(snapshot, cell->block_size)].squares += cell->weight_squares;
	}
}

/* A share s = y / (y + z) of a known total: var(s) = (z^2 var(y) + y^2 var(z)) / (y + z)^4. */
static void add_share(struct estimate *estimate, const struct sample_cell *cell,
		      const struct class_sums *sums, double total)
{
	double y = cell->weight, z = sums->weight - y, all = sums->weight;
	double var_y = CLUSTERING * cell->weight_squares,
	       var_z = CLUSTERING * (sums->squares - cell->weight_squares);
	double share = y / all,
	       variance = (z * z * var_y + y * y * MAX(var_z, 0)) / (all * all * all * all);
	double bytes = total * cell->block_size;

	estimate->blocks += total * share;
	estimate->bytes += bytes * share;
	estimate->variance +=
		bytes * bytes * (variance + share * share * SHARE_ERROR * SHARE_ERROR);
}

static void add_weighted(struct estimate *estimate, const struct sample_cell *cell)
{
	estimate->blocks += cell->weight;
	estimate->bytes += cell->bytes;
	estimate->variance += CLUSTERING * cell->byte_squares +
			      FRACTION_ERROR * FRACTION_ERROR * cell->bytes * cell->bytes;
}

static GHashTable *estimate_cells(const struct snapshot *snapshot)
{
	GHashTable *estimates = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	struct class_sums sums[SNAPSHOT_MAX_CLASSES] = { { 0 } };

	sum_classes(snapshot, sums);
	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);
		struct estimate *estimate =
			g_hash_table_lookup(estimates, GUINT_TO_POINTER(cell->context));
		uint32_t size_class = cell->block_size ? class_of(snapshot, cell->block_size) : 0;

		if (!estimate) {
			estimate = g_new0(struct estimate, 1);
			g_hash_table_insert(estimates, GUINT_TO_POINTER(cell->context), estimate);
		}
		if (cell->block_size && sums[size_class].weight > 0)
			add_share(estimate, cell, &sums[size_class],
				  snapshot->class_blocks[size_class]);
		else
			add_weighted(estimate, cell);
	}
	return estimates;
}

void estimate_contexts(struct snapshot *snapshot)
{
	GHashTable *estimates;

	if (!snapshot->cells)
		return;
	estimates = estimate_cells(snapshot);
	for (guint i = 0; i < snapshot->contexts->len; i++) {
		struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);
		const struct estimate *estimate =
			g_hash_table_lookup(estimates, GUINT_TO_POINTER(context->id));
		double error;

		if (snapshot->families[context->family].mode != FAMILY_MODE_SAMPLED)
			continue;
		context->estimated = true;
		if (estimate && context->live_blocks > 0) {
			/* In the same measure, so that they compare with what was outstanding then.
			 */
			double scale = estimate->blocks / context->live_blocks;

			context->old_alloc_blocks = context->old_alloc_blocks * scale;
			context->old_live_blocks = context->old_live_blocks * scale;
		}
		error = estimate ? QUANTILE_95 * sqrt(estimate->variance) : 0;
		context->live_blocks = estimate ? llround(estimate->blocks) : 0;
		context->live_bytes = estimate ? llround(estimate->bytes) : 0;
		context->live_bytes_low = MAX(context->live_bytes - error, 0);
		context->live_bytes_high = context->live_bytes + error;
	}
	g_hash_table_unref(estimates);
}
