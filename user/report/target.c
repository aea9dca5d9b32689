// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/target.h"

#include <string.h>

const struct report_target *report_target_find(const struct report_header *header, int32_t pid)
{
	guint i;

	for (i = 0; header && header->targets && i < header->targets->len; i++) {
		const struct report_target *target = g_ptr_array_index(header->targets, i);

		if (target->pid == pid)
			return target;
	}
	return NULL;
}

const struct report_target *report_target_of(const struct report_header *header,
					     const struct report *report)
{
	return report->target ? report->target : report_target_find(header, report->pid);
}

char *report_target_program(const struct report_target *target)
{
	char **argument = target->cmdline;

	if (argument && *argument)
		argument++;
	for (; argument && *argument; argument++) {
		if (!strcmp(*argument, "-m") && argument[1])
			return g_strdup_printf("-m %s", argument[1]);
		if (!strcmp(*argument, "-c"))
			return g_strdup("-c");
		/* Options with a value of their own (python --help). */
		if ((!strcmp(*argument, "-W") || !strcmp(*argument, "-X")) && argument[1])
			argument++;
		else if (**argument != '-' && **argument)
			return g_strdup(*argument);
	}
	return g_strdup(target->exe ? target->exe : "?");
}
