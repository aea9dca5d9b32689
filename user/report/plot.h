/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory curve as a picture of characters. */
#ifndef PYLEAK_REPORT_PLOT_H
#define PYLEAK_REPORT_PLOT_H

#include <stdbool.h>
#include <glib.h>

#include "report/line.h"

/*
 * Draws @points (of struct curve_point, ascending in time) as wide as the line: what is in use,
 * what is held but unused on top of it, resident memory as a line above where there is room, and
 * below them traced growth. @unicode: with block characters, else ASCII. Draws nothing where there
 * are fewer than two moments.
 */
void plot_write(struct line *line, const GArray *points, bool unicode);

#endif
