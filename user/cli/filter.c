// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/filter.h"

#include <pwd.h>
#include <sys/stat.h>

#include "base/error.h"
#include "proc/cgroup.h"

bool filter_set_match(struct filter *filter, const char *pattern, GError **error)
{
	g_autoptr(GError) why = NULL;

	g_clear_pointer(&filter->match, g_regex_unref);
	g_free(filter->pattern);
	filter->pattern = g_strdup(pattern);
	/* Command lines are bytes: any encoding, or none. */
	filter->match = g_regex_new(pattern, G_REGEX_RAW | G_REGEX_OPTIMIZE, 0, &why);
	if (filter->match)
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
		    "--match needs a regular expression, which '%s' is not: %s", pattern,
		    why->message);
	return false;
}

bool filter_set_cgroup(struct filter *filter, const char *path, GError **error)
{
	g_free(filter->cgroup);
	filter->cgroup = g_strdup(path);
	if (*path)
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
		    "--cgroup needs a path, as in /proc/PID/cgroup or below /sys/fs/cgroup");
	return false;
}

bool filter_set_user(struct filter *filter, const char *name, GError **error)
{
	const struct passwd *user = getpwnam(name);
	char *end;
	guint64 number = g_ascii_strtoull(name, &end, 10);

	g_free(filter->user);
	filter->user = g_strdup(name);
	if (user) {
		filter->uid = user->pw_uid;
		return true;
	}
	/* Of a container's user nothing but the number is known here. */
	filter->uid = number;
	if (g_ascii_isdigit(*name) && !*end && number < (uid_t)-1)
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_USAGE,
		    "--user needs the name or number of a user; there is no '%s' here", name);
	return false;
}

void filter_clear(struct filter *filter)
{
	g_clear_pointer(&filter->match, g_regex_unref);
	g_free(filter->pattern);
	g_free(filter->cgroup);
	g_free(filter->user);
}

bool filter_is_set(const struct filter *filter)
{
	return filter->match || filter->cgroup || filter->user;
}

bool filter_passes(const struct filter *filter, pid_t pid, char *const *cmdline)
{
	g_autofree char *line = g_strjoinv(" ", (char **)cmdline);
	g_autofree char *folder = g_strdup_printf("/proc/%d", pid);
	struct stat status;

	/* The folder belongs to the effective user of the process. */
	if (filter->user && (stat(folder, &status) || status.st_uid != filter->uid))
		return false;
	if (filter->match && !g_regex_match(filter->match, line, 0, NULL))
		return false;
	return !filter->cgroup || process_is_in_cgroup(pid, filter->cgroup);
}
