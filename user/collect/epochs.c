// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/epochs.h"

#include <stdbool.h>
#include <glib.h>

enum {
	MAX_EPOCHS = 128,
	/* Windows of an epoch: fewer make its fraction depend on where its ends fall. */
	MIN_WINDOWS = 8,
};
/* Above this all of the time counts as seen. */
static const double FULL = 0.9;
/* Less than this was not worth a window; it only keeps weights finite. */
static const double LEAST = 1e-9;

struct epoch {
	uint64_t until_ns;
	double own_ns, observed_ns;
	uint64_t windows;
};

struct epochs {
	GArray *items; /* of struct epoch, oldest first; the last one grows */
};

struct epochs *epochs_new(uint64_t began_ns)
{
	struct epochs *epochs = g_new0(struct epochs, 1);
	struct epoch first = { .until_ns = began_ns };

	epochs->items = g_array_new(false, true, sizeof(struct epoch));
	g_array_append_val(epochs->items, first);
	return epochs;
}

void epochs_free(struct epochs *epochs)
{
	if (!epochs)
		return;
	g_array_unref(epochs->items);
	g_free(epochs);
}

static double fraction(double observed_ns, double own_ns)
{
	return own_ns > 0 ? CLAMP(observed_ns / own_ns, 0, 1) : 0;
}

static struct epoch *epoch_at(const struct epochs *epochs, guint i)
{
	return &g_array_index(epochs->items, struct epoch, i);
}

/* Whether the last epoch ends where @part begins: it has windows enough, or it was seen whole and
 * @part was not, or the reverse. */
static bool is_complete(const struct epoch *last, const struct epoch *part)
{
	bool full = fraction(last->observed_ns, last->own_ns) > FULL;
	bool part_full = fraction(part->observed_ns, part->own_ns) > FULL;

	if (last->own_ns <= 0)
		return false;
	return full != part_full || (!full && last->windows >= MIN_WINDOWS);
}

static void join(struct epoch *epoch, const struct epoch *next)
{
	epoch->until_ns = next->until_ns;
	epoch->own_ns += next->own_ns;
	epoch->observed_ns += next->observed_ns;
	epoch->windows += next->windows;
}

/* Joins the two neighbours that differ least, so that old times keep their coarse shape. */
static void thin_out(struct epochs *epochs)
{
	double least = G_MAXDOUBLE;
	guint best = 0;

	for (guint i = 0; i + 2 < epochs->items->len; i++) {
		const struct epoch *a = epoch_at(epochs, i), *b = epoch_at(epochs, i + 1);
		double difference =
			fraction(a->observed_ns, a->own_ns) - fraction(b->observed_ns, b->own_ns);

		if (difference * difference < least) {
			least = difference * difference;
			best = i;
		}
	}
	join(epoch_at(epochs, best), epoch_at(epochs, best + 1));
	g_array_remove_index(epochs->items, best + 1);
}

void epochs_add(struct epochs *epochs, uint64_t until_ns, double own_ns, double observed_ns,
		uint64_t windows)
{
	struct epoch part = { until_ns, MAX(own_ns, 0), MAX(observed_ns, 0), windows };
	struct epoch *last = epoch_at(epochs, epochs->items->len - 1);

	if (!is_complete(last, &part)) {
		join(last, &part);
		return;
	}
	g_array_append_val(epochs->items, part);
	if (epochs->items->len > MAX_EPOCHS)
		thin_out(epochs);
}

double epochs_weight(const struct epochs *epochs, uint64_t born_ns, double window_ns)
{
	guint low = 0, high = epochs->items->len - 1;
	const struct epoch *epoch;
	double seen;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (born_ns < epoch_at(epochs, middle)->until_ns)
			high = middle;
		else
			low = middle + 1;
	}
	epoch = epoch_at(epochs, low);
	/* The latest may have no window yet: it is like the one before. */
	if (epoch->observed_ns <= 0 && !epoch->windows && low)
		epoch = epoch_at(epochs, low - 1);
	if (window_ns > 0 && epoch->windows)
		return MAX(epoch->own_ns / (epoch->windows * window_ns), 1);
	seen = fraction(epoch->observed_ns, epoch->own_ns);
	return seen > 0 ? 1 / MAX(seen, LEAST) : 1;
}
