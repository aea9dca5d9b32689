/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ids that stay the same from run to run and from build to build: 64 bits of a SHA-256. */
#ifndef PYLEAK_ANALYSE_NAMES_HASH_H
#define PYLEAK_ANALYSE_NAMES_HASH_H

#include <stdint.h>
#include <glib.h>

GChecksum *names_hash_new(void);

/* Its terminating zero counts, so that ("ab", "c") and ("a", "bc") differ. NULL is "". */
void names_hash_string(GChecksum *hash, const char *text);
void names_hash_number(GChecksum *hash, uint64_t number);

/* Frees @hash. Never 0. */
uint64_t names_hash_end(GChecksum *hash);

#endif
