// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/cells.h"

/*
 * Births less than 2^27 ns (134 ms) apart count as one burst: longer than a window (--burst is 30
 * ms unless told otherwise), shorter than the time from one to the next.
 */
enum { BURST_SHIFT = 27 };

/* What one burst saw of one context in one size class; all of it is of one age. */
struct part {
	uint32_t context, block_size;
	enum survivor_age age;
	uint64_t burst;
	uint64_t blocks, size;
	double weight, bytes;
};

/* What one burst saw of one size class. */
struct burst_class {
	uint32_t block_size;
	enum survivor_age age;
	uint64_t burst;
	double weight;
};

struct cells {
	GHashTable *parts;   /* a set of struct part */
	GHashTable *classes; /* a set of struct burst_class */
};

static guint mix(uint64_t a, uint64_t b)
{
	uint64_t hash = (a * 0x9e3779b97f4a7c15ULL ^ b) * 0xd6e8feb86659fd93ULL;

	return hash ^ hash >> 32;
}

static guint part_hash(const void *key)
{
	const struct part *part = key;

	return mix((uint64_t)part->context << 32 | part->block_size, part->burst ^ part->age);
}

static gboolean part_equal(const void *left, const void *right)
{
	const struct part *a = left, *b = right;

	return a->context == b->context && a->block_size == b->block_size && a->age == b->age &&
	       a->burst == b->burst;
}

static guint class_hash(const void *key)
{
	const struct burst_class *class = key;

	return mix(class->block_size, class->burst ^ class->age);
}

static gboolean class_equal(const void *left, const void *right)
{
	const struct burst_class *a = left, *b = right;

	return a->block_size == b->block_size && a->age == b->age && a->burst == b->burst;
}

struct cells *cells_new(void)
{
	struct cells *cells = g_new0(struct cells, 1);

	cells->parts = g_hash_table_new_full(part_hash, part_equal, g_free, NULL);
	cells->classes = g_hash_table_new_full(class_hash, class_equal, g_free, NULL);
	return cells;
}

void cells_free(struct cells *cells)
{
	if (!cells)
		return;
	g_hash_table_unref(cells->parts);
	g_hash_table_unref(cells->classes);
	g_free(cells);
}

void cells_add(struct cells *cells, const struct survivor *survivor, double weight)
{
	struct part part = {
		.context = survivor->context,
		.block_size = survivor->block_size,
		.age = survivor->age,
		.burst = survivor->born_ns >> BURST_SHIFT,
	};
	struct burst_class class = { survivor->block_size, survivor->age, part.burst, 0 };
	struct burst_class *known_class;
	struct part *known;

	known = g_hash_table_lookup(cells->parts, &part);
	if (!known) {
		known = g_memdup2(&part, sizeof(part));
		g_hash_table_add(cells->parts, known);
	}
	known_class = g_hash_table_lookup(cells->classes, &class);
	if (!known_class) {
		known_class = g_memdup2(&class, sizeof(class));
		g_hash_table_add(cells->classes, known_class);
	}
	known->blocks++;
	known->size += survivor->size;
	known->weight += weight;
	known->bytes += weight * survivor->size;
	known_class->weight += weight;
}

static guint cell_hash(const void *key)
{
	const struct sample_cell *cell = key;

	return mix((uint64_t)cell->context << 32 | cell->block_size, cell->age);
}

static gboolean cell_equal(const void *left, const void *right)
{
	const struct sample_cell *a = left, *b = right;

	return a->context == b->context && a->block_size == b->block_size && a->age == b->age;
}

static struct sample_cell *find_cell(GHashTable *set, const struct part *part)
{
	struct sample_cell key = { .context = part->context,
				   .age = part->age,
				   .block_size = part->block_size };
	struct sample_cell *cell = g_hash_table_lookup(set, &key);

	if (!cell) {
		cell = g_memdup2(&key, sizeof(key));
		g_hash_table_add(set, cell);
	}
	return cell;
}

static void add_part(const struct cells *cells, struct sample_cell *cell, const struct part *part)
{
	const struct burst_class class = { part->block_size, part->age, part->burst, 0 }, *all;
	/* Where all is seen nothing is left to chance. */
	double unsure = MAX(1 - part->blocks / part->weight, 0);

	all = g_hash_table_lookup(cells->classes, &class);
	cell->blocks += part->blocks;
	cell->size += part->size;
	cell->weight += part->weight;
	cell->bytes += part->bytes;
	cell->weight_squares += unsure * part->weight * part->weight;
	cell->weight_products += unsure * part->weight * all->weight;
	cell->byte_squares += unsure * part->bytes * part->bytes;
}

GArray *cells_sum(const struct cells *cells)
{
	g_autoptr(GHashTable) set = g_hash_table_new_full(cell_hash, cell_equal, g_free, NULL);
	GArray *sums = g_array_new(false, false, sizeof(struct sample_cell));
	GHashTableIter iterator;
	void *item;

	g_hash_table_iter_init(&iterator, cells->parts);
	while (g_hash_table_iter_next(&iterator, &item, NULL))
		add_part(cells, find_cell(set, item), item);
	g_hash_table_iter_init(&iterator, set);
	while (g_hash_table_iter_next(&iterator, &item, NULL))
		g_array_append_vals(sums, item, 1);
	return sums;
}
