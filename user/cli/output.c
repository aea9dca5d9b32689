// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/output.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "report/target.h"

enum { NARROWEST = 60, WIDEST = 120, USUAL_WIDTH = 80, DOCUMENT_MODE = 0644 };

struct output {
	const struct options *options;
	const struct report_writer *writer; /* NULL: nothing is written */
	struct report_style style;
	FILE *stream; /* NULL for a document in a file of its own */
	struct latest *latest;
};

static unsigned int terminal_width(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return USUAL_WIDTH;
	return CLAMP(size.ws_col, NARROWEST, WIDEST);
}

/* The reader's locale, without making it this program's own. */
static bool locale_is_unicode(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool unicode = locale && strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;

	if (locale)
		freelocale(locale);
	return unicode;
}

/* A file that can be replaced by another; not a pipe, a terminal or /dev/stdout. */
static bool is_replaceable(const char *path)
{
	struct stat status;

	if (lstat(path, &status))
		return errno == ENOENT;
	return S_ISREG(status.st_mode);
}

static bool open_stream(struct output *output, GError **error)
{
	const char *path = output->options->output;

	bool replaced = output->writer->document && path && is_replaceable(path);

	/* A document that can be replaced stays as it is until there is another. */
	output->stream = path ? fopen(path, replaced ? "ae" : "we") : stdout;
	if (!output->stream) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot write to %s: %s",
			    path, g_strerror(errno));
		return false;
	}
	if (output->writer->binary && isatty(fileno(output->stream))) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
			    "--format %s is not for a terminal: give -o FILE",
			    output->writer->name);
		return false;
	}
	if (replaced) {
		g_clear_pointer(&output->stream, fclose);
		return true;
	}
	output->style.width = terminal_width(fileno(output->stream));
	output->style.colour = isatty(fileno(output->stream)) && !g_getenv("NO_COLOR");
	output->style.verbose = output->options->verbose;
	output->style.unicode = locale_is_unicode();
	return true;
}

struct output *output_open(const struct options *options, GError **error)
{
	struct output *output = g_new0(struct output, 1);

	output->options = options;
	/* A server writes only what it is told to write. */
	if (!options->serve || options->output)
		output->writer = options->writer;
	if (options->serve || output->writer->document)
		output->latest = latest_new();
	if (!output->writer || open_stream(output, error))
		return output;
	output_free(output);
	return NULL;
}

void output_free(struct output *output)
{
	if (!output)
		return;
	if (output->stream && output->stream != stdout)
		fclose(output->stream);
	latest_free(output->latest);
	g_free(output);
}

static bool is_stream(const struct output *output)
{
	return output->writer && !output->writer->document;
}

bool output_header(struct output *output, const struct report_header *header)
{
	if (output->latest)
		latest_set_header(output->latest, header);
	return !is_stream(output) || output->writer->header(output->stream, &output->style, header);
}

bool output_overview(struct output *output, const struct report_header *header,
		     const struct report_overview *overview)
{
	return !is_stream(output) || !output->writer->overview ||
	       output->writer->overview(output->stream, &output->style, header, overview);
}

bool output_report(struct output *output, const struct report_header *header, struct report *report)
{
	struct report *shown = report_head(report, output->options->top);
	bool written = !is_stream(output) ||
		       output->writer->report(output->stream, &output->style, header, shown);

	report_head_free(shown);
	if (output->latest)
		latest_put(output->latest, report, report_target_of(header, report));
	else
		report_free(report);
	return written;
}

/* The whole document appears at once: who reads the file meanwhile sees this one or the last. */
static bool replace_document(const struct output *output, const struct latest_view *view)
{
	const char *path = output->options->output;
	g_autofree char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);
	g_autoptr(GError) error = NULL;
	bool written;

	if (!memory)
		return false;
	written = output->writer->document(memory, &view->header, view->reports);
	if (fclose(memory) || !written)
		return false;
	if (g_file_set_contents_full(path, text, size, G_FILE_SET_CONTENTS_CONSISTENT,
				     DOCUMENT_MODE, &error))
		return true;
	errno = g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? ENOSPC : EIO;
	return false;
}

bool output_round(struct output *output, bool last)
{
	struct latest_view *view;
	bool written = true;

	if (!output->latest)
		return true;
	latest_beat(output->latest);
	if (!output->writer || !output->writer->document || (output->stream && !last))
		return true;
	view = latest_view(output->latest);
	if (output->stream)
		written = output->writer->document(output->stream, &view->header, view->reports);
	else
		written = replace_document(output, view);
	latest_view_free(view);
	return written;
}

bool output_end(struct output *output, const struct report_end *end)
{
	return !is_stream(output) || output->writer->end(output->stream, &output->style, end);
}

void output_forget(struct output *output, int32_t pid)
{
	if (output->latest)
		latest_remove(output->latest, pid);
}

struct latest *output_latest(struct output *output)
{
	return output->latest;
}
