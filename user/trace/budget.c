// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/budget.h"

#include <string.h>
#include <glib.h>

/* The rest is kept back for what no counter sees: threads that wait for each other, pyleak's own
 * threads beside the target's. */
static const double MARGIN = 0.85;

/* From where on, in percent of pressure, less than the budget is spent, and how little at 100. */
static const double SATURATED_PCT = 60, LEAST_SCALE = 0.5;

/* Where nothing is known of their growth. */
static const double SHARES[FAMILY_COUNT] = {
	[FAMILY_PYMALLOC] = 0.6,
	[FAMILY_MALLOC] = 0.35,
	[FAMILY_MMAP] = 0.05,
};

/* Less may be anything: fragments, free lists, stacks. */
static const double TELLING_GROWTH_BYTES = 512 << 10;

/* The part of the user's allowance that a family's windows may take of pyleak's own processor time:
 * 0.9 % of a core for pymalloc at 2 %. */
static const double OWN_PARTS[FAMILY_COUNT] = {
	[FAMILY_PYMALLOC] = 0.45,
	[FAMILY_MALLOC] = 0.2,
	[FAMILY_MMAP] = 0.05,
};

double budget_rest_ns(enum family family, double own_ns, double overhead_pct, double chance)
{
	return own_ns / (OWN_PARTS[family] * MAX(overhead_pct, 0.01) / 100) * (0.5 + chance);
}

void budget_set_overhead(struct budget *budget, double overhead_pct)
{
	budget->share = overhead_pct / 100 * MARGIN;
}

double budget_spare_ns(const struct budget *budget)
{
	return budget->share * budget->scale * (1 / MARGIN - 1) * 10e9;
}

double budget_least_ns(const struct budget *budget)
{
	return -budget->cap_ns;
}

void budget_init(struct budget *budget, double overhead_pct, double cap_ns, uint64_t now_ns)
{
	budget_set_overhead(budget, overhead_pct);
	budget->scale = 1;
	memcpy(budget->parts, SHARES, sizeof(budget->parts));
	budget->cap_ns = cap_ns;
	budget->filled_ns = now_ns;
}

void budget_set_pressure(struct budget *budget, double percent)
{
	double over = (CLAMP(percent, SATURATED_PCT, 100) - SATURATED_PCT) / (100 - SATURATED_PCT);

	budget->scale = 1 - over * (1 - LEAST_SCALE);
}

void budget_set_growth(struct budget *budget, double pymalloc_bytes, double malloc_bytes)
{
	double both = SHARES[FAMILY_PYMALLOC] + SHARES[FAMILY_MALLOC];
	double grown = MAX(pymalloc_bytes, 0) + MAX(malloc_bytes, 0);
	double part = SHARES[FAMILY_PYMALLOC] / both;

	if (grown >= TELLING_GROWTH_BYTES)
		part = (part + MAX(pymalloc_bytes, 0) / grown) / 2;
	budget->parts[FAMILY_PYMALLOC] = both * part;
	budget->parts[FAMILY_MALLOC] = both * (1 - part);
}

void budget_fill(struct budget *budget, uint64_t now_ns, const int64_t left[FAMILY_COUNT],
		 uint32_t wanted, int64_t added[FAMILY_COUNT])
{
	uint64_t passed = now_ns > budget->filled_ns ? now_ns - budget->filled_ns : 0;
	double amount = passed * budget->share * budget->scale;
	uint32_t open = 0;

	for (int family = 0; family < FAMILY_COUNT; family++) {
		added[family] = 0;
		if (wanted & 1u << family && left[family] < budget->cap_ns)
			open |= 1u << family;
	}
	budget->filled_ns += passed;
	/* Each round fills at least one bucket to its brim or spends all there is. */
	while (amount >= 1 && open) {
		double shares = 0, spent = 0;

		for (int family = 0; family < FAMILY_COUNT; family++)
			if (open & 1u << family)
				shares += budget->parts[family];
		for (int family = 0; family < FAMILY_COUNT; family++) {
			double room = budget->cap_ns - left[family] - added[family], part;

			if (!(open & 1u << family))
				continue;
			part = amount * budget->parts[family] / shares;
			if (part >= room) {
				part = room;
				open &= ~(1u << family);
			}
			added[family] += part;
			spent += part;
		}
		amount -= spent;
		if (spent < 1)
			break;
	}
}
