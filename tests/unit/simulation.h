/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A made-up program that is sampled as collect/ samples a real one: blocks are born and die by
 * rules that the test gives, windows open at random times with a random part of the sites armed,
 * and of the blocks that they saw those still alive go through collect/'s epochs and cells.
 */
#ifndef PYLEAK_TESTS_SIMULATION_H
#define PYLEAK_TESTS_SIMULATION_H

#include <glib.h>

#include "collect/snapshot.h"

enum { SIMULATION_CONTEXTS = 16, SIMULATION_STEP = 16 };

/* How a family is sampled: windows of @hold seconds, from 2/3 to 4/3 of @period apart, each with
 * @fraction of the sites. */
struct simulation_windows {
	double hold, period, fraction;
};

struct simulation;

/* Windows until @end seconds after attach. */
struct simulation *simulation_new(GRand *random, double end,
				  const struct simulation_windows windows[FAMILY_COUNT]);
void simulation_free(struct simulation *simulation);

/* Contexts go by numbers from 1 to SIMULATION_CONTEXTS - 1; each has one family. */
void simulation_context(struct simulation *simulation, uint32_t context, enum family family);
/* A block, times in seconds since attach; it may have lived before that (@born below 0). */
void simulation_block(struct simulation *simulation, uint32_t context, uint32_t size, double born,
		      double died);
/* Blocks at random moments, @rate a second from @from to @to, of random lives around @life. */
void simulation_random(struct simulation *simulation, uint32_t context, uint32_t size, double from,
		       double to, double rate, double life);
/* Temporaries of a context of pymalloc: at any moment about @count blocks, in places that are
 * handed on as soon as they are free. Those that a window saw pass for survivors for a second. */
void simulation_churn(struct simulation *simulation, uint32_t context, uint32_t size, double count);

/* What collect/ would know @time seconds after attach, before estimate_contexts(); times must not
 * decrease. snapshot_free(). */
struct snapshot *simulation_take(struct simulation *simulation, double time);
/* What is true then, by context, of blocks old enough to be survivors. */
void simulation_truth(const struct simulation *simulation, double time,
		      int64_t blocks[SIMULATION_CONTEXTS], int64_t bytes[SIMULATION_CONTEXTS]);

/* Random numbers. */
double random_exponential(GRand *random, double mean);
uint32_t random_poisson(GRand *random, double mean);

#endif
