// SPDX-License-Identifier: GPL-2.0-or-later
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/session.h"

/*
 * The main thread's heap and one for all others: every traced process has threads of its own, and
 * what they leave in heaps of theirs adds up where processes come and go (tests/bench/prefork.py).
 * Not one for all: a thread that closes a window must not wait while the main one's is trimmed.
 */
enum { HEAPS = 2 };

static int exit_status(const GError *error)
{
	return error->domain == PYLEAK_ERROR ? error->code : PYLEAK_ERROR_FAILED;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	struct options *options;
	int status;

	mallopt(M_ARENA_MAX, HEAPS);
	options = options_parse(argc, argv, &error);
	status = options ? session_run(options, &error) : -1;
	options_free(options);
	if (error) {
		fprintf(stderr, "pyleak: %s\n", error->message);
		return exit_status(error);
	}
	return status;
}
