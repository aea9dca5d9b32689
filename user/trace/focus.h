/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which windows of pymalloc's see everything, and which only a size class that grows.
 *
 * What each class has grown by is known from outside (collect/heap_index.h), and which sites serve
 * it from the windows that saw everything and, of some, from their code. A focused window arms the
 * sites that mostly serve the class, and some of those that nobody knows yet, in turn. An event of
 * another class costs no more there than a look at its pool. Mostly few allocations are of the
 * class that leaks, so for the same cost far more of the time is seen.
 *
 * What the next window is to be is drawn by lot with known chances. So a birth counts 1 / (the
 * chance that a window sees such a birth), and estimates stay unbiased (Horvitz and Thompson 1952).
 * A leak through a site that is left out is seen by the windows that see everything.
 *
 * Pure: no kernel, no clock. Not thread-safe.
 */
#ifndef PYLEAK_TRACE_FOCUS_H
#define PYLEAK_TRACE_FOCUS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "bpf/abi.h"

enum { FOCUS_CLASSES = 64 };

struct focus;

/*
 * @sites: of pymalloc's in the probe plan; @classes: of each the one class that it serves by its
 * code, below 0 where that is not known, or NULL; copied. A hint: what is wrong there is not seen
 * by focused windows, and biases nothing. @alignment: bytes from one size class to the next.
 */
struct focus *focus_new(uint32_t sites, const int *classes, uint32_t alignment);
void focus_free(struct focus *focus);

/* Which sites serve which classes: the births of a window that saw everything. Those of sites or
 * sizes that there are not are left out. */
void focus_learn(struct focus *focus, const struct birth *births, uint32_t count);

/* By how many bytes the blocks of each class, (i + 1) x alignment bytes large, have grown since
 * tracing began. What counts is the least of the last few calls: a program's memory goes up and
 * down. */
void focus_set_growth(struct focus *focus, const int64_t bytes[FOCUS_CLASSES]);

/* What a window sees. */
struct focus_view {
	uint64_t skipped_classes; /* bit i: not class i; 0: it sees everything */
	const bool *sites; /* by number: to be armed; NULL: all; borrowed until the next draw */
	uint32_t armed;	   /* how many these are */
	double length;	   /* how long it lasts, of a burst */
};

/* Draws the next window by @lot, 0 to 1, at random. */
void focus_draw(struct focus *focus, double lot, struct focus_view *view);

/* The chance, above 0, that a window drawn like the last one sees a birth like this one. */
double focus_chance(const struct focus *focus, const struct birth *birth);

#endif
