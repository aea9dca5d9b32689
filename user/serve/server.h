/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP side of `pyleak serve`, in a thread of its own. It reads the latest reports and nothing
 * else, so whatever clients do, tracing goes on: connections are few, short-lived and dropped when
 * they are slow, and a page is made once however often it is asked for.
 */
#ifndef PYLEAK_SERVE_SERVER_H
#define PYLEAK_SERVE_SERVER_H

#include <glib.h>

#include "report/latest.h"
#include "serve/address.h"
#include "serve/pages.h"

struct server;

/*
 * Listens and starts to answer. @latest is borrowed and must outlive the server; @address and
 * @options are copied. NULL and @error (FAILED) when the address cannot be had.
 */
struct server *server_new(struct latest *latest, const struct serve_address *address,
			  const struct page_options *options, GError **error);
/* Closes all connections and waits for the thread. NULL is allowed. */
void server_free(struct server *server);

#endif
