// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/simulation.h"

#include <math.h>
#include <stdbool.h>

#include "collect/cells.h"
#include "collect/epochs.h"

/* As in collect/sampling.c. */
static const double SURVIVOR_AGE = 0.3, YOUNG = 5;
/* As cli/ looks at a target between reports. */
static const double LOOK_PERIOD = 0.5;
/* CLOCK_MONOTONIC at attach. */
static const double ATTACHED_NS = 1e12;

struct sim_window {
	double from, to;
	bool armed[SIMULATION_CONTEXTS];
};

struct sim_block {
	double born, died;
	uint32_t context, size;
	bool seen;
};

struct simulation {
	GRand *random;
	struct simulation_windows rules[FAMILY_COUNT];
	GArray *windows[FAMILY_COUNT]; /* of struct sim_window, in order */
	struct epochs *epochs[FAMILY_COUNT];
	enum family families[SIMULATION_CONTEXTS];
	bool used[SIMULATION_CONTEXTS];
	GArray *blocks; /* of struct sim_block */
	double churn[SNAPSHOT_MAX_CLASSES];
	uint32_t churn_context;
	double looked;
};

double random_exponential(GRand *random, double mean)
{
	return -mean * log(1 - g_rand_double(random));
}

uint32_t random_poisson(GRand *random, double mean)
{
	uint32_t count = 0;

	for (double sum = random_exponential(random, 1); sum < mean;
	     sum += random_exponential(random, 1))
		count++;
	return count;
}

static uint64_t to_ns(double time)
{
	return ATTACHED_NS + time * 1e9;
}

static void add_windows(struct simulation *simulation, enum family family, double end)
{
	const struct simulation_windows *rule = &simulation->rules[family];
	GRand *random = simulation->random;
	double time = g_rand_double(random) * rule->period;

	simulation->windows[family] = g_array_new(false, false, sizeof(struct sim_window));
	while (rule->period > 0 && time < end) {
		struct sim_window window = { .from = time, .to = time + rule->hold };

		for (int i = 0; i < SIMULATION_CONTEXTS; i++)
			window.armed[i] = g_rand_double(random) < rule->fraction;
		g_array_append_val(simulation->windows[family], window);
		time = window.to +
		       (rule->period - rule->hold) * g_rand_double_range(random, 2. / 3, 4. / 3);
	}
}

struct simulation *simulation_new(GRand *random, double end,
				  const struct simulation_windows windows[FAMILY_COUNT])
{
	struct simulation *simulation = g_new0(struct simulation, 1);

	simulation->random = random;
	simulation->blocks = g_array_new(false, false, sizeof(struct sim_block));
	for (int family = 0; family < FAMILY_COUNT; family++) {
		simulation->rules[family] = windows[family];
		add_windows(simulation, family, end);
		simulation->epochs[family] = epochs_new(to_ns(0));
	}
	return simulation;
}

void simulation_free(struct simulation *simulation)
{
	for (int family = 0; family < FAMILY_COUNT; family++) {
		g_array_unref(simulation->windows[family]);
		epochs_free(simulation->epochs[family]);
	}
	g_array_unref(simulation->blocks);
	g_free(simulation);
}

void simulation_context(struct simulation *simulation, uint32_t context, enum family family)
{
	simulation->families[context] = family;
	simulation->used[context] = true;
}

/* Whether a window saw the birth. */
static bool is_seen(const struct simulation *simulation, uint32_t context, double born)
{
	const GArray *windows = simulation->windows[simulation->families[context]];
	guint low = 0, high = windows->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (g_array_index(windows, struct sim_window, middle).to <= born)
			low = middle + 1;
		else
			high = middle;
	}
	return low < windows->len && g_array_index(windows, struct sim_window, low).from <= born &&
	       g_array_index(windows, struct sim_window, low).armed[context];
}

void simulation_block(struct simulation *simulation, uint32_t context, uint32_t size, double born,
		      double died)
{
	struct sim_block block = { born, died, context, size, is_seen(simulation, context, born) };

	/* What lived at attach is not the trace's. */
	if (born >= 0)
		g_array_append_val(simulation->blocks, block);
}

void simulation_random(struct simulation *simulation, uint32_t context, uint32_t size, double from,
		       double to, double rate, double life)
{
	for (double born = from + random_exponential(simulation->random, 1 / rate); born < to;
	     born += random_exponential(simulation->random, 1 / rate))
		simulation_block(simulation, context, size, born,
				 isinf(life) ? INFINITY
					     : born + random_exponential(simulation->random, life));
}

void simulation_churn(struct simulation *simulation, uint32_t context, uint32_t size, double count)
{
	simulation->churn[size / SIMULATION_STEP - 1] += count;
	simulation->churn_context = context;
}

/* The part of [@from, @to) that windows of @family saw, and how many opened in it. */
static double observed(const struct simulation *simulation, enum family family, double from,
		       double to, uint64_t *windows)
{
	double sum = 0;

	*windows = 0;
	for (guint i = 0; i < simulation->windows[family]->len; i++) {
		const struct sim_window *window =
			&g_array_index(simulation->windows[family], struct sim_window, i);

		sum += MAX(MIN(window->to, to) - MAX(window->from, from), 0);
		*windows += window->from >= from && window->from < to;
	}
	return sum * simulation->rules[family].fraction;
}

static void look(struct simulation *simulation, double time)
{
	for (int family = 0; family < FAMILY_COUNT; family++) {
		uint64_t windows;
		double seen = observed(simulation, family, simulation->looked, time, &windows);

		epochs_add(simulation->epochs[family], to_ns(time),
			   (time - simulation->looked) * 1e9, seen * 1e9, windows);
	}
	simulation->looked = time;
}

static enum survivor_age age_of(double age, double time)
{
	return MIN(age / MIN(time / SURVIVOR_AGES, YOUNG), SURVIVOR_OLD);
}

static double window_ns(const struct simulation *simulation, enum family family)
{
	return simulation->rules[family].hold * simulation->rules[family].fraction * 1e9;
}

/* The temporaries that live now, and those of the last windows that are taken for survivors. */
static void count_churn(const struct simulation *simulation, double time, struct snapshot *snapshot,
			struct cells *cells)
{
	const GArray *windows = simulation->windows[FAMILY_PYMALLOC];
	enum family family = FAMILY_PYMALLOC;

	for (guint class = 0; class < SNAPSHOT_MAX_CLASSES; class ++) {
		double count = simulation->churn[class];
		uint32_t size = (class + 1) * SIMULATION_STEP;

		if (count <= 0)
			continue;
		snapshot->class_blocks[SURVIVOR_YOUNG][class] +=
			random_poisson(simulation->random, count);
		for (guint i = 0; i < windows->len; i++) {
			double born = g_array_index(windows, struct sim_window, i).from;
			struct survivor survivor = { simulation->churn_context,
						     size,
						     size,
						     to_ns(born),
						     age_of(time - born, time),
						     window_ns(simulation, family) };

			for (int k = 0; k < count / 20 && born < time && born > time - 1; k++)
				cells_add(cells, &survivor,
					  epochs_weight(simulation->epochs[family],
							survivor.born_ns, survivor.window_ns));
		}
	}
}

static void count_block(const struct simulation *simulation, const struct sim_block *block,
			double time, struct snapshot_context *contexts, struct snapshot *snapshot,
			struct cells *cells)
{
	struct snapshot_context *context = &contexts[block->context];
	bool live = block->died > time, old = block->born <= time / 2;
	enum family family = simulation->families[block->context];
	bool pymalloc = family == FAMILY_PYMALLOC;
	struct survivor survivor = { block->context, pymalloc ? block->size : 0,
				     block->size,    to_ns(block->born),
				     SURVIVOR_YOUNG, window_ns(simulation, family) };

	survivor.age = age_of(time - block->born, time);
	if (live && pymalloc)
		snapshot->class_blocks[survivor.age][block->size / SIMULATION_STEP - 1]++;
	if (!block->seen)
		return;
	context->alloc_blocks++;
	context->alloc_bytes += block->size;
	context->old_alloc_blocks += old;
	context->old_live_blocks += old && live;
	if (!live)
		return;
	context->live_blocks++;
	context->live_bytes += block->size;
	if (!context->oldest_born_ns || to_ns(block->born) < context->oldest_born_ns)
		context->oldest_born_ns = to_ns(block->born);
	if (block->born + SURVIVOR_AGE <= time)
		cells_add(cells, &survivor,
			  epochs_weight(simulation->epochs[family], survivor.born_ns,
					survivor.window_ns));
}

static struct snapshot *empty_snapshot(const struct simulation *simulation, double time)
{
	struct snapshot *snapshot = g_new0(struct snapshot, 1);

	snapshot->attached_ns = to_ns(0);
	snapshot->taken_ns = to_ns(time);
	snapshot->survival_age_ns = time / 2 * 1e9;
	snapshot->coverage = -1;
	snapshot->malloc_own_share = 1;
	snapshot->class_step = SIMULATION_STEP;
	snapshot->contexts = g_array_new(false, false, sizeof(struct snapshot_context));
	for (int family = 0; family < FAMILY_COUNT; family++) {
		double seen =
			observed(simulation, family, 0, time, &snapshot->families[family].windows);

		snapshot->families[family].observed_fraction = seen / time;
		if (simulation->rules[family].period > 0)
			snapshot->families[family].mode = FAMILY_MODE_SAMPLED;
	}
	return snapshot;
}

struct snapshot *simulation_take(struct simulation *simulation, double time)
{
	struct snapshot_context contexts[SIMULATION_CONTEXTS] = { { 0 } };
	struct snapshot *snapshot = empty_snapshot(simulation, time);
	struct cells *cells = cells_new();

	while (simulation->looked + LOOK_PERIOD < time)
		look(simulation, simulation->looked + LOOK_PERIOD);
	look(simulation, time);
	count_churn(simulation, time, snapshot, cells);
	for (guint i = 0; i < simulation->blocks->len; i++) {
		const struct sim_block *block =
			&g_array_index(simulation->blocks, struct sim_block, i);

		if (block->born < time)
			count_block(simulation, block, time, contexts, snapshot, cells);
	}
	for (uint32_t id = 1; id < SIMULATION_CONTEXTS; id++) {
		contexts[id].id = id;
		contexts[id].family = simulation->families[id];
		if (contexts[id].alloc_blocks)
			g_array_append_val(snapshot->contexts, contexts[id]);
	}
	snapshot->cells = cells_sum(cells);
	cells_free(cells);
	return snapshot;
}

void simulation_truth(const struct simulation *simulation, double time,
		      int64_t blocks[SIMULATION_CONTEXTS], int64_t bytes[SIMULATION_CONTEXTS])
{
	for (int i = 0; i < SIMULATION_CONTEXTS; i++)
		blocks[i] = bytes[i] = 0;
	for (guint i = 0; i < simulation->blocks->len; i++) {
		const struct sim_block *block =
			&g_array_index(simulation->blocks, struct sim_block, i);

		if (block->born > time - SURVIVOR_AGE || block->died <= time)
			continue;
		blocks[block->context]++;
		bytes[block->context] += block->size;
	}
}
