// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/session.h"

static int exit_status(const GError *error)
{
	return error->domain == PYLEAK_ERROR ? error->code : PYLEAK_ERROR_FAILED;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	struct options *options = options_parse(argc, argv, &error);
	int status = options ? session_run(options, &error) : -1;

	options_free(options);
	if (error) {
		fprintf(stderr, "pyleak: %s\n", error->message);
		return exit_status(error);
	}
	return status;
}
