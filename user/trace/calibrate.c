// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/calibrate.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "trace/own_function.h"
#include "trace/uprobe_link.h"

/* Short rounds: some are not disturbed even where every processor is busy. */
enum { CALLS = 500, ROUNDS = 40 };

static double ns_per_call(void)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		double ns;

		for (int i = 0; i < CALLS; i++) {
			own_function();
			__asm__ volatile("" ::: "memory");
		}
		ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / CALLS;
		/* The least disturbed round. */
		if (!round || ns < best)
			best = ns;
	}
	return best;
}

bool calibrate_trap(const struct kernel_side *kernel, double *trap_ns, GError **error)
{
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
	struct uprobe probe;
	double bare = ns_per_call(), probed;
	int link;

	if (!own_function_probe(&probe)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot find pyleak's own code in /proc/self/maps");
		return false;
	}
	g_array_append_val(probes, probe);
	link = uprobe_link_create(kernel_side_program_fd(kernel, PROGRAM_CALIBRATE),
				  OWN_FUNCTION_PATH, probes, getpid(), false, error);
	if (link < 0)
		return false;
	probed = ns_per_call();
	close(link);
	*trap_ns = MAX(probed - bare, 0);
	return true;
}
