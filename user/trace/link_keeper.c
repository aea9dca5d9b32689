// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/link_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "trace/uprobe_link.h"

enum { MAX_PROBES = 1024, MAX_PATH = 4096, MAX_MESSAGE = 400 };

enum operation { CREATE_LINK, CLOSE_LINK };

struct request {
	enum operation operation;
	int program_fd;
	pid_t pid;
	bool at_return;
	uint32_t count; /* of probes */
	char path[MAX_PATH];
	struct uprobe probes[MAX_PROBES];
};

struct reply {
	int code; /* enum pyleak_error; 0: done */
	char message[MAX_MESSAGE];
};

struct link_keeper {
	pid_t pid;
	unsigned int slots;
	int *sockets; /* our ends, by slot */
	bool *open;   /* slots that hold a link */
	bool *closing;
};

static size_t request_length(uint32_t count)
{
	return offsetof(struct request, probes) + count * sizeof(struct uprobe);
}

/* In the keeper: one slot, served until pyleak's end of the socket is closed. */
static void *serve_slot(void *data)
{
	int socket = GPOINTER_TO_INT(data), link = -1;
	g_autofree struct request *request = g_new0(struct request, 1);

	while (recv(socket, request, sizeof(*request), 0) > 0) {
		struct reply reply = { 0 };

		if (request->operation == CLOSE_LINK) {
			close(link);
			link = -1;
		} else {
			g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
			g_autoptr(GError) error = NULL;

			g_array_append_vals(probes, request->probes, request->count);
			link = uprobe_link_create(request->program_fd, request->path, probes,
						  request->pid, request->at_return, &error);
			if (error) {
				reply.code = error->code;
				g_strlcpy(reply.message, error->message, sizeof(reply.message));
			}
		}
		if (send(socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	if (link >= 0)
		close(link);
	return NULL;
}

/* Not of pyleak's terminal, and deaf to what ends pyleak: it ends when its sockets do. */
static void detach_from_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	prctl(PR_SET_NAME, "pyleak-keeper");
}

static void run_keeper(const int *sockets, unsigned int slots)
{
	g_autoptr(GPtrArray) threads = g_ptr_array_new();

	detach_from_terminal();
	for (unsigned int slot = 0; slot < slots; slot++)
		g_ptr_array_add(threads,
				g_thread_new("slot", serve_slot, GINT_TO_POINTER(sockets[slot])));
	for (guint i = 0; i < threads->len; i++)
		g_thread_join(threads->pdata[i]);
	_exit(0);
}

static void close_sockets(const int *sockets, unsigned int count)
{
	for (unsigned int slot = 0; slot < count; slot++)
		if (sockets[slot] >= 0)
			close(sockets[slot]);
}

struct link_keeper *link_keeper_new(unsigned int slots, GError **error)
{
	struct link_keeper *keeper = g_new0(struct link_keeper, 1);
	g_autofree int *theirs = g_new(int, slots + 1);
	bool paired = true;

	keeper->slots = slots;
	keeper->sockets = g_new(int, slots + 1);
	keeper->open = g_new0(bool, slots + 1);
	keeper->closing = g_new0(bool, slots + 1);
	for (unsigned int slot = 0; slot < slots; slot++) {
		int pair[2] = { -1, -1 };

		paired = paired && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
		keeper->sockets[slot] = pair[0];
		theirs[slot] = pair[1];
	}
	keeper->pid = paired ? fork() : -1;
	if (!keeper->pid) {
		close_sockets(keeper->sockets, slots);
		run_keeper(theirs, slots);
	}
	close_sockets(theirs, slots);
	if (keeper->pid > 0)
		return keeper;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
		    "cannot start the process that holds probes: %s", g_strerror(errno));
	link_keeper_free(keeper);
	return NULL;
}

void link_keeper_free(struct link_keeper *keeper)
{
	if (!keeper)
		return;
	/* Keepers that were started later have copies of these sockets: closing ours would not end
	 * them. */
	for (unsigned int slot = 0; slot < keeper->slots; slot++)
		shutdown(keeper->sockets[slot], SHUT_RDWR);
	close_sockets(keeper->sockets, keeper->slots);
	if (keeper->pid > 0)
		waitpid(keeper->pid, NULL, 0);
	g_free(keeper->sockets);
	g_free(keeper->open);
	g_free(keeper->closing);
	g_free(keeper);
}

bool link_keeper_is_alive(const struct link_keeper *keeper)
{
	return !waitpid(keeper->pid, NULL, WNOHANG);
}

static bool receive_reply(const struct link_keeper *keeper, unsigned int slot, struct reply *reply)
{
	ssize_t length;

	do
		length = recv(keeper->sockets[slot], reply, sizeof(*reply), 0);
	while (length < 0 && errno == EINTR);
	return length == sizeof(*reply);
}

bool link_keeper_create(struct link_keeper *keeper, unsigned int slot, int program_fd,
			const char *path, const GArray *probes, pid_t pid, bool at_return,
			GError **error)
{
	g_autofree struct request *request = g_new0(struct request, 1);
	struct reply reply;

	if (probes->len > MAX_PROBES ||
	    g_strlcpy(request->path, path, sizeof(request->path)) >= MAX_PATH) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "%u probes in %s are more than expected", probes->len, path);
		return false;
	}
	request->operation = CREATE_LINK;
	request->program_fd = program_fd;
	request->pid = pid;
	request->at_return = at_return;
	request->count = probes->len;
	memcpy(request->probes, probes->data, probes->len * sizeof(struct uprobe));
	if (send(keeper->sockets[slot], request, request_length(probes->len), MSG_NOSIGNAL) < 0 ||
	    !receive_reply(keeper, slot, &reply)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "the process that holds the probes has ended");
		return false;
	}
	keeper->open[slot] = !reply.code;
	if (reply.code)
		g_set_error(error, PYLEAK_ERROR, reply.code, "%s", reply.message);
	return !reply.code;
}

void link_keeper_close_begin(struct link_keeper *keeper, unsigned int slot)
{
	struct request request = { .operation = CLOSE_LINK };

	if (!keeper->open[slot])
		return;
	keeper->open[slot] = false;
	keeper->closing[slot] =
		send(keeper->sockets[slot], &request, request_length(0), MSG_NOSIGNAL) >= 0;
}

void link_keeper_close_finish(struct link_keeper *keeper, unsigned int slot)
{
	struct reply reply;

	if (keeper->closing[slot])
		receive_reply(keeper, slot, &reply);
	keeper->closing[slot] = false;
}
