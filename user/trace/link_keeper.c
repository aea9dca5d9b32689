// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/link_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "proc/running.h"
#include "trace/uprobe_link.h"

enum { MAX_PROBES = 1024, MAX_PATH = 4096, MAX_MESSAGE = 400, SLOT_STACK_BYTES = 128 << 10 };

/* Of the keeper, which arms and disarms: the target traps for nothing until that is done. Above all
 * threads of pyleak's, which else would keep it from its turn. It uses little time. */
static const int KEEPER_NICE = -18;

/* Fewer sites are not worth going to the target's processor for, which takes 20 to 90 us. */
enum { SITES_WORTH_MOVING = 16 };

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
	/* That the slot's thread has used in all; of it, on the target's processor. */
	uint64_t cpu_ns, beside_ns;
	char message[MAX_MESSAGE];
};

struct link_keeper {
	pid_t pid;   /* 0: it has ended */
	int control; /* the ends of new slots' sockets are sent through it */
};

struct link_slot {
	int socket;
	bool open; /* holds a link */
	bool closing;
	uint64_t cpu_ns, beside_ns;
};

/* In the keeper. */
struct slots {
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	unsigned int served;
};

struct served_slot {
	struct slots *slots;
	int socket;
	pid_t pid;	    /* whose link it holds */
	bool many;	    /* breakpoints in that process */
	uint64_t beside_ns; /* as in struct reply */
	cpu_set_t allowed;  /* where whoever started pyleak lets it run */
};

static size_t request_length(uint32_t count)
{
	return offsetof(struct request, probes) + count * sizeof(struct uprobe);
}

/* The next request, to g_free(); NULL when pyleak's end of the socket is closed. */
static struct request *receive_request(int socket)
{
	struct request *request;
	ssize_t length, received;

	do
		length = recv(socket, NULL, 0, MSG_PEEK | MSG_TRUNC);
	while (length < 0 && errno == EINTR);
	if (length < (ssize_t)request_length(0) || length > (ssize_t)sizeof(*request))
		return NULL;
	request = g_malloc0(length);
	do
		received = recv(socket, request, length, 0);
	while (received < 0 && errno == EINTR);
	if (received == length && request_length(request->count) == (size_t)length)
		return request;
	g_free(request);
	return NULL;
}

static int create_link(const struct request *request, struct reply *reply)
{
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
	g_autoptr(GError) error = NULL;
	int link;

	g_array_append_vals(probes, request->probes, request->count);
	link = uprobe_link_create(request->program_fd, request->path, probes, request->pid,
				  request->at_return, &error);
	if (error) {
		reply->code = error->code;
		g_strlcpy(reply->message, error->message, sizeof(reply->message));
	}
	return link;
}

/*
 * Breakpoints are written by the processor that the target runs on, which waits meanwhile: it does
 * not trap for nothing, and no other processor has to be interrupted for each of them to forget
 * what it knows of the page (measured: 160 sites take 2.5 ms of the keeper's time instead of 5). A
 * thread that may not run there stays where it is: false.
 */
static bool run_beside(const struct served_slot *slot)
{
	int processor = running_on(slot->pid);
	cpu_set_t one;

	if (processor < 0 || processor >= CPU_SETSIZE || !CPU_ISSET(processor, &slot->allowed))
		return false;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	return !sched_setaffinity(0, sizeof(one), &one);
}

static void close_link(int *link)
{
	if (*link >= 0)
		close(*link);
	*link = -1;
}

/* In the keeper: one slot, served until pyleak's end of its socket is closed. */
static void *serve_slot(void *data)
{
	g_autofree struct served_slot *slot = data;
	struct request *request;
	uint64_t began_ns;
	int link = -1;
	bool beside;

	if (sched_getaffinity(0, sizeof(slot->allowed), &slot->allowed))
		CPU_ZERO(&slot->allowed);
	while ((request = receive_request(slot->socket))) {
		struct reply reply = { 0 };

		if (request->operation == CREATE_LINK) {
			slot->pid = request->pid;
			slot->many = request->count >= SITES_WORTH_MOVING;
		}
		began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		beside = slot->many && run_beside(slot);
		if (request->operation == CLOSE_LINK)
			close_link(&link);
		else
			link = create_link(request, &reply);
		g_free(request);
		reply.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		if (beside)
			slot->beside_ns += reply.cpu_ns - began_ns;
		reply.beside_ns = slot->beside_ns;
		if (send(slot->socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	/* In this order: the end of the socket tells pyleak that the link is gone. */
	close_link(&link);
	close(slot->socket);
	pthread_mutex_lock(&slot->slots->mutex);
	slot->slots->served--;
	pthread_cond_signal(&slot->slots->ended);
	pthread_mutex_unlock(&slot->slots->mutex);
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

/* The socket of a new slot, or -1 when pyleak has ended. */
static int receive_socket(int control)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	ssize_t length;
	int socket;

	do {
		message.msg_control = &ancillary;
		message.msg_controllen = sizeof(ancillary);
		length = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	/* No descriptor comes with it when there is no room for one. */
	if (length <= 0 || !CMSG_FIRSTHDR(&message))
		return length > 0 ? -2 : -1;
	memcpy(&socket, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(socket));
	return socket;
}

static void start_slot(struct slots *slots, const pthread_attr_t *attributes, int socket)
{
	struct served_slot *slot = g_new0(struct served_slot, 1);
	pthread_t thread;

	slot->slots = slots;
	slot->socket = socket;
	pthread_mutex_lock(&slots->mutex);
	slots->served++;
	pthread_mutex_unlock(&slots->mutex);
	if (!pthread_create(&thread, attributes, serve_slot, slot))
		return;
	/* pyleak sees its socket closed. */
	close(socket);
	g_free(slot);
	pthread_mutex_lock(&slots->mutex);
	slots->served--;
	pthread_mutex_unlock(&slots->mutex);
}

static void run_keeper(int control)
{
	struct slots slots = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
	pthread_attr_t attributes;
	int socket;

	detach_from_terminal();
	/* Where the right to it (CAP_SYS_NICE) is missing all stays as it is. */
	setpriority(PRIO_PROCESS, 0, KEEPER_NICE);
	/* One heap for all threads: they hardly allocate. */
	mallopt(M_ARENA_MAX, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SLOT_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	while ((socket = receive_socket(control)) != -1)
		if (socket >= 0)
			start_slot(&slots, &attributes, socket);
	pthread_mutex_lock(&slots.mutex);
	while (slots.served)
		pthread_cond_wait(&slots.ended, &slots.mutex);
	_exit(0);
}

struct link_keeper *link_keeper_new(GError **error)
{
	struct link_keeper *keeper = g_new0(struct link_keeper, 1);
	int pair[2] = { -1, -1 };

	keeper->control = -1;
	if (!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		keeper->control = pair[0];
		keeper->pid = fork();
		if (!keeper->pid) {
			close(pair[0]);
			run_keeper(pair[1]);
		}
		close(pair[1]);
	}
	if (keeper->pid > 0)
		return keeper;
	keeper->pid = 0;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
		    "cannot start the process that holds probes: %s", g_strerror(errno));
	link_keeper_free(keeper);
	return NULL;
}

void link_keeper_free(struct link_keeper *keeper)
{
	if (!keeper)
		return;
	if (keeper->control >= 0)
		close(keeper->control);
	if (keeper->pid)
		waitpid(keeper->pid, NULL, 0);
	g_free(keeper);
}

bool link_keeper_is_alive(struct link_keeper *keeper)
{
	if (keeper->pid && waitpid(keeper->pid, NULL, WNOHANG))
		keeper->pid = 0;
	return keeper->pid;
}

uint64_t link_keeper_cpu_ns(const struct link_keeper *keeper)
{
	clockid_t clock;

	return keeper->pid && !clock_getcpuclockid(keeper->pid, &clock) ? clock_ns(clock) : 0;
}

static bool send_socket(int control, int socket)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary = { .bytes = { 0 } };
	char byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = &ancillary,
				  .msg_controllen = sizeof(ancillary) };

	ancillary.header.cmsg_level = SOL_SOCKET;
	ancillary.header.cmsg_type = SCM_RIGHTS;
	ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ancillary.header), &socket, sizeof(socket));
	return sendmsg(control, &message, MSG_NOSIGNAL) == 1;
}

struct link_slot *link_slot_new(struct link_keeper *keeper, GError **error)
{
	struct link_slot *slot = g_new0(struct link_slot, 1);
	int pair[2] = { -1, -1 };
	bool sent = !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) &&
		    send_socket(keeper->control, pair[1]);

	slot->socket = pair[0];
	if (!sent)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot reach the process that holds the probes: %s",
			    g_strerror(errno));
	if (pair[1] >= 0)
		close(pair[1]);
	if (sent)
		return slot;
	link_slot_free(slot);
	return NULL;
}

void link_slot_free(struct link_slot *slot)
{
	char byte;

	if (!slot)
		return;
	if (slot->socket >= 0) {
		shutdown(slot->socket, SHUT_WR);
		while (recv(slot->socket, &byte, 1, 0) > 0)
			;
		close(slot->socket);
	}
	g_free(slot);
}

static bool receive_reply(struct link_slot *slot, struct reply *reply)
{
	ssize_t length;

	do
		length = recv(slot->socket, reply, sizeof(*reply), 0);
	while (length < 0 && errno == EINTR);
	if (length != sizeof(*reply))
		return false;
	slot->cpu_ns = reply->cpu_ns;
	slot->beside_ns = reply->beside_ns;
	return true;
}

bool link_slot_create(struct link_slot *slot, int program_fd, const char *path,
		      const GArray *probes, pid_t pid, bool at_return, GError **error)
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
	if (send(slot->socket, request, request_length(probes->len), MSG_NOSIGNAL) < 0 ||
	    !receive_reply(slot, &reply)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "the process that holds the probes has ended");
		return false;
	}
	slot->open = !reply.code;
	if (reply.code)
		g_set_error(error, PYLEAK_ERROR, reply.code, "%s", reply.message);
	return !reply.code;
}

uint64_t link_slot_cpu_ns(const struct link_slot *slot)
{
	return slot->cpu_ns;
}

uint64_t link_slot_beside_ns(const struct link_slot *slot)
{
	return slot->beside_ns;
}

bool link_slot_has_link(const struct link_slot *slot)
{
	return slot->open;
}

void link_slot_close_begin(struct link_slot *slot)
{
	struct request request = { .operation = CLOSE_LINK };

	if (!slot->open)
		return;
	slot->open = false;
	slot->closing = send(slot->socket, &request, request_length(0), MSG_NOSIGNAL) >= 0;
}

void link_slot_close_finish(struct link_slot *slot)
{
	struct reply reply;

	if (slot->closing)
		receive_reply(slot, &reply);
	slot->closing = false;
}
