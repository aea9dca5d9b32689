/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `pyleak serve` answers, made from the latest reports. No sockets here. */
#ifndef PYLEAK_SERVE_PAGES_H
#define PYLEAK_SERVE_PAGES_H

#include <stdint.h>
#include <glib.h>

#include "report/latest.h"

struct page_options {
	uint32_t top;	   /* sites of a process; fewer in /metrics where processes are many */
	double interval_s; /* between reports: later than a few of these is not healthy */
};

struct page {
	unsigned int status; /* of HTTP */
	const char *type;    /* Content-Type */
	char *body;	     /* g_free() */
	size_t size;
	const char *file; /* to save it as; NULL: none */
	bool lasting;	  /* the same until the latest reports change */
};

/*
 * The answer to a GET of @path; @pid: the value of its argument pid, or NULL. Always a page, with
 * status 404 or 400 where there is none to show. @now_us: g_get_monotonic_time(). page_clear() it.
 */
struct page page_make(struct latest *latest, const struct page_options *options, const char *path,
		      const char *pid, int64_t now_us);
/* A page of one line, mostly an error. */
struct page page_line(unsigned int status, const char *line);
void page_clear(struct page *page);

#endif
