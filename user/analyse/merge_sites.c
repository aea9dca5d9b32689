// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/merge_sites.h"

#include <math.h>

#include "analyse/history.h"
#include "analyse/rank.h"
#include "analyse/site_types.h"

enum { VERDICTS = VERDICT_SHRINKING + 1 };
/* Of the bytes, for a verdict. */
static const double MOST = 0.5;

/* A mean that is still being summed up. */
struct mean {
	double sum, weight;
};

struct sum {
	struct site site;
	const struct site *largest;
	double below, above;		/* squares of how far the intervals reach */
	struct mean verdicts[VERDICTS]; /* of confidence, by bytes */
	struct mean survival, retention, survival_age;
	double lasting_growth;
	struct site_types *types;
};

static void mean_add(struct mean *mean, double value, double weight)
{
	mean->sum += value * weight;
	mean->weight += weight;
}

static double mean_or(const struct mean *mean, double otherwise)
{
	return mean->weight > 0 ? mean->sum / mean->weight : otherwise;
}

static void sum_free(void *data)
{
	struct sum *sum = data;

	site_types_free(sum->types);
	g_free(sum);
}

static void add_figures(struct site *to, const struct site *from)
{
	to->estimated |= from->estimated;
	to->outstanding_bytes = saturating_add(to->outstanding_bytes, from->outstanding_bytes);
	to->outstanding_blocks = saturating_add(to->outstanding_blocks, from->outstanding_blocks);
	to->alloc_bytes = saturating_add(to->alloc_bytes, from->alloc_bytes);
	to->alloc_blocks = saturating_add(to->alloc_blocks, from->alloc_blocks);
	to->growth_bytes = saturating_add(to->growth_bytes, from->growth_bytes);
	to->interval_growth_bytes =
		saturating_add(to->interval_growth_bytes, from->interval_growth_bytes);
	to->sure_growth_bytes = saturating_add(to->sure_growth_bytes, from->sure_growth_bytes);
	to->growth_bytes_per_s += from->growth_bytes_per_s;
	to->intervals += MIN(from->intervals, UINT32_MAX - to->intervals);
	to->intervals_grown += MIN(from->intervals_grown, UINT32_MAX - to->intervals_grown);
	to->oldest_age_s = MAX(to->oldest_age_s, from->oldest_age_s);
	to->stacks = MAX(to->stacks, from->stacks);
}

static void add_evidence(struct sum *sum, const struct site *site)
{
	double blocks = MAX(site->outstanding_blocks, 1);

	if (site->survival >= 0)
		mean_add(&sum->survival, site->survival, blocks);
	if (site->retention >= 0)
		mean_add(&sum->retention, site->retention, blocks);
	mean_add(&sum->survival_age, site->survival_age_s, blocks);
	if (!site->judged)
		return;
	sum->site.judged = true;
	sum->below += pow(site->growth_bytes_per_s - site->growth_bytes_per_s_low, 2);
	sum->above += pow(site->growth_bytes_per_s_high - site->growth_bytes_per_s, 2);
	if ((unsigned int)site->verdict < VERDICTS)
		mean_add(&sum->verdicts[site->verdict], site->confidence,
			 MAX(site->outstanding_bytes, 1));
}

static void add_types(struct sum *sum, const struct site *site)
{
	g_autoptr(GArray) counts = g_array_new(FALSE, FALSE, sizeof(struct type_count));
	struct snapshot_context whole = { 0 };

	for (guint i = 0; site->types && i < site->types->len; i++) {
		const struct site_type *type = &g_array_index(site->types, struct site_type, i);
		struct type_count count = { type->name, type->blocks, type->bytes };

		whole.live_blocks = saturating_add(whole.live_blocks, type->blocks);
		whole.live_bytes = saturating_add(whole.live_bytes, type->bytes);
		g_array_append_val(counts, count);
	}
	site_types_add(sum->types, &whole, counts);
}

/* The one to show the stack of. One that was judged also has the line. */
static bool shows_more(const struct site *site, const struct site *than)
{
	if (site->judged != than->judged)
		return site->judged;
	return site->outstanding_bytes > than->outstanding_bytes;
}

static void add_site(GHashTable *sums, const struct report *report, const struct site *site)
{
	struct sum *sum = g_hash_table_lookup(sums, &site->id);

	if (!sum) {
		sum = g_new0(struct sum, 1);
		sum->site.id = site->id;
		sum->largest = site;
		sum->types = site_types_new();
		g_hash_table_insert(sums, &sum->site.id, sum);
	}
	if (shows_more(site, sum->largest))
		sum->largest = site;
	add_figures(&sum->site, site);
	add_evidence(sum, site);
	add_types(sum, site);
	if (site->growth_share > 0)
		sum->lasting_growth += site->growth_share * report->lasting_growth_bytes;
}

static void decide(struct sum *sum)
{
	static const enum verdict order[] = { VERDICT_LEAK, VERDICT_GROWING, VERDICT_SHRINKING,
					      VERDICT_STEADY };
	struct mean so_far = { 0 };
	double all = 0;

	sum->site.verdict = VERDICT_STEADY;
	for (size_t i = 0; i < VERDICTS; i++)
		all += sum->verdicts[i].weight;
	for (size_t i = 0; i < G_N_ELEMENTS(order) && all > 0; i++) {
		const struct mean *votes = &sum->verdicts[order[i]];

		/* What leaks grows. It does not shrink, nor is it steady. */
		if (order[i] != VERDICT_GROWING)
			so_far = (struct mean){ 0 };
		so_far.sum += votes->sum;
		so_far.weight += votes->weight;
		if (so_far.weight < MOST * all && order[i] != VERDICT_STEADY)
			continue;
		sum->site.verdict = order[i];
		/* No half of them is of one mind: steady, and not surely. */
		sum->site.confidence = mean_or(&so_far, 0);
		return;
	}
}

static struct site finish(struct sum *sum, double outstanding, double lasting_growth)
{
	struct site site;

	decide(sum);
	site = sum->site;
	site.growth_bytes_per_s_low = site.growth_bytes_per_s - sqrt(sum->below);
	site.growth_bytes_per_s_high = site.growth_bytes_per_s + sqrt(sum->above);
	site.family = sum->largest->family;
	site.lead = sum->largest->lead;
	site.source = g_strdup(sum->largest->source);
	site.stack = sum->largest->stack;
	site.stack.frames =
		g_memdup2(site.stack.frames, site.stack.count * sizeof(*site.stack.frames));
	site.survival = mean_or(&sum->survival, -1);
	site.retention = mean_or(&sum->retention, -1);
	site.survival_age_s = mean_or(&sum->survival_age, 0);
	site.outstanding_share =
		outstanding > 0 ? CLAMP(site.outstanding_bytes / outstanding, 0, 1) : -1;
	site.growth_share =
		lasting_growth > 0 ? CLAMP(sum->lasting_growth / lasting_growth, 0, 1) : -1;
	site.types = site_types_finish(sum->types);
	return site;
}

static GArray *ranked(GHashTable *sums, enum sort_by sort_by)
{
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(struct rank_entry));
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, sums);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		const struct site *site = &((struct sum *)value)->site;
		struct rank_entry entry = {
			.site = value,
			.id = site->id,
			.growth_bytes = site->sure_growth_bytes,
			.bytes = site->outstanding_bytes,
			.blocks = site->outstanding_blocks,
			.rate = site->growth_bytes_per_s,
		};

		g_array_append_val(entries, entry);
	}
	rank_sort(entries, sort_by);
	return entries;
}

GArray *merge_sites(const GPtrArray *reports, enum sort_by sort_by)
{
	g_autoptr(GHashTable) sums =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, sum_free);
	GArray *sites = g_array_new(FALSE, TRUE, sizeof(struct site));
	double outstanding = 0, lasting_growth = 0;
	g_autoptr(GArray) order = NULL;

	for (guint i = 0; i < reports->len; i++) {
		const struct report *report = reports->pdata[i];

		outstanding += report->outstanding_bytes;
		lasting_growth += report->lasting_growth_bytes;
		for (guint j = 0; j < report->sites->len; j++)
			add_site(sums, report, &g_array_index(report->sites, struct site, j));
	}
	order = ranked(sums, sort_by);
	for (guint i = 0; i < order->len; i++) {
		void *sum = (void *)g_array_index(order, struct rank_entry, i).site;
		struct site site = finish(sum, outstanding, lasting_growth);

		g_array_append_val(sites, site);
	}
	return sites;
}
