// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/writer.h"

#include <string.h>

const struct report_writer *report_writer_find(const char *name)
{
	static const struct report_writer *const writers[] = {
		&text_writer, &json_writer, &folded_writer, &pprof_writer, &prometheus_writer,
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(writers); i++) {
		if (!strcmp(writers[i]->name, name))
			return writers[i];
	}
	return NULL;
}
