/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of a host's processes at the top of a text report. */
#ifndef PYLEAK_REPORT_TEXT_OVERVIEW_H
#define PYLEAK_REPORT_TEXT_OVERVIEW_H

#include "report/writer.h"

/* As struct report_writer's overview. */
bool text_overview(FILE *stream, const struct report_style *style,
		   const struct report_header *header, const struct report_overview *overview);

#endif
