// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/plot.h"

#include <math.h>
#include <string.h>

#include "analyse/curve.h"
#include "report/units.h"

enum { ROWS = 8, LABEL_COLUMNS = 9, LEVELS = 8 };

/* A floor of 0 tells most, unless what changes would hardly be seen then; but flat is to look flat.
 */
static const double FLOOR_WHEN_ABOVE = 0.5, FLOOR_WHEN_CHANGES = 0.05, FLOOR_BELOW = 0.5;
static const double LEAST_SPAN = 1 << 20;

struct glyphs {
	const char *in_use[LEVELS + 1]; /* a cell filled to so many eighths */
	const char *unused, *resident, *axis;
	const char *legend_in_use;
};

static const struct glyphs blocks = {
	{ " ", "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" },
	"\u2591",
	"\u2500",
	"\u2502",
	"\u2588",
};

static const struct glyphs ascii = {
	{ " ", " ", " ", " ", "#", "#", "#", "#", "#" }, ".", "-", "|", "#",
};

struct scale {
	double floor, step; /* bytes: of the lowest row's lower end, and of a row */
};

static double value_at(const GArray *points, double time, size_t offset)
{
	const struct curve_point *all = (const struct curve_point *)(void *)points->data;
	guint i = 1;
	double before, after, span;

	while (i + 1 < points->len && all[i].elapsed_s < time)
		i++;
	memcpy(&before, (const char *)&all[i - 1] + offset, sizeof(before));
	memcpy(&after, (const char *)&all[i] + offset, sizeof(after));
	span = all[i].elapsed_s - all[i - 1].elapsed_s;
	if (!(span > 0))
		return after;
	return before + (after - before) * CLAMP((time - all[i - 1].elapsed_s) / span, 0, 1);
}

/* The points at the middle of each column's time. */
static struct curve_point *resample(const GArray *points, unsigned int columns)
{
	const struct curve_point *all = (const struct curve_point *)(void *)points->data;
	struct curve_point *samples = g_new0(struct curve_point, columns);
	double start = all[0].elapsed_s, span = all[points->len - 1].elapsed_s - start;
	unsigned int i;

	for (i = 0; i < columns; i++) {
		double time = start + span * (columns > 1 ? i / (columns - 1.0) : 1);

		samples[i].rss_bytes =
			value_at(points, time, G_STRUCT_OFFSET(struct curve_point, rss_bytes));
		samples[i].in_use_bytes =
			value_at(points, time, G_STRUCT_OFFSET(struct curve_point, in_use_bytes));
		samples[i].unused_bytes =
			value_at(points, time, G_STRUCT_OFFSET(struct curve_point, unused_bytes));
		samples[i].traced_bytes =
			value_at(points, time, G_STRUCT_OFFSET(struct curve_point, traced_bytes));
	}
	return samples;
}

static struct scale choose_scale(const struct curve_point *samples, unsigned int columns)
{
	double lowest = samples[0].in_use_bytes, highest = 0, resident = 0;
	struct scale scale = { 0, 0 };
	unsigned int i;

	for (i = 0; i < columns; i++) {
		lowest = MIN(lowest, samples[i].in_use_bytes);
		highest = MAX(highest, samples[i].in_use_bytes + samples[i].unused_bytes);
		resident = MAX(resident, samples[i].rss_bytes);
	}
	if (lowest > FLOOR_WHEN_ABOVE * highest && highest - lowest >= FLOOR_WHEN_CHANGES * highest)
		scale.floor = lowest - FLOOR_BELOW * (highest - lowest);
	/* What files hold besides is mostly constant: it gets no more room than the rest. */
	if (resident - highest <= highest - scale.floor)
		highest = MAX(highest, resident);
	scale.step = MAX(highest - scale.floor, LEAST_SPAN) / ROWS;
	return scale;
}

static const char *cell(const struct curve_point *sample, const struct glyphs *glyphs, double low,
			double step)
{
	double held = sample->in_use_bytes + sample->unused_bytes;
	double filled = (sample->in_use_bytes - low) / step;

	if (filled >= 1)
		return glyphs->in_use[LEVELS];
	if (filled * LEVELS >= 0.5)
		return glyphs->in_use[(int)CLAMP(filled * LEVELS + 0.5, 1, LEVELS)];
	if (held >= low + step / 2)
		return glyphs->unused;
	if (sample->rss_bytes >= low && sample->rss_bytes < low + step)
		return glyphs->resident;
	return " ";
}

static void write_label(struct line *line, const char *label, const struct glyphs *glyphs)
{
	line_addf(line, COLOUR_NONE, "%*s %s", LABEL_COLUMNS, label, glyphs->axis);
}

static void write_rows(struct line *line, const struct curve_point *samples, unsigned int columns,
		       const struct glyphs *glyphs)
{
	struct scale scale = choose_scale(samples, columns);
	int row;

	for (row = ROWS - 1; row >= 0; row--) {
		double low = scale.floor + row * scale.step;
		double shown = row == ROWS - 1 ? low + scale.step : low;
		bool labelled = row == ROWS - 1 || row == ROWS / 2 || row == 0;
		g_autofree char *label = labelled ? units_bytes(shown, false) : g_strdup("");
		g_autoptr(GString) text = g_string_new(NULL);
		unsigned int i;

		for (i = 0; i < columns; i++)
			g_string_append(text, cell(&samples[i], glyphs, low, scale.step));
		write_label(line, label, glyphs);
		line_add(line, COLOUR_NONE, text->str);
		line_end(line);
	}
}

static void write_time_axis(struct line *line, const GArray *points, unsigned int columns)
{
	const struct curve_point *all = (const struct curve_point *)(void *)points->data;
	g_autofree char *first = units_duration(all[0].elapsed_s);
	g_autofree char *last = units_duration(all[points->len - 1].elapsed_s);
	unsigned int end = LABEL_COLUMNS + 2 + columns;

	line_tab(line, LABEL_COLUMNS + 2);
	line_add(line, COLOUR_NONE, first);
	line_tab(line, end - MIN(end, (unsigned int)strlen(last)));
	line_add(line, COLOUR_NONE, last);
	line_end(line);
}

/* Traced growth in one row: from nothing to the most there was. */
static void write_traced(struct line *line, const struct curve_point *samples, unsigned int columns,
			 bool unicode)
{
	static const char *const rising[LEVELS + 1] = {
		" ", ".", ":", "-", "=", "+", "*", "%", "#"
	};
	g_autofree char *label = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	double most = 0;
	unsigned int i;

	for (i = 0; i < columns; i++)
		most = MAX(most, samples[i].traced_bytes);
	if (!(most > 0))
		return;
	label = units_bytes(most, true);
	for (i = 0; i < columns; i++) {
		int level = (int)lround(CLAMP(samples[i].traced_bytes / most, 0, 1) * LEVELS);

		g_string_append(text, unicode ? blocks.in_use[level] : rising[level]);
	}
	line_addf(line, COLOUR_NONE, "%*s  ", LABEL_COLUMNS, label);
	line_add(line, COLOUR_NONE, text->str);
	line_end(line);
}

static void write_legend(struct line *line, const GArray *points, const struct glyphs *glyphs)
{
	const struct curve_point *last =
		&g_array_index(points, struct curve_point, points->len - 1);
	g_autofree char *in_use = units_bytes(last->in_use_bytes, false);
	g_autofree char *unused = units_bytes(last->unused_bytes, false);
	g_autofree char *resident = units_bytes(last->rss_bytes, false);
	g_autofree char *legend = NULL;

	legend = g_strdup_printf("%s in use %s, %s unused %s, %s RSS %s; bottom row: traced",
				 glyphs->legend_in_use, in_use, glyphs->unused, unused,
				 glyphs->resident, resident);
	line_paragraph(line, 2, legend);
}

void plot_write(struct line *line, const GArray *points, bool unicode)
{
	const struct glyphs *glyphs = unicode ? &blocks : &ascii;
	unsigned int columns = line->width - LABEL_COLUMNS - 2;
	g_autofree struct curve_point *samples = NULL;

	if (!points || points->len < 2)
		return;
	samples = resample(points, columns);
	write_rows(line, samples, columns, glyphs);
	write_time_axis(line, points, columns);
	write_traced(line, samples, columns, unicode);
	write_legend(line, points, glyphs);
}
