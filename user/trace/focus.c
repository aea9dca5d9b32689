// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/focus.h"

#include <math.h>
#include <string.h>
#include <glib.h>

enum {
	MOST_CLASSES = 4, /* focused on in turn */
	/* Of births in windows that saw everything, before any is focused: what a site has not
	 * served among so many it hardly serves. */
	LEAST_BIRTHS = 2000,
	/* The same of a class; before that every site that serves several classes may serve it. */
	LEAST_OF_CLASS = 20,
	/* And of a site: of fewer it is not known what it serves. What leaks in rare bursts may do
	 * so through a site that is silent in between. */
	KNOWN_SITE = 200,
	/* When sums are halved: what a program did long ago says little. */
	MOST_BIRTHS = 1 << 18,
	/* Looks at growth: as few tell something, and so many count. */
	LEAST_LOOKS = 3,
	REMEMBERED_LOOKS = 5,
	/*
	 * When a focused window of a class arms a site: never, always, or in one of so many turns.
	 * Most sites are silent ones, of which nobody knows what they serve; arming them costs far
	 * more than what they mostly tell.
	 */
	TURNS = 3,
	TURN_NEVER = TURNS,
	TURN_ALWAYS,
};
/* Less growth, in all or of a class, says nothing. */
static const double LEAST_GROWTH = 256 << 10, LEAST_SHARE = 0.1;
/*
 * What a focused window costs over what one costs that sees everything, for the same time: an event
 * that is skipped over one that counts (1.0 us and 2.8 us with stacks of 24 frames), and arming all
 * of the sites.
 */
static const double SKIPPED_COST = 0.35, ARMING_COST = 0.1, LEAST_COST = 0.02;
/* Focused windows that are worth less than so many that see everything, or see less of their class,
 * are not worth it. */
static const double LEAST_WORTH = 1.4, LEAST_SEEN = 0.5;
/* How much windows that see everything are worth as if so much of the growth were theirs, and their
 * least chance: they find what focused ones cannot see. */
static const double WHOLE_SHARE = 0.25, LEAST_WHOLE_CHANCE = 0.125;
/* What they last, of a burst, beside focused ones, of which they cost five times as much with
 * matplotlib, and while there are too few births to focus by. */
static const double WHOLE_LENGTH = 0.5;

struct focused_class {
	uint32_t size_class;
	double worth;  /* see focus_on() */
	double chance; /* that a window is of this class */
	double seen;   /* part of its births, by what is known */
	uint8_t *turn; /* of each site: when it is armed */
};

struct focus {
	uint32_t sites, alignment;
	int *classes;	  /* of each site, by its code; below 0: unknown */
	uint32_t *births; /* [site][class] */
	uint64_t of_class[FOCUS_CLASSES], all;
	int64_t growth[REMEMBERED_LOOKS][FOCUS_CLASSES];
	uint32_t looks;
	/* As of the last draw. */
	struct focused_class focused[MOST_CLASSES];
	uint32_t count;
	double whole_chance;
	bool *armed; /* by number of the site */
};

struct focus *focus_new(uint32_t sites, const int *classes, uint32_t alignment)
{
	struct focus *focus = g_new0(struct focus, 1);

	focus->sites = sites;
	focus->alignment = MAX(alignment, 1);
	focus->classes = g_new(int, sites);
	for (uint32_t site = 0; site < sites; site++)
		focus->classes[site] = classes ? classes[site] : -1;
	focus->births = g_new0(uint32_t, (size_t)sites * FOCUS_CLASSES);
	focus->whole_chance = 1;
	focus->armed = g_new0(bool, sites);
	for (int i = 0; i < MOST_CLASSES; i++)
		focus->focused[i].turn = g_new0(uint8_t, sites);
	return focus;
}

void focus_free(struct focus *focus)
{
	if (!focus)
		return;
	for (int i = 0; i < MOST_CLASSES; i++)
		g_free(focus->focused[i].turn);
	g_free(focus->armed);
	g_free(focus->births);
	g_free(focus->classes);
	g_free(focus);
}

static uint32_t *births_at(const struct focus *focus, uint32_t site)
{
	return focus->births + (size_t)site * FOCUS_CLASSES;
}

/* Not below FOCUS_CLASSES where there is no such class. */
static uint32_t class_of(const struct focus *focus, const struct birth *birth)
{
	return birth->size / focus->alignment - 1;
}

static void halve(struct focus *focus)
{
	memset(focus->of_class, 0, sizeof(focus->of_class));
	focus->all = 0;
	for (uint32_t site = 0; site < focus->sites; site++)
		for (uint32_t i = 0; i < FOCUS_CLASSES; i++) {
			uint32_t left = births_at(focus, site)[i] /= 2;

			focus->of_class[i] += left;
			focus->all += left;
		}
}

void focus_learn(struct focus *focus, const struct birth *births, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size_class = class_of(focus, &births[i]);

		if (births[i].site >= focus->sites || size_class >= FOCUS_CLASSES)
			continue;
		births_at(focus, births[i].site)[size_class]++;
		focus->of_class[size_class]++;
		focus->all++;
	}
	if (focus->all > MOST_BIRTHS)
		halve(focus);
}

void focus_set_growth(struct focus *focus, const int64_t bytes[FOCUS_CLASSES])
{
	memcpy(focus->growth[focus->looks++ % REMEMBERED_LOOKS], bytes,
	       FOCUS_CLASSES * sizeof(*bytes));
}

static double growth_of(const struct focus *focus, uint32_t size_class)
{
	int64_t least = INT64_MAX;

	if (focus->looks < LEAST_LOOKS)
		return 0;
	for (uint32_t i = 0; i < MIN(focus->looks, REMEMBERED_LOOKS); i++)
		least = MIN(least, focus->growth[i][size_class]);
	return MAX(least, 0);
}

/* A site that may always be armed in windows on a class. */
struct candidate {
	uint32_t site;
	uint64_t births; /* of the class */
	uint64_t events; /* of all classes, above 0 */
};

/* Those that serve mostly the class come first. */
static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	double pure_a = (double)a->births / a->events, pure_b = (double)b->births / b->events;

	return pure_a < pure_b ? 1 : pure_a > pure_b ? -1 : 0;
}

static bool may_serve(const struct focus *focus, uint32_t site, uint32_t size_class)
{
	return focus->classes[site] < 0 || focus->classes[site] == (int)size_class;
}

/*
 * The sites that have served the class; while little is known of it, also those that serve several
 * others. Those of which little is known, and that may serve it, get a turn in @class; @silent: how
 * many.
 */
static GArray *candidates(const struct focus *focus, struct focused_class *class, uint32_t *silent)
{
	bool known = focus->of_class[class->size_class] >= LEAST_OF_CLASS;
	GArray *found = g_array_new(false, false, sizeof(struct candidate));

	*silent = 0;
	for (uint32_t site = 0; site < focus->sites; site++) {
		const uint32_t *births = births_at(focus, site);
		struct candidate candidate = { .site = site, .births = births[class->size_class] };
		uint32_t classes = 0;

		for (uint32_t i = 0; i < FOCUS_CLASSES; i++) {
			candidate.events += births[i];
			classes += births[i] > 0;
		}
		class->turn[site] = TURN_NEVER;
		if (candidate.births || (!known && classes > 1))
			g_array_append_val(found, candidate);
		else if (candidate.events < KNOWN_SITE && may_serve(focus, site, class->size_class))
			class->turn[site] = (*silent)++ % TURNS;
	}
	g_array_sort(found, compare_candidates);
	return found;
}

/*
 * Finds the sites that tell most for what they cost: those that serve the class among many others
 * may cost more than they tell, and are left to the windows that see everything. A window's worth
 * is the part of the class that it sees over the root of what it costs. False where none is worth
 * it.
 */
static bool focus_on(const struct focus *focus, struct focused_class *class)
{
	uint64_t births = 0, events = 0, all = focus->of_class[class->size_class];
	uint32_t silent, best = 0;
	g_autoptr(GArray) found = candidates(focus, class, &silent);

	class->worth = LEAST_WORTH;
	for (uint32_t count = 1; count <= found->len; count++) {
		const struct candidate *last = &g_array_index(found, struct candidate, count - 1);
		double armed = count + (double)silent / TURNS, seen, worth;

		births += last->births;
		events += last->events;
		/* Where little is known: of all of them together it may be the class. */
		seen = all < LEAST_OF_CLASS ? count == found->len : (double)births / all;
		worth = seen / sqrt(LEAST_COST + ARMING_COST * armed / focus->sites +
				    (births + SKIPPED_COST * (events - births)) / focus->all);
		if (seen < LEAST_SEEN || worth <= class->worth)
			continue;
		class->worth = worth;
		class->seen = seen;
		best = count;
	}
	for (uint32_t i = 0; i < best; i++)
		class->turn[g_array_index(found, struct candidate, i).site] = TURN_ALWAYS;
	return best;
}

static uint32_t largest(const double growth[FOCUS_CLASSES])
{
	uint32_t found = 0;

	for (uint32_t i = 1; i < FOCUS_CLASSES; i++)
		if (growth[i] > growth[found])
			found = i;
	return found;
}

/* Which classes are worth a window of their own, and how often: as the least error for the same
 * cost has it (Neyman 1934), by what is to be shared out over the root of the cost. */
static void plan(struct focus *focus)
{
	double growth[FOCUS_CLASSES], all = 0, sum = 0, left = 1, whole;

	focus->count = 0;
	focus->whole_chance = 1;
	for (uint32_t i = 0; i < FOCUS_CLASSES; i++)
		all += growth[i] = growth_of(focus, i);
	if (focus->all < LEAST_BIRTHS || all < LEAST_GROWTH)
		return;
	for (uint32_t i = 0; i < MOST_CLASSES; i++) {
		struct focused_class *class = &focus->focused[focus->count];
		uint32_t next = largest(growth);
		double share = growth[next] / all;

		if (share < LEAST_SHARE)
			break;
		growth[next] = 0;
		class->size_class = next;
		if (!focus_on(focus, class))
			continue;
		class->chance = class->worth * share;
		sum += class->chance;
		left -= share * class->seen;
		focus->count++;
	}
	if (!focus->count)
		return;
	whole = MAX(WHOLE_SHARE, left);
	focus->whole_chance = MAX(whole / (whole + sum), LEAST_WHOLE_CHANCE);
	for (uint32_t i = 0; i < focus->count; i++)
		focus->focused[i].chance *= (1 - focus->whole_chance) / sum;
}

/* Arms for a window on @class what is always armed and what is so in @turn. How many these are. */
static uint32_t arm(struct focus *focus, const struct focused_class *class, uint8_t turn)
{
	uint32_t armed = 0;

	for (uint32_t site = 0; site < focus->sites; site++) {
		focus->armed[site] = class->turn[site] == TURN_ALWAYS || class->turn[site] == turn;
		armed += focus->armed[site];
	}
	return armed;
}

void focus_draw(struct focus *focus, double lot, struct focus_view *view)
{
	plan(focus);
	*view = (struct focus_view){ .armed = focus->sites, .length = 1 };
	for (uint32_t i = 0; i < focus->count; i++) {
		const struct focused_class *class = &focus->focused[i];

		if (lot < class->chance) {
			/* The lot is as good for the turn: in here it is at random, too. */
			uint8_t turn = (uint8_t)MIN(lot / class->chance * TURNS, TURNS - 1);

			view->skipped_classes = ~(1ULL << class->size_class);
			view->armed = arm(focus, class, turn);
			view->sites = focus->armed;
			return;
		}
		lot -= class->chance;
	}
	if (focus->count || focus->all < LEAST_BIRTHS)
		view->length = WHOLE_LENGTH;
}

double focus_chance(const struct focus *focus, const struct birth *birth)
{
	uint32_t size_class = class_of(focus, birth);
	double chance = focus->whole_chance;

	for (uint32_t i = 0; i < focus->count; i++) {
		const struct focused_class *class = &focus->focused[i];

		if (class->size_class != size_class || birth->site >= focus->sites)
			continue;
		if (class->turn[birth->site] == TURN_ALWAYS)
			chance += class->chance;
		else if (class->turn[birth->site] < TURNS)
			chance += class->chance / TURNS;
	}
	return chance;
}
