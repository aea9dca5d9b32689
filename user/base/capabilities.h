/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of root's power this process has. What pyleak needs and what for: pyleak(1), CAPABILITIES;
 * tests/e2e/test_permissions.py traces under exactly those.
 */
#ifndef PYLEAK_BASE_CAPABILITIES_H
#define PYLEAK_BASE_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

/* The effective set of this process, bit N for capability N of include/uapi/linux/capability.h.
 * All bits where /proc does not tell. */
uint64_t capabilities_effective(void);
/* The same from the text of /proc/PID/status. */
uint64_t capabilities_parse(const char *status);

bool capabilities_have(uint64_t set, unsigned int number);

/* Names of those of @set without which nothing can be traced, as in a sentence, to g_free(); NULL
 * when none is missing. */
char *capabilities_missing(uint64_t set);

/*
 * Why this process may not read a file that is there, and what would help: the end of a sentence,
 * to g_free(). For errors EACCES and EPERM.
 */
char *capabilities_explain_unreadable(uint64_t set);

#endif
