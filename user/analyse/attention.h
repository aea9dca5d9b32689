/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes of a host are worth being traced: those that grow, the fastest first, as many as
 * pyleak can afford. Pure.
 */
#ifndef PYLEAK_ANALYSE_ATTENTION_H
#define PYLEAK_ANALYSE_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

struct candidate {
	double growth;	 /* bytes a second, lasting; 0: does not grow */
	bool traced;	 /* now */
	double traced_s; /* for so long */
	double idle_s;	 /* traced, and has not grown for so long */
	bool refused;	 /* cannot be traced */
	bool wanted;	 /* out: is to be traced from now on */
	void *context;
};

/* Reorders @candidates, and fills in @wanted: of at most @capacity. */
void attention_choose(struct candidate *candidates, uint32_t count, uint32_t capacity);

#endif
