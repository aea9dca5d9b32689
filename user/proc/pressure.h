/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How short of processor time the host is: pressure stall information, /proc/pressure/cpu (Linux
 * Documentation/accounting/psi.rst). */
#ifndef PYLEAK_PROC_PRESSURE_H
#define PYLEAK_PROC_PRESSURE_H

/* Percent of the last ten seconds in which some task that could run had to wait, from the text of
 * the file; 0 where it does not say. */
double pressure_parse(const char *text);

/* The same of this host; 0 where its kernel does not keep count. */
double pressure_cpu(void);

#endif
