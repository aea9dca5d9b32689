// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/container.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proc/procfs.h"

enum {
	ID_DIGITS = 64,	  /* of an OCI engine's id: SHA-256 in hexadecimal */
	TASK_DIGITS = 32, /* of an ECS task's, which is followed by a number */
};

/* "hierarchy:controllers:path" */
static const char *cgroup_path(const char *line, bool *unified, bool *systemd)
{
	const char *controllers = strchr(line, ':');
	const char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path || path[1] != '/')
		return NULL;
	*unified = g_str_has_prefix(line, "0::");
	*systemd = g_str_has_prefix(controllers, ":name=systemd:");
	return path + 1;
}

char *container_cgroup_parse(const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *best = NULL;
	unsigned int best_rank = 0;

	for (char **line = lines; *line; line++) {
		bool unified, systemd;
		const char *path = cgroup_path(*line, &unified, &systemd);
		/* In mixed set-ups a hierarchy that nobody uses says "/". */
		unsigned int rank = !path ? 0 : !path[1] ? 1 : unified ? 4 : systemd ? 3 : 2;

		if (rank > best_rank ||
		    (rank && rank == best_rank && strlen(path) > strlen(best))) {
			best = path;
			best_rank = rank;
		}
	}
	return g_strdup(best);
}

static size_t count_digits(const char *text)
{
	size_t count = 0;

	while (g_ascii_isdigit(text[count]) || (text[count] >= 'a' && text[count] <= 'f'))
		count++;
	return count;
}

/* "ID", "docker-ID.scope", "cri-containerd:ID" and such: the digits, with nothing of a longer word
 * beside them. */
static char *oci_id(const char *component)
{
	const char *start = component;

	for (const char *at = component; *at; at++)
		if (*at == '-' || *at == ':')
			start = at + 1;
	size_t digits = count_digits(start);
	if (digits == ID_DIGITS && (!start[digits] || start[digits] == '.'))
		return g_strndup(start, digits);
	return NULL;
}

static char *ecs_id(const char *component)
{
	const char *number = component + TASK_DIGITS + 1;

	if (count_digits(component) != TASK_DIGITS || component[TASK_DIGITS] != '-' || !*number ||
	    strspn(number, "0123456789") != strlen(number))
		return NULL;
	return g_strdup(component);
}

/* systemd writes a '-' of a name as "\x2d": systemd-escape(1). */
static char *unescape(const char *text, size_t length)
{
	GString *name = g_string_new_len(text, (gssize)length);

	for (size_t at = 0; at + 3 < name->len; at++) {
		int high, low;

		if (name->str[at] != '\\' || name->str[at + 1] != 'x')
			continue;
		high = g_ascii_xdigit_value(name->str[at + 2]);
		low = g_ascii_xdigit_value(name->str[at + 3]);
		if (high < 0 || low < 0 || high + low == 0)
			continue;
		name->str[at] = (char)(high * 16 + low);
		g_string_erase(name, (gssize)at + 1, 3);
	}
	return g_string_free(name, false);
}

static char *between(const char *text, const char *prefix, const char *suffix)
{
	size_t length = strlen(text), before = strlen(prefix), after = strlen(suffix);

	if (length <= before + after || !g_str_has_prefix(text, prefix) ||
	    !g_str_has_suffix(text, suffix))
		return NULL;
	return unescape(text + before, length - before - after);
}

static char *named(const char *component, const char *parent)
{
	char *name = between(component, "lxc.payload.", "");

	if (!name && !strcmp(parent, "lxc") && *component)
		name = g_strdup(component);
	if (!name)
		name = between(component, "machine-", ".scope");
	if (!name)
		name = between(component, "systemd-nspawn@", ".service");
	return name;
}

char *container_id_parse(const char *cgroup)
{
	g_auto(GStrv) components = g_strsplit(cgroup, "/", -1);
	char *id = NULL;

	for (guint i = g_strv_length(components); i > 0 && !id; i--) {
		const char *component = components[i - 1];

		id = oci_id(component);
		if (!id)
			id = ecs_id(component);
		if (!id)
			id = named(component, i > 1 ? components[i - 2] : "");
	}
	return id;
}

pid_t container_namespace_pid_parse(const char *status)
{
	static const char key[] = "\nNSpid:";
	const char *next = strstr(status, key);
	long last = 0;

	if (!next)
		return 0;
	next += strlen(key);
	while (*next == '\t' || *next == ' ') {
		char *end;
		long number = strtol(next, &end, 10);

		if (end == next)
			break;
		if (number <= 0 || number > INT_MAX)
			return 0;
		last = number;
		next = end;
	}
	return (pid_t)last;
}

void container_read(pid_t pid, struct container *container)
{
	g_autofree char *cgroups = procfs_read(pid, "cgroup", NULL, NULL);
	g_autofree char *status = procfs_read(pid, "status", NULL, NULL);

	*container = (struct container){ 0 };
	if (cgroups)
		container->cgroup = container_cgroup_parse(cgroups);
	if (container->cgroup)
		container->id = container_id_parse(container->cgroup);
	if (status)
		container->namespace_pid = container_namespace_pid_parse(status);
}

void container_clear(struct container *container)
{
	g_free(container->cgroup);
	g_free(container->id);
	*container = (struct container){ 0 };
}
