/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which parts of a process's memory hold anything: pages in memory or in swap. What was never
 * touched, and what only maps the kernel's page of zeros, does not. Reading such a page would give
 * zeros and make the kernel build page tables in the target. Source: Linux 6.18,
 * Documentation/admin-guide/mm/pagemap.rst.
 */
#ifndef PYLEAK_PROC_PAGEMAP_H
#define PYLEAK_PROC_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "proc/memory.h"

/*
 * Appends the populated parts of @span to @ranges (of struct memory_range), ascending, neighbours
 * of one kind joined. @fd is /proc/PID/pagemap. By ioctl PAGEMAP_SCAN (6.7 and newer): false where
 * the kernel has none or @fd is something else; @ranges is as before then.
 */
bool pagemap_scan(int fd, const struct memory_range *span, GArray *ranges);
/* The same by reading the 8 bytes of each page: any kernel, slower, and pages of zeros count. */
bool pagemap_read(int fd, const struct memory_range *span, GArray *ranges);

#endif
