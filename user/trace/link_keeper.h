/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small process that holds the links of one target. A kernel that is interrupted by SIGKILL while
 * it arms or removes probes leaves breakpoints behind ("failed to unregister, leaking uprobe",
 * kernel/events/uprobes.c, Linux 6.18: the page of the target cannot be had while a fatal signal is
 * pending). The keeper is not the process that people kill: when pyleak dies in any way it sees the
 * end of its sockets, closes the links in peace, and ends.
 */
#ifndef PYLEAK_TRACE_LINK_KEEPER_H
#define PYLEAK_TRACE_LINK_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

struct link_keeper;

/*
 * Starts a keeper for @slots links. It inherits all descriptors, those of BPF programs among them.
 * To be called while the process has no other threads. NULL and @error when it cannot be started.
 */
struct link_keeper *link_keeper_new(unsigned int slots, GError **error);
/* Closes every link and waits for the keeper's end. NULL is allowed. */
void link_keeper_free(struct link_keeper *keeper);

/* False once the keeper has ended, which it does only when it is killed: its probes are gone. */
bool link_keeper_is_alive(const struct link_keeper *keeper);

/*
 * uprobe_link_create() in @slot, which must be empty. Different slots may be used by different
 * threads. False and @error on failure.
 */
bool link_keeper_create(struct link_keeper *keeper, unsigned int slot, int program_fd,
			const char *path, const GArray *probes, pid_t pid, bool at_return,
			GError **error);

/*
 * Closes a link in two steps, so that several can be closed side by side: begin for each, then
 * finish for each. A slot that is empty is allowed.
 */
void link_keeper_close_begin(struct link_keeper *keeper, unsigned int slot);
void link_keeper_close_finish(struct link_keeper *keeper, unsigned int slot);

#endif
