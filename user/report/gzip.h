/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PYLEAK_REPORT_GZIP_H
#define PYLEAK_REPORT_GZIP_H

#include <stdint.h>
#include <glib.h>

/* @size bytes as a gzip file (RFC 1952). NULL when there is no memory for it. */
GByteArray *gzip_compress(const uint8_t *bytes, size_t size);

#endif
