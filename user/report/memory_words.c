// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/memory_words.h"

#include "report/units.h"

/* Less than this of what is private, or in bytes, is not worth a word. */
static const double WORTH_SHARE = 0.1, WORTH_BYTES = 4 << 20;
static const double TRACED_ENOUGH = 0.5;

static bool has_leak(const struct report *report)
{
	guint i;

	for (i = 0; report->sites && i < report->sites->len; i++) {
		if (g_array_index(report->sites, struct site, i).verdict == VERDICT_LEAK)
			return true;
	}
	return false;
}

static bool worth_a_word(const struct curve_summary *curve, double bytes)
{
	double held = curve->last.in_use_bytes + curve->last.unused_bytes;

	return bytes >= MAX(WORTH_SHARE * held, WORTH_BYTES);
}

static char *growing(const struct report *report)
{
	const struct curve_summary *curve = &report->curve;
	bool known = report->memory.pymalloc_known || report->memory.malloc_known;
	double traced = curve->last.traced_bytes - curve->first.traced_bytes;
	g_autofree char *rate = units_rate(curve->bytes_per_s);
	g_autofree char *unused = units_bytes(curve->last.unused_bytes, false);
	g_autofree char *rise = units_bytes(curve->rise_bytes, false);
	g_autofree char *seen = units_bytes(MAX(traced, 0), false);
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "Memory in use grows, %s: %s.", rate,
			       known ? "that is not fragmentation"
				     : "how much of it is fragmentation is not known");
	if (worth_a_word(curve, curve->last.unused_bytes))
		g_string_append_printf(text, " Another %s is held but unused.", unused);
	if (traced < TRACED_ENOUGH * curve->rise_bytes)
		g_string_append_printf(text, " Of %s, only %s was seen being allocated.", rise,
				       seen);
	return g_string_free(text, FALSE);
}

static char *fragmented(const struct curve_summary *curve, bool leak)
{
	double fall = curve->peak_bytes - curve->last.in_use_bytes;
	g_autofree char *unused = units_bytes(curve->last.unused_bytes, false);
	g_autofree char *fallen = units_bytes(fall, false);

	if (leak)
		return g_strdup_printf("Memory in use hardly grows beside %s that is held but "
				       "unused (fragmentation): the leak is small against it.",
				       unused);
	if (worth_a_word(curve, fall))
		return g_strdup_printf("Memory in use fell by %s from its peak; %s is held but "
				       "unused: fragmentation, not a leak.",
				       fallen, unused);
	return g_strdup_printf("Memory in use is flat; %s is held but unused: fragmentation, not "
			       "a leak.",
			       unused);
}

static char *flat(const struct curve_summary *curve, bool leak)
{
	double change = curve->last.in_use_bytes - curve->first.in_use_bytes;
	g_autofree char *changed = units_bytes(ABS(change), false);

	if (leak)
		return g_strdup("Memory in use hardly grows yet: the leak is small against it.");
	if (worth_a_word(curve, change))
		return g_strdup_printf("Memory in use grew by %s, but does not any more.", changed);
	if (worth_a_word(curve, -change))
		return g_strdup_printf("Memory in use fell by %s.", changed);
	return g_strdup("Memory in use is flat.");
}

char *memory_sentence(const struct report *report)
{
	const struct curve_summary *curve = &report->curve;
	g_autofree char *rate = units_rate(curve->bytes_per_s);

	if (!report->memory.known)
		return NULL;
	switch (curve->trend) {
	case CURVE_GROWING:
		return growing(report);
	case CURVE_FRAGMENTED:
		return fragmented(curve, has_leak(report));
	case CURVE_SHRINKING:
		return g_strdup_printf("Memory in use falls, %s.", rate);
	case CURVE_FLAT:
		return flat(curve, has_leak(report));
	default:
		return g_strdup("Too early to say whether memory grows.");
	}
}
