// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"

static bool is_loopback(const struct serve_address *address)
{
	if (address->socket.any.sa_family == AF_INET)
		return ntohl(address->socket.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&address->socket.v6.sin6_addr);
}

/* "ADDR:PORT" or "[ADDR]:PORT" in two; @port is NULL where there is none. */
static char *split(const char *text, const char **port)
{
	const char *end = strrchr(text, ':');

	if (*text == '[') {
		end = strchr(text, ']');
		*port = end && end[1] == ':' ? end + 2 : NULL;
		return end && (*port || !end[1]) ? g_strndup(text + 1, end - text - 1) : NULL;
	}
	*port = end ? end + 1 : NULL;
	return end ? g_strndup(text, end - text) : g_strdup(text);
}

static bool set_address(struct serve_address *address, const char *number, bool v6, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	if (v6) {
		address->socket.v6.sin6_family = AF_INET6;
		address->socket.v6.sin6_port = htons(port);
		address->size = sizeof(address->socket.v6);
		return inet_pton(AF_INET6, number, &address->socket.v6.sin6_addr) == 1;
	}
	address->socket.v4.sin_family = AF_INET;
	address->socket.v4.sin_port = htons(port);
	address->size = sizeof(address->socket.v4);
	return inet_pton(AF_INET, number, &address->socket.v4.sin_addr) == 1;
}

bool serve_address_parse(const char *text, struct serve_address *address, GError **error)
{
	const char *port_text;
	g_autofree char *number = split(text, &port_text);
	guint64 port;

	if (number && port_text &&
	    g_ascii_string_to_unsigned(port_text, 10, 1, UINT16_MAX, &port, NULL) &&
	    set_address(address, number, *text == '[', (uint16_t)port)) {
		address->loopback = is_loopback(address);
		return true;
	}
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
		    "--listen needs an address and a port, such as " SERVE_DEFAULT_ADDRESS
		    " or [::1]:9464, not '%s'",
		    text);
	return false;
}

bool serve_address_accepts_host(const struct serve_address *address, const char *host)
{
	struct serve_address named;
	const char *port;
	g_autofree char *name = host ? split(host, &port) : NULL;

	/* HTTP/1.0 has none; a browser always sends one. */
	if (!address->loopback || !host)
		return true;
	if (!name)
		return false;
	if (!g_ascii_strcasecmp(name, "localhost"))
		return true;
	return set_address(&named, name, *host == '[', 0) && is_loopback(&named);
}
