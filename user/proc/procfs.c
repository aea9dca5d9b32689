// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/error.h"

enum { CHUNK = 64 << 10 };
/* A maps file of 65,530 mappings (the default limit) is 6 MB. */
static const size_t max_size = 256ul << 20;

void procfs_set_error(pid_t pid, int code, GError **error)
{
	switch (code) {
	case ENOENT:
	case ESRCH:
		g_set_error(
			error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
			"no process %d: it has exited, or the pid is wrong (see: pgrep -af python)",
			pid);
		break;
	case EACCES:
	case EPERM:
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "not permitted to look into process %d: run pyleak as root (sudo)",
			    pid);
		break;
	default:
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot read /proc/%d: %s",
			    pid, g_strerror(code));
	}
}

/* 0 or an errno. */
static int read_to_end(int fd, GString *text)
{
	for (;;) {
		size_t length = text->len;
		g_string_set_size(text, length + CHUNK);
		ssize_t done = read(fd, text->str + length, CHUNK);
		int code = errno;
		g_string_set_size(text, length + (done > 0 ? done : 0));
		if (done == 0)
			return 0;
		if (done < 0 && code != EINTR)
			return code;
		if (text->len > max_size)
			return EFBIG;
	}
}

char *procfs_read(pid_t pid, const char *name, size_t *length, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		procfs_set_error(pid, errno, error);
		return NULL;
	}
	GString *text = g_string_new(NULL);
	int code = read_to_end(fd, text);
	close(fd);
	if (code) {
		g_string_free(text, true);
		procfs_set_error(pid, code, error);
		return NULL;
	}
	if (length)
		*length = text->len;
	return g_string_free(text, false);
}

char *procfs_read_link(pid_t pid, const char *name, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target));

	if (length < 0) {
		procfs_set_error(pid, errno, error);
		return NULL;
	}
	return g_strndup(target, length);
}
