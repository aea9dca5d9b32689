/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which processes of the host are meant: --match, --cgroup, --user. */
#ifndef PYLEAK_CLI_FILTER_H
#define PYLEAK_CLI_FILTER_H

#include <stdbool.h>
#include <sys/types.h>
#include <glib.h>

struct filter {
	GRegex *match; /* on the command line, its words joined by spaces; NULL: any */
	char *pattern; /* of @match, as given */
	char *cgroup;  /* NULL: any */
	char *user;    /* as given, NULL: any */
	uid_t uid;     /* of @user */
};

/* Each: false and @error (USAGE) when the text is no such thing. */
bool filter_set_match(struct filter *filter, const char *pattern, GError **error);
bool filter_set_cgroup(struct filter *filter, const char *path, GError **error);
bool filter_set_user(struct filter *filter, const char *name, GError **error);
void filter_clear(struct filter *filter);
bool filter_is_set(const struct filter *filter);

/* Whether a process passes. False as well when it has gone. */
bool filter_passes(const struct filter *filter, pid_t pid, char *const *cmdline);

#endif
