// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/pages.h"

#include <stdio.h>
#include <string.h>

#include "report/writer.h"

/* Sites in /metrics over all processes, seven series each. */
enum { MAX_METRIC_SITES = 1000 };
/* So many intervals, and seconds, without a sign of the session are too many. */
static const double LATE_INTERVALS = 3, LATE_SECONDS = 30;

static const char plain[] = "text/plain; charset=utf-8";

struct request {
	struct latest_view *view;
	const struct page_options *options;
	int64_t now_us;
};

struct page page_line(unsigned int status, const char *line)
{
	struct page page = { .status = status, .type = plain };

	page.body = g_strconcat(line, "\n", NULL);
	page.size = strlen(page.body);
	return page;
}

void page_clear(struct page *page)
{
	g_clear_pointer(&page->body, g_free);
}

static void free_head(void *head)
{
	report_head_free(head);
}

/* The reports with so many sites each. */
static GPtrArray *heads(const GPtrArray *reports, uint32_t top)
{
	GPtrArray *shown = g_ptr_array_new_with_free_func(free_head);

	for (guint i = 0; i < reports->len; i++)
		g_ptr_array_add(shown, report_head(reports->pdata[i], top));
	return shown;
}

/* What a document's writer makes of @reports. */
static struct page document(const struct request *request, const struct report_writer *writer,
			    const char *type, const GPtrArray *reports)
{
	struct page page = { .status = 200, .type = type, .lasting = true };
	FILE *stream = open_memstream(&page.body, &page.size);
	bool written = stream && writer->document(stream, &request->view->header, reports);

	if (stream && !fclose(stream) && written)
		return page;
	page_clear(&page);
	return page_line(500, "no memory for this page");
}

static struct page metrics(const struct request *request)
{
	uint32_t count = MAX(request->view->reports->len, 1);
	uint32_t top = MIN(request->options->top, MAX(MAX_METRIC_SITES / count, 1));
	g_autoptr(GPtrArray) shown = heads(request->view->reports, top);

	return document(request, &prometheus_writer, "text/plain; version=0.0.4; charset=utf-8",
			shown);
}

static struct page heap_profile(const struct request *request)
{
	struct page page = document(request, &pprof_writer, "application/octet-stream",
				    request->view->reports);

	if (page.status == 200)
		page.file = "heap.pb.gz";
	return page;
}

/* One JSON object of the very objects that --json writes, a line each. */
static struct page report_json(const struct request *request)
{
	struct page page = { .status = 200, .type = "application/json", .lasting = true };
	g_autoptr(GPtrArray) shown = heads(request->view->reports, request->options->top);
	const struct report_header *header = &request->view->header;
	const struct report_style style = { 0 };
	FILE *stream = open_memstream(&page.body, &page.size);
	bool written = stream;

	if (stream) {
		fputs("{\"schema\":\"pyleak/1\",\"type\":\"latest\",\"header\":\n", stream);
		written = json_writer.header(stream, &style, header);
		fputs(",\"reports\":[\n", stream);
	}
	for (guint i = 0; written && i < shown->len; i++) {
		if (i)
			fputs(",", stream);
		written = json_writer.report(stream, &style, header, shown->pdata[i]);
	}
	if (stream) {
		fputs("]}\n", stream);
		written = !fclose(stream) && written;
	}
	if (written)
		return page;
	page_clear(&page);
	return page_line(500, "no memory for this page");
}

static struct page health(const struct request *request)
{
	double late = MAX(LATE_INTERVALS * request->options->interval_s, LATE_SECONDS);
	int64_t beat_us = request->view->beat_us;

	if (!beat_us)
		return page_line(503, "no report yet");
	if ((request->now_us - beat_us) / 1e6 > late)
		return page_line(503, "late: no report for several intervals");
	return page_line(200, "ok");
}

static struct page index_page(const struct request *request)
{
	(void)request;
	return page_line(200, "pyleak: /metrics /debug/pprof/heap?pid= /api/report?pid= /healthz");
}

static const struct {
	const char *path;
	struct page (*make)(const struct request *request);
	bool by_pid; /* takes the argument pid */
} pages[] = {
	{ "/", index_page, false },
	{ "/metrics", metrics, false },
	{ "/debug/pprof/heap", heap_profile, true },
	{ "/api/report", report_json, true },
	{ "/healthz", health, false },
};

/* Leaves only the report of @pid, and its target. False: there is none. */
static bool select_pid(struct latest_view *view, int32_t pid)
{
	for (guint i = view->reports->len; i-- > 0;) {
		const struct report *report = view->reports->pdata[i];

		if (report->pid == pid)
			continue;
		g_ptr_array_remove_index(view->reports, i);
		g_ptr_array_remove_index(view->header.targets, i);
	}
	return view->reports->len;
}

struct page page_make(struct latest *latest, const struct page_options *options, const char *path,
		      const char *pid, int64_t now_us)
{
	struct request request = { .options = options, .now_us = now_us };
	struct page page;
	guint64 number = 0;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(pages) && strcmp(pages[i].path, path); i++)
		;
	if (i == G_N_ELEMENTS(pages))
		return page_line(404, "no such page; / lists them");
	if (!pages[i].by_pid)
		pid = NULL;
	if (pid && !g_ascii_string_to_unsigned(pid, 10, 1, INT32_MAX, &number, NULL))
		return page_line(400, "pid must be the number of a process");
	request.view = latest_view(latest);
	if (pid && !select_pid(request.view, (int32_t)number))
		page = page_line(404, "no report of a process with this pid (yet)");
	else
		page = pages[i].make(&request);
	latest_view_free(request.view);
	/* A page owns its body and points to nothing else that is not static. */
	/* cppcheck-suppress returnDanglingLifetime */
	return page;
}
