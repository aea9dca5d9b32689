// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <microhttpd.h>

#include "base/error.h"

enum {
	/* From the soft limit on each new connection drops the oldest: a crowd of slow clients
	 * cannot keep the others out. MHD accepts ten at a time (epoll, 0.9.75). */
	SOFT_LIMIT = 48,
	HARD_LIMIT = 64,
	BACKLOG = 128,
	REQUEST_MEMORY = 16 << 10, /* of a connection: request line and headers must fit */
	CACHE_BYTES = 16 << 20,
	LONGEST_WAIT_MS = 1000,
};

/* From accept to the last byte. One connection serves one request, so nobody needs longer. */
static const int64_t CONNECTION_US = 20 * G_USEC_PER_SEC;

struct connection {
	int fd;
	int64_t accepted_us;
};

struct server {
	struct latest *latest;
	struct serve_address address;
	struct page_options options;
	struct MHD_Daemon *daemon;
	GThread *thread;
	int stop; /* an eventfd; -1: none */
	/* From here on the thread's own. */
	GQueue open;	   /* of struct connection, oldest first */
	GHashTable *cache; /* struct MHD_Response by "path?pid" */
	size_t cache_bytes;
	uint64_t generation; /* of what is in the cache */
};

static void destroy_response(void *response)
{
	MHD_destroy_response(response);
}

/* Takes what is in @page. */
static struct MHD_Response *response_new(struct page *page)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(page->size, page->body, MHD_RESPMEM_MUST_COPY);

	page_clear(page);
	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (page->file) {
		g_autofree char *value = g_strdup_printf("attachment; filename=\"%s\"", page->file);

		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, value);
	}
	return response;
}

/* Takes what is in @page. */
static enum MHD_Result answer_page(struct MHD_Connection *connection, struct page *page)
{
	struct MHD_Response *response = response_new(page);
	enum MHD_Result result = MHD_NO;

	if (response) {
		if (page->status == MHD_HTTP_METHOD_NOT_ALLOWED)
			MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
		result = MHD_queue_response(connection, page->status, response);
		MHD_destroy_response(response);
	}
	return result;
}

static void clear_cache(struct server *server)
{
	g_hash_table_remove_all(server->cache);
	server->cache_bytes = 0;
}

/* A page that lasts is kept, with its reference, until the reports change. */
static struct MHD_Response *remember(struct server *server, const char *key, struct page *page)
{
	size_t size = page->size;
	struct MHD_Response *response = response_new(page);

	if (server->cache_bytes + size > CACHE_BYTES)
		clear_cache(server);
	if (response) {
		g_hash_table_insert(server->cache, g_strdup(key), response);
		server->cache_bytes += size;
	}
	return response;
}

static enum MHD_Result answer_get(struct server *server, struct MHD_Connection *connection,
				  const char *path)
{
	const char *pid = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "pid");
	g_autofree char *key = g_strdup_printf("%s?%s", path, pid ? pid : "");
	uint64_t generation = latest_generation(server->latest);
	struct MHD_Response *response;
	struct page page;

	if (generation != server->generation)
		clear_cache(server);
	server->generation = generation;
	response = g_hash_table_lookup(server->cache, key);
	if (response)
		return MHD_queue_response(connection, MHD_HTTP_OK, response);
	page = page_make(server->latest, &server->options, path, pid, g_get_monotonic_time());
	if (page.status != MHD_HTTP_OK || !page.lasting)
		return answer_page(connection, &page);
	response = remember(server, key, &page);
	return response ? MHD_queue_response(connection, MHD_HTTP_OK, response) : MHD_NO;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **seen)
{
	static int headers_only;
	struct server *server = data;
	const char *host;
	struct page page;

	(void)version;
	(void)upload;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		/* Answered before any body is read. */
		page = page_line(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
		return answer_page(connection, &page);
	}
	if (!*seen) {
		*seen = &headers_only;
		return MHD_YES;
	}
	if (*upload_size) {
		/* A GET has no body. */
		return MHD_NO;
	}
	host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	if (!serve_address_accepts_host(&server->address, host)) {
		page = page_line(MHD_HTTP_FORBIDDEN, "ask for localhost or 127.0.0.1 by name");
		return answer_page(connection, &page);
	}
	return answer_get(server, connection, path);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct server *server = data;
	const union MHD_ConnectionInfo *info;
	struct connection *own;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*context) {
			g_queue_remove(&server->open, *context);
			g_free(*context);
		}
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (!info)
		return;
	own = g_new0(struct connection, 1);
	own->fd = info->connect_fd;
	own->accepted_us = g_get_monotonic_time();
	g_queue_push_tail(&server->open, own);
	*context = own;
}

/* MHD sees the end of a socket that was shut down, and closes it: on_connection(). */
static void drop_slow(struct server *server)
{
	int64_t late = g_get_monotonic_time() - CONNECTION_US;
	guint count = server->open.length;

	for (GList *link = server->open.head; link; link = link->next, count--) {
		const struct connection *connection = link->data;

		if (count <= SOFT_LIMIT && connection->accepted_us > late)
			return;
		shutdown(connection->fd, SHUT_RDWR);
	}
}

static int wait_ms(const struct server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES)
		return (int)MIN(timeout, (MHD_UNSIGNED_LONG_LONG)LONGEST_WAIT_MS);
	return LONGEST_WAIT_MS;
}

static void *serve(void *data)
{
	struct server *server = data;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fds[] = {
		{ .fd = server->stop, .events = POLLIN },
		{ .fd = info->epoll_fd, .events = POLLIN },
	};

	while (!fds[0].revents) {
		if (poll(fds, G_N_ELEMENTS(fds), wait_ms(server)) < 0 && errno != EINTR)
			break;
		MHD_run(server->daemon);
		drop_slow(server);
	}
	return NULL;
}

static int listen_at(const struct serve_address *address)
{
	int family = address->socket.any.sa_family, on = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* [::] is not to mean every IPv4 address as well. */
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, &address->socket.any, address->size) && !listen(fd, BACKLOG))
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

static bool start_daemon(struct server *server, int fd)
{
	unsigned int flags = MHD_USE_EPOLL;

	if (server->address.socket.any.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	server->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HARD_LIMIT,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)(CONNECTION_US / G_USEC_PER_SEC),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_STRICT_FOR_CLIENT,
		1, MHD_OPTION_END);
	return server->daemon;
}

struct server *server_new(struct latest *latest, const struct serve_address *address,
			  const struct page_options *options, GError **error)
{
	struct server *server = g_new0(struct server, 1);
	int fd = listen_at(address);

	server->latest = latest;
	server->address = *address;
	server->options = *options;
	server->cache = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, destroy_response);
	g_queue_init(&server->open);
	server->stop = fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->stop >= 0 && start_daemon(server, fd)) {
		server->thread = g_thread_new("http", serve, server);
		return server;
	}
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
		    "cannot listen: %s; give another address with --listen ADDR:PORT",
		    g_strerror(errno));
	if (fd >= 0)
		close(fd);
	server_free(server);
	return NULL;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	if (server->thread) {
		eventfd_write(server->stop, 1);
		g_thread_join(server->thread);
	}
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	if (server->stop >= 0)
		close(server->stop);
	g_hash_table_unref(server->cache);
	g_queue_clear_full(&server->open, g_free);
	g_free(server);
}
