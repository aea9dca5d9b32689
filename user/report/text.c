// SPDX-License-Identifier: GPL-2.0-or-later
/* The report for an engineer at a terminal: the answer first, one glance a site. */
#include <math.h>
#include <string.h>

#include "report/line.h"
#include "report/target.h"
#include "report/text_memory.h"
#include "report/text_overview.h"
#include "report/text_stack.h"
#include "report/text_types.h"
#include "report/units.h"
#include "report/writer.h"

enum {
	INDENT = 4,
	RATE_COLUMN = 18,
	SIZE_COLUMN = 34,
	AGE_COLUMN = 62,
	MIN_WIDTH = 60,
	MAX_WIDTH = 120,
	/* Characters of a container's id, and how many of them Docker shows. */
	LONG_ID = 64,
	SHORT_ID = 12,
};

/* Below this the report says how many allocations no site saw (DESIGN.md, "Coverage"). */
static const double FULL_COVERAGE = 0.99;
/* A smaller part of the whole is not worth a word. */
static const double LEAST_SHARE = 0.005;
/* From here on a site's blocks are said to stay. */
static const double MOST = 0.8;

static bool text_header(FILE *stream, const struct report_style *style,
			const struct report_header *header)
{
	/* Every report says whose it is: nothing has to be remembered from a header far above. */
	(void)style;
	(void)header;
	return !fflush(stream);
}

static void write_title(struct line *line, const struct report_header *header,
			const struct report *report)
{
	const struct report_target *target = report_target_of(header, report);
	g_autofree char *elapsed = units_duration(report->elapsed_s);
	g_autofree char *program = NULL, *cut = NULL;
	unsigned int room;

	line_addf(line, COLOUR_BOLD, "pyleak %s   pid %d",
		  header && header->version ? header->version : "", report->pid);
	if (report->pids && report->pids->len > 1)
		line_addf(line, COLOUR_BOLD, " and %u more", report->pids->len - 1);
	if (target) {
		line_addf(line, COLOUR_NONE, "   python %s   ",
			  target->python_version ? target->python_version : "?");
		program = report_target_program(target);
		room = line->width - MIN(line->width, line->used + 3 + strlen(elapsed));
		cut = text_cut_left(program, room);
		line_add(line, COLOUR_NONE, cut);
	}
	line_addf(line, COLOUR_NONE, "   %s", elapsed);
	line_end(line);
}

static bool all_exact(const struct report *report)
{
	size_t i;

	for (i = 0; i < FAMILY_COUNT; i++) {
		if (report->families[i].mode != FAMILY_MODE_EXACT)
			return false;
	}
	return true;
}

static char *describe_families(const struct report *report)
{
	const struct family_report *objects = &report->families[FAMILY_PYMALLOC];
	const struct family_report *blocks = &report->families[FAMILY_MALLOC];
	GString *text = g_string_new(NULL);
	size_t i;

	if (all_exact(report)) {
		g_string_append(text, "every allocation traced");
		return g_string_free(text, FALSE);
	}
	if (objects->mode == FAMILY_MODE_SAMPLED && blocks->mode == FAMILY_MODE_SAMPLED) {
		/* One word for both: the line has 80 columns. */
		g_string_append_printf(text, "sampled objects %.2g %%, malloc %.2g %%",
				       100 * objects->observed_fraction,
				       100 * blocks->observed_fraction);
		return g_string_free(text, FALSE);
	}
	/* Mappings are few and nearly always seen whole: only what differs from that is worth the
	 * room. */
	for (i = 0; i < FAMILY_COUNT; i++) {
		const struct family_report *family = &report->families[i];

		if (i == FAMILY_MMAP && family->mode == FAMILY_MODE_EXACT)
			continue;
		g_string_append_printf(text, "%s%s %s", text->len ? ", " : "",
				       i == FAMILY_PYMALLOC ? "objects" : family_name(i),
				       family_mode_name(family->mode));
		if (family->mode == FAMILY_MODE_SAMPLED)
			g_string_append_printf(text, " %.2g %%", 100 * family->observed_fraction);
	}
	return g_string_free(text, FALSE);
}

/* Only where there is one: every process has a control group. */
static void write_container(struct line *line, const struct report_target *target)
{
	bool inside = target->namespace_pid && target->namespace_pid != target->pid;

	if (!target->container && !inside)
		return;
	if (target->container)
		line_addf(line, COLOUR_NONE, "container %.*s",
			  strlen(target->container) < LONG_ID ? -1 : SHORT_ID, target->container);
	else
		line_addf(line, COLOUR_NONE, "control group %s",
			  target->cgroup ? target->cgroup : "?");
	if (inside)
		line_addf(line, COLOUR_NONE, "   pid %d inside", target->namespace_pid);
	line_end(line);
}

static void write_process(struct line *line, const struct report_header *header,
			  const struct report *report)
{
	const struct report_target *target = report_target_of(header, report);
	double per_s = report->elapsed_s > 0 ? report->rss_growth_bytes / report->elapsed_s : 0;
	g_autofree char *rss = units_bytes(report->rss_bytes, false);
	g_autofree char *rate = units_rate(per_s);
	g_autofree char *families = describe_families(report);

	line_addf(line, COLOUR_NONE, "RSS %s, %s   cost ~%.1f %%", rss, rate,
		  isfinite(report->overhead_pct) ? report->overhead_pct : 0);
	line_addf(line, COLOUR_NONE, "   %s", families);
	line_end(line);
	if (target && target->allocator && strcmp(target->allocator, "pymalloc")) {
		line_addf(line, COLOUR_NONE, "objects come from %s", target->allocator);
		line_end(line);
	}
	if (target)
		write_container(line, target);
}

/* What a site is, where that is not a whole stack. */
static void write_grouping(struct line *line, const struct report *report)
{
	static const char *const sentences[] = {
		[GROUP_BY_LINE] = "by line: the program's own that led to the memory",
		[GROUP_BY_FUNCTION] = "by function: the program's own that led to the memory",
		[GROUP_BY_FILE] = "by file: the program's own that led to the memory",
		[GROUP_BY_MODULE] = "by module: a folder of the program, or a library's package",
	};

	if ((size_t)report->group_by < G_N_ELEMENTS(sentences) && sentences[report->group_by])
		line_paragraph(line, 0, sentences[report->group_by]);
}

static void write_verdict(struct line *line, const struct site *site)
{
	int percent = (int)floor(100 * CLAMP(site->confidence, 0, 1));

	switch (site->verdict) {
	case VERDICT_LEAK:
		line_addf(line, COLOUR_RED, "LEAK %d %%", percent);
		break;
	case VERDICT_GROWING:
		line_addf(line, COLOUR_YELLOW, "growing %d %%", percent);
		break;
	default:
		line_add(line, COLOUR_NONE, verdict_name(site->verdict));
	}
}

/* "43 % of all growth, 12 % of all that is outstanding" */
static void add_share(GString *text, const struct site *site)
{
	const char *between = text->len ? ". " : "";

	if (site->growth_share >= LEAST_SHARE) {
		g_string_append_printf(text, "%s%.0f %% of all growth", between,
				       100 * site->growth_share);
		between = ", ";
	}
	if (site->outstanding_share >= LEAST_SHARE)
		g_string_append_printf(text, "%s%.0f %% of all that is outstanding", between,
				       100 * site->outstanding_share);
}

static void write_evidence(struct line *line, const struct site *site, bool verbose)
{
	g_autofree char *age = units_duration(site->survival_age_s);
	g_autofree char *types = text_types(site, verbose);
	GString *text = g_string_new(NULL);

	if (site->intervals > 1)
		g_string_append_printf(text, "%u of %u intervals grew%s", site->intervals_grown,
				       site->intervals,
				       site->with_memory ? ", and so did the memory in use" : "");
	if (site->survival >= MOST)
		g_string_append_printf(text,
				       "%s%d %% of what was allocated %s ago or earlier is still "
				       "there",
				       text->len ? "; " : "", (int)floor(100 * site->survival),
				       age);
	else if (site->retention >= 0)
		g_string_append_printf(text, "%s%d %% of what was held %s ago is still there",
				       text->len ? "; " : "", (int)floor(100 * site->retention),
				       age);
	add_share(text, site);
	if (verbose) {
		g_autofree char *low = units_rate(site->growth_bytes_per_s_low);
		g_autofree char *high = units_rate(site->growth_bytes_per_s_high);

		g_string_append_printf(
			text, "%sgrowth %s to %s (95 %%); %s; id %016" G_GINT64_MODIFIER "x",
			text->len ? "; " : "", low, high, family_name(site->family), site->id);
	}
	if (text->len)
		g_string_append_c(text, '.');
	g_string_prepend(text, types);
	if (text->len)
		line_paragraph(line, INDENT, text->str);
	g_string_free(text, TRUE);
}

/*
 * Over the whole trace, but of what does not grow any more over the last interval: beside "steady"
 * the reader wants to see that it is.
 */
static double shown_rate(const struct site *site, double interval_s)
{
	bool grows = site->verdict == VERDICT_LEAK || site->verdict == VERDICT_GROWING;

	if (grows || !(interval_s > 0))
		return site->growth_bytes_per_s;
	return site->interval_growth_bytes / interval_s;
}

static void write_site(struct line *line, const struct report *report, guint index, bool verbose)
{
	const struct site *site = &g_array_index(report->sites, struct site, index);
	const char *mark = site->estimated ? "~" : "";
	g_autofree char *rate = units_rate(shown_rate(site, report->interval_s));
	g_autofree char *bytes = units_bytes(site->outstanding_bytes, false);
	g_autofree char *blocks = units_count(site->outstanding_blocks);
	g_autofree char *age = units_duration(site->oldest_age_s);

	line_addf(line, COLOUR_NONE, "%2u", index + 1);
	line_tab(line, INDENT);
	write_verdict(line, site);
	line_tab(line, RATE_COLUMN);
	line_addf(line, COLOUR_NONE, "%s%s", mark, rate);
	line_tab(line, SIZE_COLUMN);
	line_addf(line, COLOUR_NONE, "%s%s in %s%s %s", mark, bytes, mark, blocks,
		  site->outstanding_blocks == 1 ? "block" : "blocks");
	if (site->outstanding_blocks > 0) {
		line_tab(line, AGE_COLUMN);
		line_addf(line, COLOUR_NONE, "oldest %s", age);
	}
	line_end(line);
	text_stack_write(line, site, verbose);
	write_evidence(line, site, verbose);
}

static void write_missed(struct line *line, const struct report *report)
{
	bool lost = false;
	size_t i;

	for (i = 0; i < LOST_COUNT; i++) {
		g_autofree char *count = NULL, *text = NULL;

		if (!report->lost[i])
			continue;
		count = units_count((int64_t)MIN(report->lost[i], (uint64_t)INT64_MAX));
		text = g_strdup_printf("missed: %s %s", count, lost_reason_sentence(i));
		line_paragraph(line, 0, text);
		lost = true;
	}
	if (report->coverage >= 0 && report->coverage < FULL_COVERAGE) {
		g_autofree char *blocks = units_count((int64_t)report->coverage_blocks);
		g_autofree char *text = g_strdup_printf(
			"missed: coverage %.1f %%: of %s small blocks that became live, the rest "
			"was seen by no probe",
			floor(1000 * report->coverage) / 10, blocks);

		line_paragraph(line, 0, text);
		lost = true;
	}
	if (!lost)
		line_paragraph(line, 0, "nothing lost");
}

static bool text_report(FILE *stream, const struct report_style *style,
			const struct report_header *header, const struct report *report)
{
	struct line line;
	guint i;

	/* A line of the overview says all there is. */
	if (report->watched_only)
		return true;
	line_init(&line, stream, CLAMP(style->width, MIN_WIDTH, MAX_WIDTH), style->colour);
	write_title(&line, header, report);
	write_process(&line, header, report);
	text_memory_write(&line, report);
	write_grouping(&line, report);
	line_end(&line);
	for (i = 0; i < report->sites->len; i++)
		write_site(&line, report, i, style->verbose);
	if (!report->sites->len)
		line_paragraph(&line, INDENT,
			       "Nothing that was allocated since pyleak attached is still there: "
			       "no growth to show.");
	if (report->sites_total > report->sites->len) {
		g_autofree char *more = units_count(report->sites_total - report->sites->len);

		line_tab(&line, INDENT);
		line_addf(&line, COLOUR_NONE, "%s more sites with less (--top shows more)", more);
		line_end(&line);
	}
	for (i = 0; report->notes && i < report->notes->len; i++)
		line_paragraph(&line, 0, g_ptr_array_index(report->notes, i));
	write_missed(&line, report);
	if (report->last)
		text_memory_curve_write(&line, report, style->unicode);
	line_end(&line);
	line_deinit(&line);
	return !fflush(stream) && !ferror(stream);
}

static bool text_end(FILE *stream, const struct report_style *style, const struct report_end *end)
{
	static const struct {
		const char *reason, *sentence;
	} reasons[] = {
		{ "duration", "done: the time given by --duration is over" },
		{ "count", "done: the number of reports given by --count is reached" },
		{ "signal", "done: interrupted" },
		{ "target_exited", "done: the target exited" },
	};
	const char *sentence = end->reason ? end->reason : "done";
	struct line line;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(reasons); i++) {
		if (end->reason && !strcmp(end->reason, reasons[i].reason))
			sentence = reasons[i].sentence;
	}
	line_init(&line, stream, CLAMP(style->width, MIN_WIDTH, MAX_WIDTH), style->colour);
	line_paragraph(&line, 0, sentence);
	line_deinit(&line);
	return !fflush(stream) && !ferror(stream);
}

const struct report_writer text_writer = {
	.name = "text",
	.header = text_header,
	.report = text_report,
	.end = text_end,
	.overview = text_overview,
};
