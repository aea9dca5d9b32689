// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/uprobe_link.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>

#include "base/error.h"

/* BPF_F_UPROBE_MULTI_RETURN, include/uapi/linux/bpf.h, Linux 6.6. */
enum { LINK_AT_RETURN = 1 };

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi (same header): kernel ABI,
 * fixed. */
struct link_create {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t padding;
};

static void set_attach_error(GError **error, int code, const char *path, pid_t pid)
{
	if (code == ESRCH)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
			    "process %d was gone before tracing began", pid);
	else if (code == EPERM || code == EACCES)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "not permitted to attach probes: run as root, or with CAP_BPF and "
			    "CAP_PERFMON");
	else if (code == EINVAL || code == EOPNOTSUPP)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "this kernel refuses uprobe_multi links on %s: pyleak needs Linux 6.6 "
			    "or later",
			    path);
	else
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot attach probes to %s: %s", path, g_strerror(code));
}

int uprobe_link_create(int program_fd, const char *path, const GArray *probes, pid_t pid,
		       bool at_return, GError **error)
{
	g_autofree uint64_t *offsets = g_new(uint64_t, probes->len);
	g_autofree uint64_t *cookies = g_new(uint64_t, probes->len);
	struct link_create attr;
	int fd;

	for (guint i = 0; i < probes->len; i++) {
		const struct uprobe *probe = &g_array_index(probes, struct uprobe, i);

		offsets[i] = probe->offset;
		cookies[i] = probe->cookie;
	}
	memset(&attr, 0, sizeof(attr));
	attr.prog_fd = program_fd;
	attr.attach_type = UPROBE_MULTI_ATTACH_TYPE;
	attr.path = (uintptr_t)path;
	attr.offsets = (uintptr_t)offsets;
	attr.cookies = (uintptr_t)cookies;
	attr.count = probes->len;
	attr.multi_flags = at_return ? LINK_AT_RETURN : 0;
	attr.pid = pid;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		set_attach_error(error, errno, path, pid);
	return fd;
}
