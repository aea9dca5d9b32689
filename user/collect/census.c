// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/census.h"

#include <string.h>

#include "base/clock.h"
#include "cpython/block_class.h"
#include "proc/maps.h"

enum {
	AT_ONCE = 64, /* blocks read in one go */
	LARGEST_CONTEXTS = 32,
	MOST_CONTEXTS = 16384, /* remembered */
	MALLOC_SLACK = 1,      /* malloc's blocks are known by the size that was asked for */
};

/* No allocator stands between a mapping and the program, so nothing is known of its structure. */
#define MAPPING "mapping"

static const double REPORT_SECONDS = 0.02, LARGEST_SECONDS = 0.004;

struct context_types {
	GArray *types; /* of struct type_count */
	uint32_t look; /* in which it was made */
};

struct census {
	const struct memory *memory;
	pid_t pid;
	struct python_facts facts;
	const struct object_layout *layout;
	struct classifier classifier;
	struct types *types;
	struct maps *maps;
	GHashTable *known; /* struct context_types by GUINT_TO_POINTER(context) */
	struct block_sample *sample;
	double budget_s, spent_s; /* of the look: of this thread's processor time */
	uint32_t look;
};

/* The types of one context on the way. */
struct tally {
	GHashTable *types;		  /* struct type_count by its name */
	double maybe_blocks, maybe_bytes; /* among the list items */
	bool has_values;
};

static double thread_seconds(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
}

static void clear_count(void *element)
{
	struct type_count *count = element;

	g_ref_string_release(count->name);
}

static void free_context(void *data)
{
	struct context_types *context = data;

	g_array_unref(context->types);
	g_free(context);
}

struct census *census_new(const struct memory *memory, pid_t pid,
			  const struct interpreter *interpreter)
{
	const struct object_layout *layout =
		object_layout_find(interpreter->major, interpreter->minor);
	struct census *census;

	if (!layout)
		return NULL;
	census = g_new0(struct census, 1);
	census->memory = memory;
	census->pid = pid;
	census->facts = interpreter->facts;
	census->layout = layout;
	census->types = types_new(memory, &census->facts, layout);
	census->classifier = (struct classifier){
		.memory = memory,
		.facts = &census->facts,
		.layout = layout,
		.types = census->types,
		.debug_hooks = interpreter->allocator == ALLOCATOR_PYMALLOC_DEBUG ||
			       interpreter->allocator == ALLOCATOR_MALLOC_DEBUG,
	};
	census->known = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, free_context);
	return census;
}

void census_free(struct census *census)
{
	if (!census)
		return;
	g_hash_table_unref(census->known);
	types_free(census->types);
	maps_free(census->maps);
	g_free(census);
}

static void begin(struct census *census, const struct snapshot *snapshot, bool readable,
		  double budget_s)
{
	double began = thread_seconds();

	maps_free(census->maps);
	census->maps = readable ? maps_read(census->pid, NULL) : NULL;
	census->classifier.maps = census->maps;
	census->sample = snapshot->blocks;
	census->look++;
	types_begin_look(census->types);
	if (g_hash_table_size(census->known) > MOST_CONTEXTS)
		g_hash_table_remove_all(census->known);
	census->budget_s = budget_s;
	census->spent_s = thread_seconds() - began;
}

void census_begin(struct census *census, const struct snapshot *snapshot, bool readable)
{
	if (census)
		begin(census, snapshot, readable && snapshot->blocks, REPORT_SECONDS);
}

double census_seconds(const struct census *census)
{
	return census ? census->spent_s : 0;
}

static struct type_count *count_of(struct tally *tally, const char *name)
{
	struct type_count *count = g_hash_table_lookup(tally->types, name);

	if (!count) {
		count = g_new0(struct type_count, 1);
		count->name = g_ref_string_new_intern(name);
		g_hash_table_insert(tally->types, count->name, count);
	}
	return count;
}

static void add_block(struct tally *tally, const struct block_class *found,
		      const struct sampled_block *block)
{
	struct type_count *count = count_of(tally, found->name);

	count->blocks += block->blocks;
	count->bytes += block->bytes;
	tally->has_values |= found->has_values;
	if (!found->maybe_values || strcmp(found->name, BLOCK_LIST_ITEMS) != 0)
		return;
	tally->maybe_blocks += block->blocks;
	tally->maybe_bytes += block->bytes;
}

/*
 * Nothing in the values of instance attributes says so up to 3.10. But they are made together with
 * the dict that has them, by the same line.
 */
static void tell_values(struct tally *tally)
{
	struct type_count *items = g_hash_table_lookup(tally->types, BLOCK_LIST_ITEMS), *values;

	if (!tally->has_values || !items || !(tally->maybe_blocks > 0))
		return;
	values = count_of(tally, BLOCK_DICT_VALUES);
	values->blocks += tally->maybe_blocks;
	values->bytes += tally->maybe_bytes;
	items->blocks -= tally->maybe_blocks;
	items->bytes -= tally->maybe_bytes;
}

/* Blocks that cannot be read have died meanwhile: they are left out. */
static void look_at(struct census *census, const struct sampled_block *block, const uint8_t *bytes,
		    size_t length, struct tally *tally)
{
	const struct block_view view = {
		.address = block->address,
		.size = block->size,
		.slack = block->family == FAMILY_PYMALLOC ? census->facts.pool_alignment
							  : MALLOC_SLACK,
		.bytes = bytes,
		.length = length,
	};
	struct block_class found = { .name = MAPPING };

	if (block->family != FAMILY_MMAP)
		block_classify(&census->classifier, &view, &found);
	add_block(tally, &found, block);
}

static size_t length_to_read(const struct sampled_block *block)
{
	return MIN(block->size, BLOCK_CLASS_BYTES);
}

/* Looks into the first of @count blocks and those after it that are as long; how many. */
static uint32_t look_into(struct census *census, const struct sampled_block *blocks, uint32_t count,
			  struct tally *tally)
{
	uint8_t bytes[AT_ONCE * BLOCK_CLASS_BYTES];
	size_t length = length_to_read(blocks);
	uint64_t addresses[AT_ONCE] = { 0 };
	bool done[AT_ONCE];
	uint32_t batch = 0;

	while (batch < MIN(count, AT_ONCE) && length_to_read(&blocks[batch]) == length) {
		addresses[batch] = blocks[batch].address;
		batch++;
	}
	memory_read_any(census->memory, addresses, batch, bytes, length, done);
	for (uint32_t i = 0; i < batch; i++)
		if (done[i])
			look_at(census, &blocks[i], bytes + i * length, length, tally);
	return batch;
}

static GArray *take_counts(struct tally *tally)
{
	GArray *types = g_array_new(false, false, sizeof(struct type_count));
	GHashTableIter iterator;
	void *item;

	g_array_set_clear_func(types, clear_count);
	g_hash_table_iter_init(&iterator, tally->types);
	while (g_hash_table_iter_next(&iterator, NULL, &item)) {
		struct type_count *count = item;

		if (count->blocks > 0)
			g_array_append_vals(types, count, 1);
		else
			g_ref_string_release(count->name);
	}
	return types;
}

static GArray *count_types(struct census *census, const struct sampled_block *blocks,
			   uint32_t count)
{
	struct tally tally = { 0 };
	GArray *types;

	tally.types = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	for (uint32_t i = 0; i < count;)
		i += look_into(census, blocks + i, count - i, &tally);
	tell_values(&tally);
	types = take_counts(&tally);
	g_hash_table_unref(tally.types);
	return types;
}

/* Looks into the sample of the context. False where there is nothing to see. */
static bool look(struct census *census, uint32_t id)
{
	g_autoptr(GArray) blocks = block_sample_get(census->sample, id);
	double began = thread_seconds();
	struct context_types *context;
	GArray *types;

	if (!blocks)
		return false;
	types = count_types(census, (const struct sampled_block *)(void *)blocks->data,
			    blocks->len);
	census->spent_s += thread_seconds() - began;
	if (!types->len) {
		g_array_unref(types);
		return false;
	}
	context = g_new0(struct context_types, 1);
	context->look = census->look;
	context->types = types;
	g_hash_table_insert(census->known, GUINT_TO_POINTER(id), context);
	return true;
}

/* Half of the time is for what nothing is known of yet, or it might never get its turn. */
static bool has_time(const struct census *census, const struct context_types *context)
{
	return census->spent_s < (context ? census->budget_s / 2 : census->budget_s);
}

const GArray *census_types(struct census *census, uint32_t id)
{
	const struct context_types *context;

	if (!census)
		return NULL;
	context = g_hash_table_lookup(census->known, GUINT_TO_POINTER(id));
	if (census->maps && (!context || context->look != census->look) &&
	    has_time(census, context) && look(census, id))
		context = g_hash_table_lookup(census->known, GUINT_TO_POINTER(id));
	return context ? context->types : NULL;
}

static int by_live_bytes(const void *left, const void *right)
{
	const struct snapshot_context *a = *(const struct snapshot_context *const *)left;
	const struct snapshot_context *b = *(const struct snapshot_context *const *)right;

	return (a->live_bytes < b->live_bytes) - (a->live_bytes > b->live_bytes);
}

void census_look_at_largest(struct census *census, const struct snapshot *snapshot)
{
	g_autoptr(GPtrArray) contexts = g_ptr_array_new();

	if (!census || !snapshot->blocks)
		return;
	begin(census, snapshot, true, LARGEST_SECONDS);
	for (guint i = 0; i < snapshot->contexts->len; i++)
		g_ptr_array_add(contexts,
				&g_array_index(snapshot->contexts, struct snapshot_context, i));
	g_ptr_array_sort(contexts, by_live_bytes);
	for (guint i = 0; i < MIN(contexts->len, LARGEST_CONTEXTS); i++)
		census_types(census, ((const struct snapshot_context *)contexts->pdata[i])->id);
}
