// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <glib-unix.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/traced_process.h"
#include "collect/stack_events.h"
#include "trace/calibrate.h"

enum { WATCH_MS = 100, NARROWEST = 60, WIDEST = 120, USUAL_WIDTH = 80 };

struct session {
	const struct options *options;
	struct kernel_side *kernel;
	struct stack_events *events;
	GPtrArray *targets; /* of struct traced_process * */
	pid_t command;	    /* started by us; 0: none */
	double trap_ns;
	struct report_header *header;
	struct report_style style;
	FILE *stream;
	GMainLoop *loop;
	uint64_t rounds;    /* of reports */
	const char *reason; /* why it ended; NULL: it goes on */
	bool leak;	    /* in the last report of a target */
	GError *error;
};

static void say(const struct session *session, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(const struct session *session, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	if (session->options->quiet)
		return;
	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	fprintf(stderr, "pyleak: %s\n", text);
}

static void end_session(struct session *session, const char *reason)
{
	if (!session->reason)
		session->reason = reason;
	g_main_loop_quit(session->loop);
}

static void fail_session(struct session *session, GError *error)
{
	if (session->error)
		g_error_free(error);
	else
		session->error = error;
	end_session(session, "failed");
}

static void fail_output(struct session *session)
{
	/* The reader of a pipe has seen enough: no failure, but nothing more can be said. */
	if (errno == EPIPE)
		end_session(session, "signal");
	else
		fail_session(session,
			     g_error_new(PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
					 "cannot write the report: %s", g_strerror(errno)));
}

static void on_stack(void *data, const struct context_event *event, const struct raw_frame *frames)
{
	struct session *session = data;

	for (guint i = 0; i < session->targets->len; i++) {
		struct traced_process *target = session->targets->pdata[i];

		if (traced_process_index(target) == event->target)
			traced_process_add_stack(target, event, frames);
	}
}

static gboolean on_events_ready(gint fd, GIOCondition condition, gpointer data)
{
	struct session *session = data;

	(void)fd;
	(void)condition;
	stack_events_consume(session->events);
	return G_SOURCE_CONTINUE;
}

/* Returns false when writing or reading failed, which ends the session. */
static bool report_target(struct session *session, struct traced_process *target, bool last)
{
	const struct options *options = session->options;
	GError *error = NULL;
	struct report *report = traced_process_report(target, options->min_age_s, &error);
	bool written;

	if (!report) {
		fail_session(session, error);
		return false;
	}
	report->last = last;
	for (guint i = 0; i < report->sites->len; i++)
		session->leak |=
			g_array_index(report->sites, struct site, i).verdict == VERDICT_LEAK;
	written =
		options->writer->report(session->stream, &session->style, session->header, report);
	report_free(report);
	if (!written)
		fail_output(session);
	return written;
}

static void report_all(struct session *session, bool last)
{
	stack_events_consume(session->events);
	session->leak = false;
	for (guint i = 0; i < session->targets->len; i++)
		if (!report_target(session, session->targets->pdata[i], last))
			return;
	session->rounds++;
}

static gboolean on_interval(gpointer data)
{
	struct session *session = data;
	bool last = session->options->count && session->rounds + 1 >= session->options->count;

	/* The last report is written by session_finish(), once. */
	if (last)
		end_session(session, "count");
	else
		report_all(session, false);
	return G_SOURCE_CONTINUE;
}

static gboolean on_duration(gpointer data)
{
	end_session(data, "duration");
	return G_SOURCE_REMOVE;
}

static gboolean on_signal(gpointer data)
{
	end_session(data, "signal");
	return G_SOURCE_CONTINUE;
}

static gboolean on_watch(gpointer data)
{
	struct session *session = data;
	bool any_alive = false;

	for (guint i = 0; i < session->targets->len; i++) {
		struct traced_process *target = session->targets->pdata[i];

		traced_process_refresh(target, session->options->min_age_s,
				       session->options->interval_s);
		any_alive |= traced_process_is_alive(target);
		if (!traced_process_has_probes(target)) {
			fail_session(session, g_error_new(PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
							  "pyleak-keeper, which holds the probes, "
							  "was killed: start pyleak again"));
			return G_SOURCE_CONTINUE;
		}
	}
	if (!any_alive)
		end_session(session, "target_exited");
	return G_SOURCE_CONTINUE;
}

static unsigned int terminal_width(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return USUAL_WIDTH;
	return CLAMP(size.ws_col, NARROWEST, WIDEST);
}

static bool open_output(struct session *session, GError **error)
{
	const struct options *options = session->options;

	session->stream = options->output ? fopen(options->output, "we") : stdout;
	if (!session->stream) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot write to %s: %s",
			    options->output, g_strerror(errno));
		return false;
	}
	session->style.width = terminal_width(fileno(session->stream));
	session->style.colour = isatty(fileno(session->stream)) && !g_getenv("NO_COLOR");
	session->style.verbose = options->verbose;
	return true;
}

static bool write_header(struct session *session, GError **error)
{
	struct report_header *header = g_new0(struct report_header, 1);
	struct utsname host;

	session->header = header;
	uname(&host);
	header->version = g_strdup(PYLEAK_VERSION);
	header->host = g_strdup(host.nodename);
	header->kernel = g_strdup(host.release);
	header->started_us = g_get_real_time();
	header->targets = g_ptr_array_new();
	header->option_names = g_ptr_array_new_with_free_func(g_free);
	header->option_values = g_ptr_array_new_with_free_func(g_free);
	options_describe(session->options, header->option_names, header->option_values);
	for (guint i = 0; i < session->targets->len; i++)
		g_ptr_array_add(header->targets, traced_process_header(session->targets->pdata[i]));
	if (session->options->writer->header(session->stream, &session->style, header))
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot write the report: %s",
		    g_strerror(errno));
	return false;
}

static bool add_target(struct session *session, pid_t pid, GError **error)
{
	const struct options *options = session->options;
	struct traced_process_options tracing = {
		.analysis = &options->analysis,
		.exact = options->exact,
		.overhead_pct = options->overhead_pct,
		.burst_ms = options->burst_ms,
		.trap_ns = session->trap_ns,
	};
	struct traced_process *target = traced_process_new(session->kernel, pid, &tracing, error);

	if (!target)
		return false;
	g_ptr_array_add(session->targets, target);
	if (session->options->verbose) {
		g_autofree char *facts = traced_process_describe(target);

		say(session, "%s", facts);
	}
	return true;
}

static void free_target(void *target)
{
	traced_process_free(target);
}

/* Looks at every target before anything is attached to any: a mistyped pid must not leave the
 * others half traced. */
static bool find_targets(struct session *session, GError **error)
{
	const struct options *options = session->options;

	if (options->command) {
		session->command = command_start(options->command, error);
		if (session->command < 0) {
			session->command = 0;
			return false;
		}
		return add_target(session, session->command, error);
	}
	for (guint i = 0; i < options->pids->len; i++)
		if (!add_target(session, g_array_index(options->pids, pid_t, i), error))
			return false;
	return true;
}

static bool attach_targets(struct session *session, GError **error)
{
	for (guint i = 0; i < session->targets->len; i++)
		if (!traced_process_attach(session->targets->pdata[i], error))
			return false;
	if (session->command)
		command_release(session->command);
	return true;
}

static bool prepare(struct session *session, GError **error)
{
	session->kernel =
		kernel_side_new(session->options->max_memory,
				session->options->exact ? UINT32_MAX : SAMPLED_BLOCKS, error);
	if (!session->kernel || !calibrate_trap(session->kernel, &session->trap_ns, error))
		return false;
	session->events = stack_events_new(session->kernel, on_stack, session, error);
	return session->events && find_targets(session, error) && open_output(session, error) &&
	       write_header(session, error) && attach_targets(session, error);
}

static void run_loop(struct session *session)
{
	const struct options *options = session->options;

	g_unix_signal_add(SIGINT, on_signal, session);
	g_unix_signal_add(SIGTERM, on_signal, session);
	g_unix_signal_add(SIGHUP, on_signal, session);
	g_unix_fd_add(stack_events_fd(session->events), G_IO_IN, on_events_ready, session);
	g_timeout_add(WATCH_MS, on_watch, session);
	g_timeout_add(MAX(options->interval_s * 1000, 1), on_interval, session);
	if (options->duration_s > 0)
		g_timeout_add(MAX(options->duration_s * 1000, 1), on_duration, session);
	say(session, "tracing; a report every %g s%s", options->interval_s,
	    options->duration_s > 0 || options->count ? "" : ", Ctrl-C ends with a last one");
	g_main_loop_run(session->loop);
}

static void finish(struct session *session)
{
	struct report_end end;

	if (!session->error)
		report_all(session, true);
	end = (struct report_end){ .time_us = g_get_real_time(), .reason = session->reason };
	if (!session->error &&
	    !session->options->writer->end(session->stream, &session->style, &end))
		fail_output(session);
}

static void clean_up(struct session *session)
{
	/* Probes go first: ending the command must not be traced. */
	g_ptr_array_unref(session->targets);
	stack_events_free(session->events);
	kernel_side_free(session->kernel);
	if (session->command)
		command_finish(session->command);
	if (session->header)
		report_header_free(session->header);
	if (session->stream && session->stream != stdout)
		fclose(session->stream);
	g_main_loop_unref(session->loop);
}

int session_run(const struct options *options, GError **error)
{
	struct session session = { .options = options };
	int status = -1;

	signal(SIGPIPE, SIG_IGN);
	session.targets = g_ptr_array_new_with_free_func(free_target);
	session.loop = g_main_loop_new(NULL, false);
	if (prepare(&session, &session.error)) {
		run_loop(&session);
		finish(&session);
	}
	clean_up(&session);
	if (session.error)
		g_propagate_error(error, session.error);
	else
		status = options->fail_on_leak && session.leak ? EXIT_LEAK : 0;
	return status;
}
