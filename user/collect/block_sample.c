// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/block_sample.h"

#include <stdbool.h>

struct kept_block {
	uint64_t order; /* random; the lowest are kept */
	uint64_t address, size;
};

/* The blocks of a context that have one size. */
struct stratum {
	uint64_t size; /* the class, or a power of two */
	uint64_t blocks, bytes;
	uint64_t limit; /* no block from this order on is kept any more */
	GArray *kept;	/* of struct kept_block; up to twice as many as are to be kept */
};

/* Most contexts have blocks of one size: these are where the context is, for a look visits millions
 * of blocks and every line of the cache counts. */
struct context_sample {
	struct stratum first; /* without kept when there are no blocks at all */
	GArray *others;	      /* of struct stratum, few; may be NULL */
	enum family family;
};

struct block_sample {
	GArray *contexts; /* of struct context_sample by the context's id */
	uint32_t per_size, total;
	uint64_t entries; /* kept in all contexts */
};

static void stratum_clear(void *element)
{
	g_clear_pointer(&((struct stratum *)element)->kept, g_array_unref);
}

static void context_clear(void *element)
{
	struct context_sample *context = element;

	stratum_clear(&context->first);
	g_clear_pointer(&context->others, g_array_unref);
}

struct block_sample *block_sample_new(uint32_t per_size, uint32_t total)
{
	struct block_sample *sample = g_new0(struct block_sample, 1);

	sample->contexts = g_array_new(false, true, sizeof(struct context_sample));
	g_array_set_clear_func(sample->contexts, context_clear);
	sample->per_size = MAX(per_size, 1);
	sample->total = total;
	return sample;
}

void block_sample_free(struct block_sample *sample)
{
	if (!sample)
		return;
	g_array_unref(sample->contexts);
	g_free(sample);
}

/* Random, but the same for the same block: splitmix64's finisher (Steele, Lea, Flood 2014). */
static uint64_t order_of(uint64_t address, uint64_t tag)
{
	uint64_t hash = address * 0x9e3779b97f4a7c15ULL ^ tag;

	hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ULL;
	hash = (hash ^ hash >> 27) * 0x94d049bb133111ebULL;
	return hash ^ hash >> 31;
}

static int by_order(const void *left, const void *right)
{
	const struct kept_block *a = left, *b = right;

	return (a->order > b->order) - (a->order < b->order);
}

/* Drops what is not to be kept. */
static void trim(struct block_sample *sample, struct stratum *stratum)
{
	GArray *kept = stratum->kept;

	if (kept->len <= sample->per_size)
		return;
	g_array_sort(kept, by_order);
	stratum->limit = g_array_index(kept, struct kept_block, sample->per_size).order;
	sample->entries -= kept->len - sample->per_size;
	g_array_set_size(kept, sample->per_size);
}

static uint32_t stratum_count(const struct context_sample *context)
{
	return context->first.kept ? 1 + (context->others ? context->others->len : 0) : 0;
}

static struct stratum *stratum_at(struct context_sample *context, uint32_t i)
{
	return i ? &g_array_index(context->others, struct stratum, i - 1) : &context->first;
}

/* Too many contexts: fewer blocks of each. */
static void shrink(struct block_sample *sample)
{
	while (sample->entries > sample->total && sample->per_size > 1) {
		sample->per_size /= 2;
		for (guint id = 0; id < sample->contexts->len; id++) {
			struct context_sample *context =
				&g_array_index(sample->contexts, struct context_sample, id);

			for (uint32_t i = 0; i < stratum_count(context); i++)
				trim(sample, stratum_at(context, i));
		}
	}
}

static struct context_sample *context_of(struct block_sample *sample, uint32_t id,
					 enum family family)
{
	struct context_sample *context;

	if (id >= sample->contexts->len)
		g_array_set_size(sample->contexts, id + 1);
	context = &g_array_index(sample->contexts, struct context_sample, id);
	context->family = family;
	return context;
}

static struct stratum *stratum_of(struct context_sample *context, uint64_t size)
{
	struct stratum *stratum = &context->first;

	if (context->family != FAMILY_PYMALLOC && size)
		size = 1ULL << (63 - __builtin_clzll(size));
	if (stratum->kept) {
		for (uint32_t i = 0; i < stratum_count(context); i++) {
			stratum = stratum_at(context, i);
			if (stratum->size == size)
				return stratum;
		}
		if (!context->others) {
			context->others = g_array_new(false, false, sizeof(struct stratum));
			g_array_set_clear_func(context->others, stratum_clear);
		}
		g_array_set_size(context->others, context->others->len + 1);
		stratum = stratum_at(context, context->others->len);
	}
	*stratum = (struct stratum){ .size = size, .limit = UINT64_MAX };
	stratum->kept = g_array_new(false, false, sizeof(struct kept_block));
	return stratum;
}

void block_sample_add(struct block_sample *sample, uint32_t id, enum family family,
		      uint64_t address, uint64_t tag, uint64_t size)
{
	struct stratum *stratum = stratum_of(context_of(sample, id, family), size);
	const struct kept_block block = { order_of(address, tag), address, size };

	stratum->blocks++;
	stratum->bytes += size;
	if (block.order >= stratum->limit)
		return;
	g_array_append_val(stratum->kept, block);
	sample->entries++;
	if (stratum->kept->len >= 2 * sample->per_size)
		trim(sample, stratum);
	if (sample->entries > sample->total)
		shrink(sample);
}

static void add_stratum(GArray *blocks, enum family family, const struct stratum *stratum)
{
	const struct kept_block *kept = (const struct kept_block *)(void *)stratum->kept->data;
	double bytes = 0;

	for (guint i = 0; i < stratum->kept->len; i++)
		bytes += (double)kept[i].size;
	for (guint i = 0; i < stratum->kept->len; i++) {
		struct sampled_block block = {
			.address = kept[i].address,
			.size = kept[i].size,
			.family = family,
			.blocks = (double)stratum->blocks / stratum->kept->len,
			.bytes = bytes > 0 ? kept[i].size * (stratum->bytes / bytes) : 0,
		};

		g_array_append_val(blocks, block);
	}
}

GArray *block_sample_get(struct block_sample *sample, uint32_t id)
{
	struct context_sample *context;
	GArray *blocks;

	if (id >= sample->contexts->len)
		return NULL;
	context = &g_array_index(sample->contexts, struct context_sample, id);
	if (!stratum_count(context))
		return NULL;
	blocks = g_array_new(false, false, sizeof(struct sampled_block));
	for (uint32_t i = 0; i < stratum_count(context); i++) {
		struct stratum *stratum = stratum_at(context, i);

		trim(sample, stratum);
		add_stratum(blocks, context->family, stratum);
	}
	return blocks;
}
