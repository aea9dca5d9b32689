// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib-unix.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/host.h"
#include "cli/children.h"
#include "cli/merging.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/targets.h"
#include "collect/stack_events.h"
#include "trace/link_keeper.h"
#include "serve/server.h"
#include "trace/calibrate.h"

enum { WATCH_MS = 100, GATHER_MS = 5 };

struct session {
	const struct options *options;
	struct kernel_side *kernel;
	struct stack_events *events;
	struct targets *targets;
	struct children *children; /* one of the two */
	struct host *host;
	pid_t command; /* started by us; 0: none */
	double trap_ns;
	struct report_header *header;
	struct output *output;
	struct server *server;	 /* NULL: it does not serve */
	struct workers *workers; /* NULL: each process has its own report */
	GArray *gone;		 /* of pid_t: their last reports have been written */
	GMainLoop *loop;
	uint64_t rounds;    /* of reports */
	const char *reason; /* why it ended; NULL: it goes on */
	bool leak;	    /* in the last report of a target that has exited, */
	bool leak_now;	    /* in the latest of one that has not */
	GError *error;
};

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

	targets_add_stack(session->targets, event, frames);
}

static void on_piece(void *data, const struct stack_piece *piece)
{
	struct session *session = data;

	targets_add_piece(session->targets, piece);
}

static gboolean on_events_ready(gint fd, GIOCondition condition, gpointer data);

static gboolean on_events_gathered(gpointer data)
{
	struct session *session = data;

	stack_events_consume(session->events);
	g_unix_fd_add(stack_events_fd(session->events), G_IO_IN, on_events_ready, session);
	return G_SOURCE_REMOVE;
}

/* Only the first event since the last were consumed wakes pyleak up, at the target's expense: some
 * are let gather. */
static gboolean on_events_ready(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	g_timeout_add(GATHER_MS, on_events_gathered, data);
	return G_SOURCE_REMOVE;
}

static bool has_leak(const struct report *report)
{
	for (guint i = 0; i < report->sites->len; i++)
		if (g_array_index(report->sites, struct site, i).verdict == VERDICT_LEAK)
			return true;
	return false;
}

/* Takes @report. Returns false when writing failed, which ends the session. */
static bool write_report(struct session *session, struct report *report)
{
	pid_t pid = report->pid;

	if (report->exited)
		session->leak |= has_leak(report);
	else
		session->leak_now |= has_leak(report);
	/* Processes that came by themselves may be many: they are not remembered when they go. */
	if (report->exited && (report->parent_pid || report->host))
		g_array_append_val(session->gone, pid);
	if (output_report(session->output, session->header, report))
		return true;
	fail_output(session);
	return false;
}

static void forget_gone(struct session *session)
{
	for (guint i = 0; i < session->gone->len; i++)
		output_forget(session->output, g_array_index(session->gone, pid_t, i));
	g_array_set_size(session->gone, 0);
}

static void free_report(void *report)
{
	report_free(report);
}

/* With -a the table of processes says them. */
static void add_missed_events(const struct session *session, GPtrArray *reports)
{
	uint64_t missed = kernel_side_lifecycle_lost(session->kernel);

	for (guint i = 0; i < reports->len; i++) {
		struct report *report = reports->pdata[i];

		report->missed_events = missed;
		if (missed && !session->host)
			g_ptr_array_add(report->notes,
					g_strdup_printf("%" G_GUINT64_FORMAT " forks or execs were "
							"too many at once: children may be missing",
							missed));
	}
}

static void report_all(struct session *session, bool last)
{
	g_autoptr(GPtrArray) reports = g_ptr_array_new_with_free_func(free_report);
	GError *error = NULL;

	stack_events_consume(session->events);
	session->leak_now = false;
	if (!targets_report(session->targets, last, reports, &error)) {
		fail_session(session, error);
		return;
	}
	forget_gone(session);
	if (session->host) {
		struct report_overview overview = host_report(session->host, last, reports);

		if (!output_overview(session->output, session->header, &overview)) {
			fail_output(session);
			return;
		}
	}
	add_missed_events(session, reports);
	if (session->workers)
		merge_round(session->workers, session->header, session->output, reports);
	while (reports->len)
		if (!write_report(session, g_ptr_array_steal_index(reports, 0)))
			return;
	session->rounds++;
	if (!output_round(session->output, last))
		fail_output(session);
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
	GError *error = NULL;

	stack_events_consume(session->events);
	if (!targets_refresh(session->targets, &error)) {
		fail_session(session, error);
		return G_SOURCE_CONTINUE;
	}
	if (session->host)
		host_handle(session->host);
	else
		children_handle(session->children);
	if (!link_keeper_is_alive(kernel_side_keeper(session->kernel)))
		fail_session(session, g_error_new(PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
						  "pyleak-keeper, which holds the probes, was "
						  "killed: start pyleak again"));
	else if (!session->host && !targets_count(session->targets) &&
		 !children_expected(session->children))
		end_session(session, "target_exited");
	return G_SOURCE_CONTINUE;
}

static bool open_output(struct session *session, GError **error)
{
	session->output = output_open(session->options, error);
	return session->output;
}

/* Before anything is attached, for the address may be taken. */
static bool start_server(struct session *session, GError **error)
{
	const struct options *options = session->options;
	const char *where = options->listen ? options->listen : SERVE_DEFAULT_ADDRESS;
	struct page_options pages = { .top = options->top, .interval_s = options->interval_s };
	struct serve_address address;

	if (!options->serve)
		return true;
	if (!serve_address_parse(where, &address, error))
		return false;
	session->server = server_new(output_latest(session->output), &address, &pages, error);
	if (!session->server)
		return false;
	say(options, "serving http://%s/metrics", where);
	if (!address.loopback)
		say(options,
		    "whoever can reach %s can read the names, files and command lines of "
		    "what is traced",
		    where);
	return true;
}

static bool write_header(struct session *session, GError **error)
{
	session->header =
		describe_run(session->options, session->host ? host_headers(session->host)
							     : targets_headers(session->targets));
	if (output_header(session->output, session->header))
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot write the report: %s",
		    g_strerror(errno));
	return false;
}

static bool add_target(struct session *session, pid_t pid, GError **error)
{
	struct traced_process *target = targets_add(session->targets, pid, 0, error);
	g_autofree char *facts = target ? traced_process_describe(target) : NULL;

	if (!target)
		return false;
	say_more(session->options, "%s", facts);
	return true;
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
	const struct options *options = session->options;

	/* First, so that no child is missed. */
	if (session->command)
		children_follow(session->children, session->command);
	for (guint i = 0; i < options->pids->len; i++)
		children_follow(session->children, g_array_index(options->pids, pid_t, i));
	if (!targets_attach(session->targets, error))
		return false;
	if (session->command)
		command_release(session->command);
	return true;
}

static bool prepare(struct session *session, GError **error)
{
	struct memory_plan plan;

	memory_plan_make(&plan, session->options->max_memory, !session->options->exact);
	session->kernel = kernel_side_new(&plan, error);
	if (!session->kernel || !calibrate_trap(session->kernel, &session->trap_ns, error))
		return false;
	session->targets = targets_new(session->kernel, session->options, session->trap_ns);
	if (session->options->whole_host)
		session->host =
			host_new(session->kernel, session->targets, session->options, error);
	else
		session->children =
			children_new(session->kernel, session->targets, session->options, error);
	if (!session->host && !session->children)
		return false;
	session->events = stack_events_new(session->kernel,
					   &(struct stack_event_handlers){ on_stack, on_piece },
					   session, error);
	return session->events && find_targets(session, error) && open_output(session, error) &&
	       write_header(session, error) && start_server(session, error) &&
	       attach_targets(session, error);
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
	say(options, "tracing; a report every %g s%s", options->interval_s,
	    options->duration_s > 0 || options->count ? "" : ", Ctrl-C ends with a last one");
	g_main_loop_run(session->loop);
}

static void finish(struct session *session)
{
	struct report_end end;

	if (!session->error)
		report_all(session, true);
	end = (struct report_end){ .time_us = g_get_real_time(), .reason = session->reason };
	if (!session->error && !output_end(session->output, &end))
		fail_output(session);
}

static void clean_up(struct session *session)
{
	/* Probes go first: ending the command must not be traced. */
	host_free(session->host);
	children_free(session->children);
	targets_free(session->targets);
	stack_events_free(session->events);
	kernel_side_free(session->kernel);
	if (session->command)
		command_finish(session->command);
	if (session->header)
		report_header_free(session->header);
	server_free(session->server);
	workers_free(session->workers);
	output_free(session->output);
	g_array_unref(session->gone);
	g_main_loop_unref(session->loop);
}

int session_run(const struct options *options, GError **error)
{
	struct session session = { .options = options };
	int status = -1;

	signal(SIGPIPE, SIG_IGN);
	session.gone = g_array_new(false, false, sizeof(pid_t));
	if (options->merge_children)
		session.workers = workers_new(options->analysis.sort_by);
	session.loop = g_main_loop_new(NULL, false);
	if (prepare(&session, &session.error)) {
		run_loop(&session);
		finish(&session);
	}
	clean_up(&session);
	if (session.error)
		g_propagate_error(error, session.error);
	else
		status =
			options->fail_on_leak && (session.leak || session.leak_now) ? EXIT_LEAK : 0;
	return status;
}
