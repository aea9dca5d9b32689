// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/estimate.h"

#include <math.h>
#include <stdio.h>

#include "analyse/significance.h"

/* Relative standard errors that no count shows: see the header. */
static const double SHARE_ERROR = 0.1;
static const double FRACTION_ERROR = 0.12;
/* So far off may be what young survivors say, temporaries among them. */
static const double YOUNG_FACTOR = 4;
/* Above this the time observed on malloc is the better measure. */
static const double TRUSTED_OWN_SHARE = 0.6;
/* Less growth than this may be anything: stacks, fragments, free lists. */
static const double TELLING_GROWTH_BYTES = 4 << 20;
static const double MAX_CORRECTION = 30;
/* So many bursts there can be, with 95 %, when none was seen: upper limit of a Poisson count of 0.
 */
static const double UNSEEN_BURSTS = 3;

/* Of one context: bytes, and how far the truth may be below and above, squared. */
struct estimate {
	double blocks, bytes;
	double below_squares, above_squares;
	double seen_bytes;
};

/* Of all contexts of a size class, at one age. */
struct size_class {
	double weight, squares; /* sums as in struct sample_cell */
	uint64_t seen;
	double total; /* blocks that there are to share out */
	double alike; /* of them, young blocks that are shared out like recent ones */
};

typedef struct size_class size_classes[SURVIVOR_AGES][SNAPSHOT_MAX_CLASSES];

static uint32_t class_of(const struct snapshot *snapshot, uint32_t block_size)
{
	uint32_t step = snapshot->class_step;

	return step && block_size >= step ? MIN(block_size / step, SNAPSHOT_MAX_CLASSES) - 1 : 0;
}

static struct size_class *class_at(const struct snapshot *snapshot, size_classes classes,
				   const struct sample_cell *cell)
{
	return &classes[cell->age][class_of(snapshot, cell->block_size)];
}

/*
 * Which blocks each age has to share out. Young survivors are not to be trusted, so as many young
 * blocks as there are recent ones are taken to be of the same sites: what grows goes on growing.
 * Blocks of an age of which no window has seen any are shared out by the nearest that has some.
 */
static void total_class(const struct snapshot *snapshot, size_classes classes, uint32_t i)
{
	struct size_class *young = &classes[SURVIVOR_YOUNG][i];
	struct size_class *recent = &classes[SURVIVOR_RECENT][i];
	struct size_class *old = &classes[SURVIVOR_OLD][i];
	struct size_class *last = recent->seen ? recent : old;
	double recent_total = snapshot->class_blocks[SURVIVOR_RECENT][i];

	young->total = snapshot->class_blocks[SURVIVOR_YOUNG][i];
	old->total = snapshot->class_blocks[SURVIVOR_OLD][i];
	if (!last->seen) {
		young->total += recent_total + old->total;
		return;
	}
	last->alike = MIN(young->total, recent_total);
	young->total -= last->alike;
	last->total += recent_total + last->alike;
	if (!old->seen)
		recent->total += old->total;
}

static guint site_hash(const void *key)
{
	const struct sample_cell *cell = key;

	return cell->context * 31 + cell->block_size;
}

static gboolean site_equal(const void *left, const void *right)
{
	const struct sample_cell *a = left, *b = right;

	return a->context == b->context && a->block_size == b->block_size;
}

/*
 * Leaves young cells with the weight that goes beyond that of recent ones: the rest of the young
 * blocks is not for sites that have had their part.
 */
static void lessen_young_cells(const struct snapshot *snapshot, size_classes classes, GArray *cells)
{
	g_autoptr(GHashTable) last = g_hash_table_new(site_hash, site_equal);

	for (guint i = 0; i < snapshot->cells->len; i++) {
		struct sample_cell *cell = &g_array_index(snapshot->cells, struct sample_cell, i);

		if (cell->block_size && class_at(snapshot, classes, cell)->alike > 0)
			g_hash_table_add(last, cell);
	}
	for (guint i = 0; i < cells->len; i++) {
		struct sample_cell *cell = &g_array_index(cells, struct sample_cell, i);
		const struct sample_cell *before = g_hash_table_lookup(last, cell);
		struct size_class *young = class_at(snapshot, classes, cell);
		double part;

		if (cell->age != SURVIVOR_YOUNG || !before)
			continue;
		part = class_at(snapshot, classes, before)->alike /
		       MAX(snapshot->class_blocks[before->age]
						 [class_of(snapshot, cell->block_size)],
			   1);
		part = MIN(before->weight * part, cell->weight);
		cell->weight -= part;
		young->weight -= part;
	}
}

/* Adds an independent part that is @value, or anything from @low to @high. */
static void add(struct estimate *estimate, double value, double low, double high)
{
	estimate->bytes += value;
	estimate->below_squares += (value - low) * (value - low);
	estimate->above_squares += (high - value) * (high - value);
}

/* How many independent events of equal weight would have the same spread: 1 to @blocks. */
static double events(double sum, double squares, uint64_t blocks)
{
	return squares > 0 ? CLAMP(sum * sum / squares, 1, MAX((double)blocks, 1)) : blocks;
}

/*
 * The quantile of the F distribution, cube root, with 2 x @above and 2 x @below degrees of freedom
 * (Paulson 1942, by Wilson and Hilferty's cube root of chi-squared): of the quotient of two counts
 * over its mean. Infinite where the lower count tells nothing.
 */
static double quotient_quantile(double above, double below, double z)
{
	double a = 1 / (9 * above), b = 1 / (9 * below), bottom = (1 - b) * (1 - b) - z * z * b;
	double root = (1 - a) * (1 - a) * b + (1 - b) * (1 - b) * a - z * z * a * b;

	if (bottom <= 0 || root < 0)
		return z > 0 ? INFINITY : 0;
	return MAX(((1 - a) * (1 - b) + z * sqrt(root)) / bottom, 0);
}

/*
 * The interval of the share y / (y + z): that of a share of independent events (Clopper and Pearson
 * 1934), which weighted bursts are counted as. What both have in common, being seen by the same
 * windows, does not spread their quotient and makes the events count for more.
 */
static void share_interval(const struct sample_cell *cell, const struct size_class *class,
			   double *low, double *high)
{
	double y = cell->weight, z = class->weight - y, odds = y / z;
	double common = MAX(cell->weight_products - cell->weight_squares, 0);
	double z_squares = MAX(class->squares - cell->weight_squares - 2 * common, 0);
	double in_y = events(y, cell->weight_squares, cell->blocks);
	double in_z = events(z, z_squares, class->seen - cell->blocks);
	double apart = 1 / in_y + 1 / in_z, gain = apart / MAX(apart - 2 * common / (y * z), 1e-9);
	double lower, upper;

	in_y = MIN(in_y * MAX(gain, 1), (double)cell->blocks);
	in_z = MIN(in_z * MAX(gain, 1), (double)(class->seen - cell->blocks));
	lower = pow(quotient_quantile(in_y, in_z + 1, -QUANTILE_95), 3) * odds * in_z / (in_z + 1);
	upper = pow(quotient_quantile(in_y + 1, in_z, QUANTILE_95), 3) * odds * (in_y + 1) / in_y;
	*low = lower / (1 + lower);
	*high = isfinite(upper) ? upper / (1 + upper) : 1;
}

/* Of the part of @share that is young blocks, taken to be like recent ones: chance, and what is
 * left of the young ones. */
static void add_alike(struct estimate *estimate, const struct sample_cell *cell, double share,
		      double alike, double rest)
{
	double chance = QUANTILE_95 * sqrt(alike * share), size = cell->block_size;

	add(estimate, 0, -chance * size, (chance + rest * share) * size);
}

static void add_share(struct estimate *estimate, const struct sample_cell *cell,
		      const struct size_class *class)
{
	double total = class->total;
	double share = MIN(cell->weight / class->weight, 1), low = share, high = share;
	double bytes = total * cell->block_size, error = QUANTILE_95 * SHARE_ERROR * share;

	if (class->squares > 0 && (class->seen == cell->blocks || class->weight <= cell->weight)) {
		double count = events(cell->weight, cell->weight_squares, cell->blocks);

		low = share * count / (count + UNSEEN_BURSTS);
	} else if (class->squares > 0) {
		share_interval(cell, class, &low, &high);
	}
	if (cell->age == SURVIVOR_YOUNG) {
		low = MIN(low, share / YOUNG_FACTOR);
		high = MAX(high, MIN(share * YOUNG_FACTOR, 1));
	}
	estimate->blocks += total * share;
	estimate->seen_bytes += MIN((double)cell->size, bytes * share);
	add(estimate, bytes * share, bytes * (share - hypot(share - low, error)),
	    bytes * MIN(share + hypot(high - share, error), 1));
}

/* Quantile of the chi-squared distribution with 2 x @half degrees, halved (Wilson and Hilferty
 * 1931). */
static double half_chi_squared(double half, double z)
{
	double root = 1 - 1 / (9 * half) + z / (3 * sqrt(half));

	return half * pow(MAX(root, 0), 3);
}

/*
 * The interval is that of a weighted sum of Poisson counts (Fay and Feuer 1997): for the few bursts
 * that a rare event leaves it is far from symmetric.
 */
static void add_weighted(struct estimate *estimate, const struct sample_cell *cell, double windows,
			 double correction)
{
	double bytes = cell->bytes, squares = cell->byte_squares, low = bytes, high = bytes;
	double error = QUANTILE_95 * FRACTION_ERROR * bytes, count;

	if (squares > 0) {
		/* The spread of a sum of @windows independent terms. */
		if (windows > 1)
			squares -= bytes * bytes / windows;
		count = events(bytes, squares, cell->blocks);
		low = bytes / count * half_chi_squared(count, -QUANTILE_95);
		high = bytes / count * half_chi_squared(count + 1, QUANTILE_95);
	} else {
		error = 0;
	}
	estimate->blocks += cell->weight * correction;
	estimate->seen_bytes += cell->size;
	add(estimate, bytes * correction, correction * (bytes - hypot(bytes - low, error)),
	    correction * (bytes + hypot(high - bytes, error)));
}

static enum family family_of(GHashTable *families, uint32_t context)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(families, GUINT_TO_POINTER(context)));
}

/* Malloc's survivors together. */
struct malloc_sample {
	double bytes, squares; /* sums as in struct sample_cell */
	double seen_bytes;
	uint64_t blocks;
};

static struct malloc_sample malloc_sample(const struct snapshot *snapshot, GHashTable *families)
{
	struct malloc_sample sample = { 0 };

	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);

		if (cell->block_size || family_of(families, cell->context) != FAMILY_MALLOC)
			continue;
		sample.bytes += cell->bytes;
		sample.squares += cell->byte_squares;
		sample.seen_bytes += cell->size;
		sample.blocks += cell->blocks;
	}
	return sample;
}

/* The growth of private memory that is malloc's: what pools, mappings and free chunks do not hold.
 */
static double malloc_growth(const struct snapshot *snapshot)
{
	double left = snapshot->private_growth_bytes - snapshot->pool_growth_bytes -
		      snapshot->malloc_free_growth_bytes;

	for (guint i = 0; i < snapshot->contexts->len; i++) {
		const struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		if (context->family == FAMILY_MMAP)
			left -= context->live_bytes;
	}
	return left;
}

/*
 * Where the time observed on malloc is little more than a guess, its growth says how much its
 * survivors hold together. Else it has a say within the sample's own interval: a large block that
 * one window saw stands for a dozen that nobody has seen, such as the items of a list that is
 * resized now and then, and few survivors for more, or less, than they should.
 */
static double malloc_correction(const struct snapshot *snapshot, GHashTable *families)
{
	struct malloc_sample sample = malloc_sample(snapshot, families);
	double growth = malloc_growth(snapshot), room = MAX(growth, TELLING_GROWTH_BYTES);
	double count, least, most;

	if (snapshot->families[FAMILY_MALLOC].mode != FAMILY_MODE_SAMPLED || sample.bytes <= 0)
		return 1;
	if (snapshot->malloc_own_share <= TRUSTED_OWN_SHARE && growth >= TELLING_GROWTH_BYTES)
		return CLAMP(growth / sample.bytes, 1 / MAX_CORRECTION, MAX_CORRECTION);
	if (!snapshot->memory.malloc_known || sample.squares <= 0)
		return 1;
	count = events(sample.bytes, sample.squares, sample.blocks);
	if (sample.bytes > room) {
		least = sample.bytes / count * half_chi_squared(count, -QUANTILE_95);
		return MIN(MAX(room, MAX(least, sample.seen_bytes)) / sample.bytes, 1);
	}
	if (growth < TELLING_GROWTH_BYTES)
		return 1;
	most = sample.bytes / count * half_chi_squared(count + 1, QUANTILE_95);
	return MIN(growth, most) / sample.bytes;
}

static struct estimate *estimate_of(GHashTable *estimates, uint32_t context)
{
	void *id = GUINT_TO_POINTER(context);
	struct estimate *estimate = g_hash_table_lookup(estimates, id);

	if (!estimate) {
		estimate = g_new0(struct estimate, 1);
		g_hash_table_insert(estimates, id, estimate);
	}
	return estimate;
}

static void total_classes(const struct snapshot *snapshot, size_classes classes, GArray *cells)
{
	for (guint i = 0; i < cells->len; i++) {
		const struct sample_cell *cell = &g_array_index(cells, struct sample_cell, i);
		struct size_class *class = class_at(snapshot, classes, cell);

		if (!cell->block_size)
			continue;
		class->weight += cell->weight;
		class->squares += cell->weight_products;
		class->seen += cell->blocks;
	}
	for (uint32_t i = 0; i < SNAPSHOT_MAX_CLASSES; i++)
		total_class(snapshot, classes, i);
	lessen_young_cells(snapshot, classes, cells);
	for (uint32_t i = 0; i < SNAPSHOT_MAX_CLASSES; i++) {
		struct size_class *recent = &classes[SURVIVOR_RECENT][i];

		if (classes[SURVIVOR_YOUNG][i].weight <= 0)
			*(recent->seen ? &recent->total : &classes[SURVIVOR_OLD][i].total) +=
				classes[SURVIVOR_YOUNG][i].total;
	}
}

/* pymalloc's: cells with a size class. */
static void estimate_shares(const struct snapshot *snapshot, GHashTable *estimates)
{
	g_autoptr(GArray) cells = g_array_copy(snapshot->cells);
	size_classes classes = { { { 0 } } };

	total_classes(snapshot, classes, cells);
	for (guint i = 0; i < cells->len; i++) {
		const struct sample_cell *cell = &g_array_index(cells, struct sample_cell, i);
		const struct size_class *class = class_at(snapshot, classes, cell);
		double rest = classes[SURVIVOR_YOUNG][class_of(snapshot, cell->block_size)].total;
		struct estimate *estimate = estimate_of(estimates, cell->context);

		if (!cell->block_size || cell->weight <= 0)
			continue;
		add_share(estimate, cell, class);
		if (class->alike > 0)
			add_alike(estimate, cell, cell->weight / class->weight, class->alike, rest);
	}
}

/* Of the other families. */
static void estimate_sums(const struct snapshot *snapshot, GHashTable *families,
			  GHashTable *estimates)
{
	double correction = malloc_correction(snapshot, families);

	for (guint i = 0; i < snapshot->cells->len; i++) {
		const struct sample_cell *cell =
			&g_array_index(snapshot->cells, struct sample_cell, i);
		enum family family = family_of(families, cell->context);

		if (!cell->block_size && cell->weight > 0)
			add_weighted(estimate_of(estimates, cell->context), cell,
				     snapshot->families[family].windows,
				     family == FAMILY_MALLOC ? correction : 1);
	}
}

static void set_live(struct snapshot_context *context, const struct estimate *estimate)
{
	static const struct estimate none;
	const struct estimate *found = estimate ? estimate : &none;

	context->estimated = true;
	if (estimate && context->live_blocks > 0) {
		/* In the same measure, so that they compare with what was outstanding then. Windows
		 * were not as many all the time: what blocks stand for says how many are old. */
		double scale = estimate->blocks / context->live_blocks;

		if (context->live_weight > 0 && context->old_live_blocks)
			scale = estimate->blocks * context->old_live_weight / context->live_weight /
				context->old_live_blocks;
		context->old_alloc_blocks = context->old_alloc_blocks * scale;
		context->old_live_blocks = context->old_live_blocks * scale;
	}
	context->live_blocks = llround(found->blocks);
	context->live_bytes = llround(found->bytes);
	/* What was seen is there. */
	context->live_bytes_low = MIN(
		MAX(found->bytes - sqrt(found->below_squares), found->seen_bytes), found->bytes);
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
	estimates = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	estimate_shares(snapshot, estimates);
	estimate_sums(snapshot, families, estimates);
	for (guint i = 0; i < snapshot->contexts->len; i++) {
		struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		if (snapshot->families[context->family].mode == FAMILY_MODE_SAMPLED)
			set_live(context,
				 g_hash_table_lookup(estimates, GUINT_TO_POINTER(context->id)));
	}
}
