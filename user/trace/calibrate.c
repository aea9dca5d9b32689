// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/calibrate.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "proc/maps.h"
#include "trace/uprobe_link.h"

enum { CALLS = 2000, ROUNDS = 5 };

/* Starts with a push, which the kernel emulates (PYTHON.md's sites are jumps, emulated alike). */
__attribute__((naked, noinline)) static void probed_function(void)
{
	__asm__ volatile("push %rax\n\tpop %rax\n\tret");
}

static double ns_per_call(void)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec before, after;
		double ns;

		clock_gettime(CLOCK_MONOTONIC, &before);
		for (int i = 0; i < CALLS; i++) {
			probed_function();
			__asm__ volatile("" ::: "memory");
		}
		clock_gettime(CLOCK_MONOTONIC, &after);
		ns = ((after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec)) /
		     CALLS;
		/* The least disturbed round. */
		if (!round || ns < best)
			best = ns;
	}
	return best;
}

static bool function_offset(uint64_t *offset)
{
	struct maps *maps = maps_read(getpid(), NULL);
	const struct mapping *mapping = maps ? maps_find(maps, (uintptr_t)probed_function) : NULL;

	if (mapping)
		*offset = (uintptr_t)probed_function - mapping->start + mapping->offset;
	maps_free(maps);
	return mapping;
}

bool calibrate_trap(const struct kernel_side *kernel, double *trap_ns, GError **error)
{
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
	struct uprobe probe = { 0 };
	double bare = ns_per_call(), probed;
	int link;

	if (!function_offset(&probe.offset)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot find pyleak's own code in /proc/self/maps");
		return false;
	}
	g_array_append_val(probes, probe);
	link = uprobe_link_create(kernel_side_program_fd(kernel, PROGRAM_CALIBRATE),
				  "/proc/self/exe", probes, getpid(), false, error);
	if (link < 0)
		return false;
	probed = ns_per_call();
	close(link);
	*trap_ns = MAX(probed - bare, 0);
	return true;
}
