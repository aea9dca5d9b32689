/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures as people read them. All results are to be freed with g_free(). */
#ifndef PYLEAK_REPORT_UNITS_H
#define PYLEAK_REPORT_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* "512 B", "12.3 MiB" (IEC, three digits or so); @sign puts a plus before what is not negative. */
char *units_bytes(double bytes, bool sign);
/* "+3.9 MiB/min" from bytes per second. */
char *units_rate(double bytes_per_s);
/* "84,000". */
char *units_count(int64_t count);
/* "4.2s", "58s", "1m58s", "2h05m", "3d04h". */
char *units_duration(double seconds);

#endif
