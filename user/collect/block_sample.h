/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded random sample of the live blocks of each context, for looking into them. It is taken by
 * size, for what has one size mostly is of one type: each size class of pymalloc has its own
 * sample, in the other families each power of two, and how many blocks there are of each is known.
 * The randomness is a hash of address and tag: a block that lives on stays in the sample from look
 * to look. Pure.
 */
#ifndef PYLEAK_COLLECT_BLOCK_SAMPLE_H
#define PYLEAK_COLLECT_BLOCK_SAMPLE_H

#include <stdint.h>
#include <linux/types.h>
#include <glib.h>

#include "bpf/abi.h"

struct block_sample;

struct sampled_block {
	uint64_t address, size; /* bytes */
	enum family family;
	/* Estimates: so many blocks of the context stand behind this one, of so many bytes. */
	double blocks, bytes;
};

/* Keeps at most @per_size blocks of a context and size, and @total in all; where that is not
 * enough, fewer of each. */
struct block_sample *block_sample_new(uint32_t per_size, uint32_t total);
void block_sample_free(struct block_sample *sample);

void block_sample_add(struct block_sample *sample, uint32_t context, enum family family,
		      uint64_t address, uint64_t tag, uint64_t size);

/*
 * The blocks kept of a context, an array of struct sampled_block to g_array_unref(). Their
 * estimates sum up to the number and the bytes of what was added. NULL where there are none.
 */
GArray *block_sample_get(struct block_sample *sample, uint32_t context);

#endif
