/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where `pyleak serve` listens, and whom it answers. Pure: no name is looked up. */
#ifndef PYLEAK_SERVE_ADDRESS_H
#define PYLEAK_SERVE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <glib.h>

#define SERVE_DEFAULT_ADDRESS "127.0.0.1:9464"

struct serve_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} socket;
	socklen_t size;
	bool loopback; /* only this host can reach it */
};

/*
 * "127.0.0.1:9464" or "[::1]:9464": a number, never a name, and never left out, so that nothing is
 * opened to a network by accident. False and @error (USAGE) if @text is not.
 */
bool serve_address_parse(const char *text, struct serve_address *address, GError **error);

/*
 * Whether a request with this Host header (NULL: none) is answered on @address. A server on
 * loopback is asked by that name only: a page in a browser on this host that has its own name
 * resolve to 127.0.0.1 gets nothing (DNS rebinding).
 */
bool serve_address_accepts_host(const struct serve_address *address, const char *host);

#endif
