// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/text_overview.h"

#include <string.h>

#include "report/line.h"
#include "report/target.h"
#include "report/units.h"

enum {
	PID_COLUMN = 8, /* where the column ends */
	RSS_COLUMN = 20,
	TREND_COLUMN = 36,
	STATE_COLUMN = 39, /* where these begin */
	PROGRAM_COLUMN = 50,
	QUIET_ROWS = 8, /* processes shown that do not grow: the largest */
};

static enum verdict worst_verdict(const struct report *report)
{
	enum verdict worst = VERDICT_STEADY;

	for (guint i = 0; i < report->sites->len; i++) {
		enum verdict verdict = g_array_index(report->sites, struct site, i).verdict;

		/* In this order: leak, growing, the others. */
		worst = MIN(worst, verdict);
	}
	return worst;
}

static bool is_quiet(const struct report *report)
{
	return report->watched_only && report->trend_bytes_per_s <= 0;
}

/* Leaks first, then by what grows fastest, then by size. */
static gint by_interest(gconstpointer a, gconstpointer b)
{
	const struct report *first = *(const struct report *const *)a;
	const struct report *second = *(const struct report *const *)b;
	int leak = (worst_verdict(second) == VERDICT_LEAK) - (worst_verdict(first) == VERDICT_LEAK);
	double trend = second->trend_bytes_per_s - first->trend_bytes_per_s;

	if (leak)
		return leak;
	if (is_quiet(first) != is_quiet(second))
		return is_quiet(first) - is_quiet(second);
	if (trend != 0)
		return trend > 0 ? 1 : -1;
	return (second->rss_bytes > first->rss_bytes) - (second->rss_bytes < first->rss_bytes);
}

static void add_right(struct line *line, unsigned int end, const char *text)
{
	line_tab(line, end > strlen(text) ? end - strlen(text) : 0);
	line_add(line, COLOUR_NONE, text);
}

static void add_state(struct line *line, const struct report *report)
{
	enum verdict verdict = worst_verdict(report);

	line_tab(line, STATE_COLUMN);
	if (report->exited)
		line_add(line, COLOUR_DIM, "ended");
	else if (report->watched_only)
		line_add(line, COLOUR_DIM, report->notes->len ? "refused" : "watched");
	else if (verdict == VERDICT_LEAK)
		line_add(line, COLOUR_RED, "LEAK");
	else if (verdict == VERDICT_GROWING)
		line_add(line, COLOUR_YELLOW, "growing");
	else
		line_add(line, COLOUR_NONE, "traced");
}

static void write_row(struct line *line, const struct report_header *header,
		      const struct report *report)
{
	const struct report_target *target = report_target_of(header, report);
	g_autofree char *pid = g_strdup_printf("%d", report->pid);
	g_autofree char *rss = units_bytes(report->rss_bytes, false);
	g_autofree char *trend = units_rate(report->trend_bytes_per_s);
	g_autofree char *program = target ? report_target_program(target) : g_strdup("?");
	g_autofree char *cut = text_cut_left(
		program, line->width > PROGRAM_COLUMN ? line->width - PROGRAM_COLUMN : 1);

	add_right(line, PID_COLUMN, pid);
	add_right(line, RSS_COLUMN, rss);
	add_right(line, TREND_COLUMN, report->trend_bytes_per_s > 0 ? trend : "-");
	add_state(line, report);
	line_tab(line, PROGRAM_COLUMN);
	line_add(line, COLOUR_NONE, cut);
	line_end(line);
}

static void write_title(struct line *line, const struct report_header *header,
			const struct report_overview *overview)
{
	g_autofree char *elapsed = units_duration(overview->elapsed_s);

	line_addf(line, COLOUR_BOLD, "pyleak %s   %s", header->version, header->host);
	line_addf(line, COLOUR_NONE, "   %u Python %s, %u traced   %s", overview->reports->len,
		  overview->reports->len == 1 ? "process" : "processes", overview->traced, elapsed);
	line_end(line);
	line_addf(line, COLOUR_NONE, "pyleak itself takes %.1f %% of the machine's CPU time",
		  overview->cpu_pct);
	line_end(line);
	if (overview->missed_events) {
		g_autofree char *text = g_strdup_printf(
			"missed: %" G_GUINT64_FORMAT
			" forks or execs were too many at once; their processes are found by a "
			"list of all, every 10 s",
			overview->missed_events);

		line_paragraph(line, 0, text);
	}
	line_end(line);
}

bool text_overview(FILE *stream, const struct report_style *style,
		   const struct report_header *header, const struct report_overview *overview)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new();
	guint quiet = 0;
	struct line line;

	line_init(&line, stream, style->width, style->colour);
	for (guint i = 0; i < overview->reports->len; i++)
		g_ptr_array_add(rows, overview->reports->pdata[i]);
	g_ptr_array_sort(rows, by_interest);
	write_title(&line, header, overview);
	if (rows->len) {
		add_right(&line, PID_COLUMN, "PID");
		add_right(&line, RSS_COLUMN, "RSS");
		add_right(&line, TREND_COLUMN, "TREND");
		line_tab(&line, STATE_COLUMN);
		line_add(&line, COLOUR_NONE, "STATE");
		line_tab(&line, PROGRAM_COLUMN);
		line_add(&line, COLOUR_NONE, "PROGRAM");
		line_end(&line);
	}
	for (guint i = 0; i < rows->len; i++) {
		const struct report *report = rows->pdata[i];

		if (is_quiet(report) && ++quiet > QUIET_ROWS && !style->verbose)
			continue;
		write_row(&line, header, report);
	}
	if (quiet > QUIET_ROWS && !style->verbose) {
		line_tab(&line, STATE_COLUMN);
		line_addf(&line, COLOUR_NONE, "%u more do not grow", quiet - QUIET_ROWS);
		line_end(&line);
	}
	line_end(&line);
	line_deinit(&line);
	return !fflush(stream) && !ferror(stream);
}
