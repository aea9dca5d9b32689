/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small process that holds all links. A kernel that is interrupted by SIGKILL while it arms or
 * removes probes leaves breakpoints behind ("failed to unregister, leaking uprobe",
 * kernel/events/uprobes.c, Linux 6.18: the page of the target cannot be had while a fatal signal is
 * pending). The keeper is not the process that people kill: when pyleak dies in any way it sees the
 * end of its sockets, closes the links in peace, and ends.
 *
 * There is one keeper for all targets. It is forked once, before there are threads; what comes
 * later reaches it by sockets.
 */
#ifndef PYLEAK_TRACE_LINK_KEEPER_H
#define PYLEAK_TRACE_LINK_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

struct link_keeper;
/* A place for one link, with a thread of its own in the keeper. */
struct link_slot;

/*
 * Starts the keeper. It inherits all descriptors, and those of the BPF programs it must have: load
 * them first. To be called while the process has no other threads. NULL and @error when it cannot
 * be started.
 */
struct link_keeper *link_keeper_new(GError **error);
/* Waits for the keeper's end; every slot must have been freed. NULL is allowed. */
void link_keeper_free(struct link_keeper *keeper);

/* False once the keeper has ended, which it does only when it is killed: its probes are gone.
 * For one thread only. */
bool link_keeper_is_alive(struct link_keeper *keeper);
/* CPU time that it has used, in ns; 0 when it has ended. */
uint64_t link_keeper_cpu_ns(const struct link_keeper *keeper);

/* An empty slot. @keeper must outlive it. NULL and @error when the keeper has ended, or there are
 * no more descriptors. For one thread only. */
struct link_slot *link_slot_new(struct link_keeper *keeper, GError **error);
/* Closes its link, waits until that is done, and frees. NULL is allowed. */
void link_slot_free(struct link_slot *slot);

/*
 * uprobe_link_create() in an empty slot. Different slots may be used by different threads. False
 * and @error on failure.
 */
bool link_slot_create(struct link_slot *slot, int program_fd, const char *path,
		      const GArray *probes, pid_t pid, bool at_return, GError **error);
bool link_slot_has_link(const struct link_slot *slot);
/* Processor time that the keeper has used for the slot so far, in ns, as of its last reply. */
uint64_t link_slot_cpu_ns(const struct link_slot *slot);
/* Of that, what it spent on the processor that the target runs on, where many sites are armed. */
uint64_t link_slot_beside_ns(const struct link_slot *slot);

/*
 * Closes a link in two steps, so that several can be closed side by side: begin for each, then
 * finish for each. A slot that is empty is allowed.
 */
void link_slot_close_begin(struct link_slot *slot);
void link_slot_close_finish(struct link_slot *slot);

#endif
