/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of options, read strictly: no trailing garbage, no silent clamping. @option is the
 * option's name for the message. False and @error (USAGE), one line that says what is wanted, if
 * the text is not.
 */
#ifndef PYLEAK_CLI_VALUES_H
#define PYLEAK_CLI_VALUES_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* A decimal number up to @max, greater than 0 or (not @positive) at least 0. */
bool value_number(const char *text, const char *option, const char *unit, bool positive, double max,
		  double *value, GError **error);
/* A whole number from 1 to @max. */
bool value_count(const char *text, const char *option, uint64_t max, uint64_t *value,
		 GError **error);
/* Bytes, at least 1 MiB: "256M", "1G", "1.5GiB", "268435456". Suffixes are powers of 1024. */
bool value_size(const char *text, const char *option, uint64_t *value, GError **error);
/* The index of one of @choices (NULL-terminated). */
bool value_choice(const char *text, const char *option, const char *const *choices, int *value,
		  GError **error);
/* "12,34": appends to @pids (of pid_t) those that are not in it yet. */
bool value_pids(const char *text, GArray *pids, GError **error);

/*
 * What is wrong with the first option in @argv that @table does not know, that lacks its value or
 * has one too many: argp reports none of it when it must not print.
 */
GError *value_bad_option(const struct argp_option *table, int argc, char **argv);

#endif
