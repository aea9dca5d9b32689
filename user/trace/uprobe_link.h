/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uprobe_multi links by the raw system call: libbpf 1.1 (Debian 12) knows the attach type only as a
 * number. Many probes in one file with one link, attached by path and file offset; closing the
 * link's descriptor removes them. Needs Linux 6.6.
 */
#ifndef PYLEAK_TRACE_UPROBE_LINK_H
#define PYLEAK_TRACE_UPROBE_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

enum {
	UPROBE_MULTI_ATTACH_TYPE = 48
}; /* BPF_TRACE_UPROBE_MULTI, include/uapi/linux/bpf.h, Linux 6.6 */

struct uprobe {
	uint64_t offset; /* bytes into the file */
	uint64_t cookie; /* what bpf_get_attach_cookie() returns */
};

/*
 * Attaches @program_fd at all of @probes (of struct uprobe) in the file at @path, for process @pid
 * only (0: any). Returns the link's descriptor, to close(), or -1 and @error.
 */
int uprobe_link_create(int program_fd, const char *path, const GArray *probes, pid_t pid,
		       bool at_return, GError **error);

#endif
