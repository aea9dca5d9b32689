// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_memory.h"

#include "report/memory_words.h"
#include "report/plot.h"
#include "report/units.h"

/* Whether what is in use grows; a slope is only worth showing of what has one. */
static char *describe_trend(const struct curve_summary *curve)
{
	g_autofree char *rate = units_rate(curve->bytes_per_s);

	switch (curve->trend) {
	case CURVE_GROWING:
		return g_strdup_printf(", %s (growing)", rate);
	case CURVE_SHRINKING:
		return g_strdup_printf(", %s (falling)", rate);
	case CURVE_FRAGMENTED:
	case CURVE_FLAT:
		return g_strdup(" (not growing)");
	default:
		return g_strdup("");
	}
}

void text_memory_write(struct line *line, const struct report *report)
{
	const struct memory_use *memory = &report->memory;
	g_autofree char *in_use = units_bytes(memory_use_in_use(memory), false);
	g_autofree char *unused = units_bytes(memory_use_unused(memory), false);
	g_autofree char *trend = describe_trend(&report->curve);

	if (!memory->known)
		return;
	line_addf(line, COLOUR_NONE, "in use %s%s", in_use, trend);
	if (memory->pymalloc_known || memory->malloc_known)
		line_addf(line, COLOUR_NONE, "   held but unused %s%s",
			  memory->malloc_known && !memory->malloc_whole ? "at least " : "", unused);
	line_end(line);
}

void text_memory_curve_write(struct line *line, const struct report *report, bool unicode)
{
	g_autofree char *sentence = memory_sentence(report);

	if (!sentence)
		return;
	line_end(line);
	plot_write(line, report->curve_points, unicode);
	line_paragraph(line, 0, sentence);
}
