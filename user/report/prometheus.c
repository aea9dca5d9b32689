// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The text format that Prometheus scrapes and node_exporter's textfile collector reads
 * (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4). One row of the tables below
 * is one metric. Series are bounded: by processes, and in each by the sites that it is given.
 *
 * What may go down by one when a block is looked at again (allocations seen) is no counter, so it
 * is not here: rate() takes any fall for a restart.
 */
#include <math.h>
#include <string.h>

#include "report/target.h"
#include "report/writer.h"

enum { MAX_LABEL = 256 }; /* bytes of a path or a name */

/* A report with what labels say of its process. */
struct process {
	const struct report *report;
	char *labels; /* pid="1",program="app.py" */
};

/* Of the whole process. */
struct process_metric {
	const char *name, *help;
	double (*value)(const struct report *report);
};

/* Of one site. */
struct site_metric {
	const char *name, *help;
	double (*value)(const struct site *site);
};

/* Quoted; backslash, quote and line feed are escaped, what is not UTF-8 is replaced. */
static void add_label(GString *labels, const char *name, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);
	const char *c = valid;

	/* The end of a path tells more than its beginning. */
	if (strlen(valid) > MAX_LABEL)
		for (c += strlen(valid) - MAX_LABEL; (*c & 0xc0) == 0x80; c++)
			;
	g_string_append_printf(labels, "%s%s=\"", labels->len ? "," : "", name);
	for (; *c; c++) {
		if (*c == '\n')
			g_string_append(labels, "\\n");
		else if (*c == '\\' || *c == '"')
			g_string_append_printf(labels, "\\%c", *c);
		else
			g_string_append_c(labels, *c);
	}
	g_string_append_c(labels, '"');
}

static void write_head(FILE *stream, const char *name, const char *type, const char *help)
{
	fprintf(stream, "# HELP pyleak_%s %s\n# TYPE pyleak_%s %s\n", name, help, name, type);
}

/* @more: further labels, NULL for none. */
static void write_value(FILE *stream, const char *name, const char *labels, const char *more,
			double value)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(text, sizeof(text), "%.15g", isfinite(value) ? value : 0);
	fprintf(stream, "pyleak_%s{%s%s%s} %s\n", name, labels, more ? "," : "", more ? more : "",
		text);
}

static double rss(const struct report *report)
{
	return report->rss_bytes;
}

static double threads(const struct report *report)
{
	return report->threads;
}

static double outstanding_bytes(const struct report *report)
{
	return report->outstanding_bytes;
}

static double outstanding_blocks(const struct report *report)
{
	return report->outstanding_blocks;
}

static double growth(const struct report *report)
{
	return report->growth_bytes_per_s;
}

static double overhead(const struct report *report)
{
	return report->overhead_pct / 100;
}

static double traced_seconds(const struct report *report)
{
	return report->elapsed_s;
}

static double report_time(const struct report *report)
{
	return report->time_us / 1e6;
}

static double sites_total(const struct report *report)
{
	return report->sites_total;
}

static double leaking_sites(const struct report *report)
{
	unsigned int leaks = 0;

	for (guint i = 0; i < report->sites->len; i++)
		leaks += g_array_index(report->sites, struct site, i).verdict == VERDICT_LEAK;
	return leaks;
}

static const struct process_metric process_metrics[] = {
	{ "process_resident_memory_bytes", "Resident memory of the process.", rss },
	{ "process_threads", "Threads of the process.", threads },
	{ "outstanding_bytes", "Allocated since attach and not freed.", outstanding_bytes },
	{ "outstanding_blocks", "Blocks allocated since attach and not freed.",
	  outstanding_blocks },
	{ "growth_bytes_per_second", "Growth of outstanding bytes over the whole trace.", growth },
	{ "overhead_ratio", "Time that the process lost to tracing over the last interval.",
	  overhead },
	{ "traced_seconds", "Time since attach.", traced_seconds },
	{ "report_timestamp_seconds", "When these figures were taken.", report_time },
	{ "sites", "Places in the program that hold outstanding memory.", sites_total },
	{ "leaking_sites", "Of the sites shown, those with the verdict leak.", leaking_sites },
};

static double site_bytes(const struct site *site)
{
	return site->outstanding_bytes;
}

static double site_blocks(const struct site *site)
{
	return site->outstanding_blocks;
}

static double site_growth(const struct site *site)
{
	return site->growth_bytes_per_s;
}

static double site_growth_low(const struct site *site)
{
	return site->growth_bytes_per_s_low;
}

static double site_growth_high(const struct site *site)
{
	return site->growth_bytes_per_s_high;
}

static double site_leak(const struct site *site)
{
	return site->verdict == VERDICT_LEAK ? CLAMP(site->confidence, 0, 1) : 0;
}

static double site_age(const struct site *site)
{
	return site->oldest_age_s;
}

static const struct site_metric site_metrics[] = {
	{ "site_outstanding_bytes", "Allocated at the site since attach and not freed.",
	  site_bytes },
	{ "site_outstanding_blocks", "Blocks allocated at the site since attach and not freed.",
	  site_blocks },
	{ "site_growth_bytes_per_second", "Growth of the site over the whole trace.", site_growth },
	{ "site_growth_low_bytes_per_second", "Lower end of the 95 % interval of the growth.",
	  site_growth_low },
	{ "site_growth_high_bytes_per_second", "Upper end of the 95 % interval of the growth.",
	  site_growth_high },
	{ "site_leak_confidence", "Confidence that the site leaks; 0 for any other verdict.",
	  site_leak },
	{ "site_oldest_block_age_seconds", "Age of the site's oldest block.", site_age },
};

/* The site by its leading frame: one that the reader knows. */
static char *site_labels(const struct process *process, const struct site *site)
{
	GString *labels = g_string_new(process->labels);
	const struct frame *lead =
		site->lead < site->stack.count ? &site->stack.frames[site->lead] : NULL;
	g_autofree char *line = g_strdup_printf("%d", lead ? MAX(lead->line, 0) : 0);
	g_autofree char *id = g_strdup_printf("%016" G_GINT64_MODIFIER "x", site->id);
	const char *file = NULL;

	if (lead)
		file = lead->file ? lead->file : lead->module;
	add_label(labels, "site", id);
	add_label(labels, "family", family_name(site->family));
	add_label(labels, "file", file);
	add_label(labels, "line", line);
	add_label(labels, "function", lead ? lead->function : NULL);
	return g_string_free(labels, FALSE);
}

static void write_processes(FILE *stream, const GArray *processes)
{
	for (size_t m = 0; m < G_N_ELEMENTS(process_metrics); m++) {
		const struct process_metric *metric = &process_metrics[m];

		write_head(stream, metric->name, "gauge", metric->help);
		for (guint i = 0; i < processes->len; i++) {
			const struct process *process =
				&g_array_index(processes, struct process, i);

			write_value(stream, metric->name, process->labels, NULL,
				    metric->value(process->report));
		}
	}
}

static void write_families(FILE *stream, const GArray *processes)
{
	static const char *const observed = "observed_ratio", *const windows = "windows_total";

	for (int pass = 0; pass < 2; pass++) {
		const char *name = pass ? windows : observed;

		if (pass)
			write_head(stream, name, "counter", "Windows of tracing so far.");
		else
			write_head(stream, name, "gauge",
				   "Part of the time during which allocations were seen.");
		for (guint i = 0; i < processes->len * FAMILY_COUNT; i++) {
			const struct process *process =
				&g_array_index(processes, struct process, i / FAMILY_COUNT);
			enum family family = i % FAMILY_COUNT;
			const struct family_report *figures = &process->report->families[family];
			g_autofree char *label =
				g_strdup_printf("family=\"%s\"", family_name(family));

			write_value(stream, name, process->labels, label,
				    pass ? figures->windows : figures->observed_fraction);
		}
	}
}

static void write_lost(FILE *stream, const GArray *processes)
{
	write_head(stream, "lost_total", "counter", "What tracing missed, by reason.");
	for (guint i = 0; i < processes->len * LOST_COUNT; i++) {
		const struct process *process =
			&g_array_index(processes, struct process, i / LOST_COUNT);
		enum lost_reason reason = i % LOST_COUNT;
		g_autofree char *label = g_strdup_printf("reason=\"%s\"", lost_reason_name(reason));

		write_value(stream, "lost_total", process->labels, label,
			    process->report->lost[reason]);
	}
}

static void write_sites(FILE *stream, const GArray *processes)
{
	for (size_t m = 0; m < G_N_ELEMENTS(site_metrics); m++) {
		const struct site_metric *metric = &site_metrics[m];

		write_head(stream, metric->name, "gauge", metric->help);
		for (guint i = 0; i < processes->len; i++) {
			const struct process *process =
				&g_array_index(processes, struct process, i);
			const GArray *sites = process->report->sites;

			for (guint s = 0; s < sites->len; s++) {
				const struct site *site = &g_array_index(sites, struct site, s);
				g_autofree char *labels = site_labels(process, site);

				write_value(stream, metric->name, labels, NULL,
					    metric->value(site));
			}
		}
	}
}

static void process_clear(void *data)
{
	struct process *process = data;

	g_free(process->labels);
}

static GArray *processes_of(const struct report_header *header, const GPtrArray *reports)
{
	GArray *processes = g_array_new(FALSE, FALSE, sizeof(struct process));

	g_array_set_clear_func(processes, process_clear);
	for (guint i = 0; i < reports->len; i++) {
		const struct report *report = reports->pdata[i];
		const struct report_target *target = report_target_of(header, report);
		g_autofree char *program = target ? report_target_program(target) : g_strdup("");
		g_autofree char *pid = g_strdup_printf("%d", report->pid);
		GString *labels = g_string_new(NULL);
		struct process process = { .report = report };

		add_label(labels, "pid", pid);
		add_label(labels, "program", program);
		process.labels = g_string_free(labels, FALSE);
		g_array_append_val(processes, process);
	}
	return processes;
}

static bool prometheus_document(FILE *stream, const struct report_header *header,
				const GPtrArray *reports)
{
	g_autoptr(GArray) processes = processes_of(header, reports);
	GString *version = g_string_new(NULL);

	add_label(version, "version", header->version);
	write_head(stream, "build_info", "gauge", "1, with the version of pyleak.");
	write_value(stream, "build_info", version->str, NULL, 1);
	g_string_free(version, TRUE);
	write_head(stream, "targets", "gauge", "Processes that are traced.");
	fprintf(stream, "pyleak_targets %u\n", processes->len);
	write_processes(stream, processes);
	write_families(stream, processes);
	write_lost(stream, processes);
	write_sites(stream, processes);
	return !fflush(stream) && !ferror(stream);
}

const struct report_writer prometheus_writer = {
	.name = "prometheus",
	.document = prometheus_document,
};
