// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A gzipped pprof profile (profile.proto) with the sample types of Go's heap profiles, so that what
 * reads those reads this. Values are final: nobody is to scale them by the period, which is 1.
 */
#include <string.h>

#include "report/frame_name.h"
#include "report/gzip.h"
#include "report/profile.pb-c.h"
#include "report/target.h"
#include "report/writer.h"

enum { VALUES = 4 };

/* runtime/pprof of Go: the types and units of a heap profile, in their order. */
static const char *const value_types[VALUES][2] = {
	{ "alloc_objects", "count" },
	{ "alloc_space", "bytes" },
	{ "inuse_objects", "count" },
	{ "inuse_space", "bytes" },
};

/* What has an id in a profile, told apart by up to three numbers of things known already. */
struct key {
	enum { MAPPING, FUNCTION, LOCATION } kind;
	uint64_t a, b, c;
};

struct builder {
	GPtrArray *owned;    /* everything that the messages point to */
	GHashTable *strings; /* index by text */
	GHashTable *ids;     /* by struct key */
	GPtrArray *table, *samples, *mappings, *locations, *functions;
	GArray *comments; /* of int64_t */
};

static void *keep(struct builder *builder, void *memory)
{
	g_ptr_array_add(builder->owned, memory);
	return memory;
}

static int64_t add_string(struct builder *builder, const char *text)
{
	char *valid = g_utf8_make_valid(text ? text : "", -1);
	void *known;

	if (g_hash_table_lookup_extended(builder->strings, valid, NULL, &known)) {
		g_free(valid);
		return GPOINTER_TO_INT(known);
	}
	keep(builder, valid);
	g_hash_table_insert(builder->strings, valid, GINT_TO_POINTER(builder->table->len));
	g_ptr_array_add(builder->table, valid);
	return builder->table->len - 1;
}

static guint key_hash(const void *data)
{
	const struct key *key = data;
	uint64_t hash = key->kind;

	hash = (hash ^ key->a) * 0x9e3779b97f4a7c15;
	hash = (hash ^ key->b ^ hash >> 32) * 0x9e3779b97f4a7c15;
	hash = (hash ^ key->c ^ hash >> 32) * 0x9e3779b97f4a7c15;
	return hash >> 32;
}

static gboolean key_equal(const void *left, const void *right)
{
	const struct key *a = left, *b = right;

	return a->kind == b->kind && a->a == b->a && a->b == b->b && a->c == b->c;
}

/* The id under @key, or 0 and @fresh becomes the id to give to a new one. */
static uint64_t known_id(struct builder *builder, const struct key *key, const GPtrArray *items,
			 uint64_t *fresh)
{
	uint64_t id = GPOINTER_TO_SIZE(g_hash_table_lookup(builder->ids, key));

	if (!id) {
		*fresh = items->len + 1;
		g_hash_table_insert(builder->ids, keep(builder, g_memdup2(key, sizeof(*key))),
				    GSIZE_TO_POINTER(*fresh));
	}
	return id;
}

static uint64_t add_mapping(struct builder *builder, const char *file)
{
	struct key key = { MAPPING, add_string(builder, file), 0, 0 };
	uint64_t fresh, id = known_id(builder, &key, builder->mappings, &fresh);
	Pyleak__Mapping *mapping;

	if (id)
		return id;
	mapping = keep(builder, g_new(Pyleak__Mapping, 1));
	pyleak__mapping__init(mapping);
	mapping->id = fresh;
	mapping->filename = key.a;
	/* All that can be told has been: pprof shall not look for symbols in the file. */
	mapping->has_functions = mapping->has_filenames = mapping->has_line_numbers = true;
	g_ptr_array_add(builder->mappings, mapping);
	return fresh;
}

static uint64_t add_function(struct builder *builder, const char *name, const char *file)
{
	struct key key = { FUNCTION, add_string(builder, name), add_string(builder, file), 0 };
	uint64_t fresh, id = known_id(builder, &key, builder->functions, &fresh);
	Pyleak__Function *function;

	if (id)
		return id;
	function = keep(builder, g_new(Pyleak__Function, 1));
	pyleak__function__init(function);
	function->id = fresh;
	function->name = function->system_name = key.a;
	function->filename = key.b;
	g_ptr_array_add(builder->functions, function);
	return fresh;
}

static uint64_t add_location(struct builder *builder, uint64_t mapping, uint64_t function,
			     int32_t line)
{
	struct key key = { LOCATION, mapping, function, (uint64_t)line };
	uint64_t fresh, id = known_id(builder, &key, builder->locations, &fresh);
	Pyleak__Location *location;
	Pyleak__Line *only;

	if (id)
		return id;
	only = keep(builder, g_new(Pyleak__Line, 1));
	pyleak__line__init(only);
	only->function_id = function;
	only->line = line;
	location = keep(builder, g_new(Pyleak__Location, 1));
	pyleak__location__init(location);
	location->id = fresh;
	location->mapping_id = mapping;
	location->n_line = 1;
	location->line = keep(builder, g_memdup2(&only, sizeof(only)));
	g_ptr_array_add(builder->locations, location);
	return fresh;
}

static uint64_t add_frame(struct builder *builder, uint64_t interpreter, const struct frame *frame)
{
	g_autofree char *name = frame_function_name(frame);
	uint64_t mapping = frame->module ? add_mapping(builder, frame->module) : interpreter;
	const char *file = frame->file ? frame->file : frame->module;

	return add_location(builder, mapping, add_function(builder, name, file),
			    MAX(frame->line, 0));
}

/* Leaf first, as in struct stack. */
static GArray *add_stack(struct builder *builder, uint64_t interpreter, const struct stack *stack)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	const char *placeholder = stack_placeholder(stack);
	uint64_t id;

	for (uint32_t i = 0; i < stack->count; i++) {
		id = add_frame(builder, interpreter, &stack->frames[i]);
		g_array_append_val(ids, id);
	}
	if (placeholder) {
		id = add_location(builder, interpreter, add_function(builder, placeholder, NULL),
				  0);
		g_array_append_val(ids, id);
	}
	return ids;
}

static Pyleak__Label *new_label(struct builder *builder, const char *name, const char *text,
				int64_t number)
{
	Pyleak__Label *label = keep(builder, g_new(Pyleak__Label, 1));

	pyleak__label__init(label);
	label->key = add_string(builder, name);
	label->str = text ? add_string(builder, text) : 0;
	label->num = number;
	return label;
}

/* Few values a label: engines that make series of them must not drown. */
static void add_labels(struct builder *builder, Pyleak__Sample *sample, const struct site *site,
		       int32_t pid)
{
	sample->label = keep(builder, g_new(Pyleak__Label *, 3));
	if (site)
		sample->label[sample->n_label++] =
			new_label(builder, "family", family_name(site->family), 0);
	if (site && site->judged)
		sample->label[sample->n_label++] =
			new_label(builder, "verdict", verdict_name(site->verdict), 0);
	if (pid)
		sample->label[sample->n_label++] = new_label(builder, "pid", NULL, pid);
}

/* Takes @location_ids. @site: NULL for the rest. */
static void add_sample(struct builder *builder, GArray *location_ids, const int64_t *values,
		       const struct site *site, int32_t pid)
{
	Pyleak__Sample *sample = keep(builder, g_new(Pyleak__Sample, 1));
	gsize count;

	pyleak__sample__init(sample);
	sample->location_id = keep(builder, g_array_steal(location_ids, &count));
	sample->n_location_id = count;
	g_array_unref(location_ids);
	sample->value = keep(builder, g_memdup2(values, VALUES * sizeof(*values)));
	sample->n_value = VALUES;
	add_labels(builder, sample, site, pid);
	g_ptr_array_add(builder->samples, sample);
}

static void add_rest(struct builder *builder, uint64_t interpreter, int64_t blocks, int64_t bytes,
		     int32_t pid)
{
	int64_t values[VALUES] = { MAX(blocks, 0), MAX(bytes, 0), MAX(blocks, 0), MAX(bytes, 0) };
	GArray *ids;
	uint64_t id;

	if (bytes <= 0)
		return;
	ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	id = add_location(builder, interpreter, add_function(builder, OTHER_SITES, NULL), 0);
	g_array_append_val(ids, id);
	add_sample(builder, ids, values, NULL, pid);
}

static void add_report(struct builder *builder, const struct report_header *header,
		       const struct report *report, bool label_pid)
{
	const struct report_target *target = report_target_find(header, report->pid);
	const char *exe = target && target->exe ? target->exe : "python";
	uint64_t interpreter = add_mapping(builder, exe);
	int64_t bytes = report->outstanding_bytes, blocks = report->outstanding_blocks;
	int32_t pid = label_pid ? report->pid : 0;

	for (guint i = 0; i < report->sites->len; i++) {
		const struct site *site = &g_array_index(report->sites, struct site, i);
		const int64_t values[VALUES] = {
			MAX(site->alloc_blocks, 0),
			MAX(site->alloc_bytes, 0),
			MAX(site->outstanding_blocks, 0),
			MAX(site->outstanding_bytes, 0),
		};

		add_sample(builder, add_stack(builder, interpreter, &site->stack), values, site,
			   pid);
		blocks -= MAX(site->outstanding_blocks, 0);
		bytes -= MAX(site->outstanding_bytes, 0);
	}
	add_rest(builder, interpreter, blocks, bytes, pid);
}

static void add_comment(struct builder *builder, const struct report_header *header,
			const struct report *report)
{
	const struct report_target *target = report_target_find(header, report->pid);
	g_autofree char *program = target ? report_target_program(target) : g_strdup("?");
	const char *mode = family_mode_name(report->families[FAMILY_PYMALLOC].mode);
	g_autofree char *text = g_strdup_printf(
		"pyleak %s: pid %d, %s; objects %s; allocated since attach %.1f s before",
		header->version ? header->version : "", report->pid, program, mode,
		report->elapsed_s);
	int64_t index = add_string(builder, text);

	g_array_append_val(builder->comments, index);
}

static void builder_init(struct builder *builder)
{
	builder->owned = g_ptr_array_new_with_free_func(g_free);
	builder->strings = g_hash_table_new(g_str_hash, g_str_equal);
	builder->ids = g_hash_table_new(key_hash, key_equal);
	builder->table = g_ptr_array_new();
	builder->samples = g_ptr_array_new();
	builder->mappings = g_ptr_array_new();
	builder->locations = g_ptr_array_new();
	builder->functions = g_ptr_array_new();
	builder->comments = g_array_new(FALSE, FALSE, sizeof(int64_t));
	add_string(builder, "");
}

static void builder_deinit(struct builder *builder)
{
	g_hash_table_unref(builder->strings);
	g_hash_table_unref(builder->ids);
	g_ptr_array_unref(builder->table);
	g_ptr_array_unref(builder->samples);
	g_ptr_array_unref(builder->mappings);
	g_ptr_array_unref(builder->locations);
	g_ptr_array_unref(builder->functions);
	g_array_unref(builder->comments);
	g_ptr_array_unref(builder->owned);
}

static Pyleak__ValueType *new_value_type(struct builder *builder, const char *type,
					 const char *unit)
{
	Pyleak__ValueType *value = keep(builder, g_new(Pyleak__ValueType, 1));

	pyleak__value_type__init(value);
	value->type = add_string(builder, type);
	value->unit = add_string(builder, unit);
	return value;
}

static GByteArray *pack(struct builder *builder, Pyleak__Profile *profile)
{
	g_autofree uint8_t *bytes = NULL;
	Pyleak__ValueType *types[VALUES];

	for (size_t i = 0; i < VALUES; i++)
		types[i] = new_value_type(builder, value_types[i][0], value_types[i][1]);
	profile->n_sample_type = VALUES;
	profile->sample_type = types;
	profile->period_type = new_value_type(builder, "space", "bytes");
	profile->period = 1;
	profile->default_sample_type = types[VALUES - 1]->type;
	profile->n_sample = builder->samples->len;
	profile->sample = (Pyleak__Sample **)builder->samples->pdata;
	profile->n_mapping = builder->mappings->len;
	profile->mapping = (Pyleak__Mapping **)builder->mappings->pdata;
	profile->n_location = builder->locations->len;
	profile->location = (Pyleak__Location **)builder->locations->pdata;
	profile->n_function = builder->functions->len;
	profile->function = (Pyleak__Function **)builder->functions->pdata;
	profile->n_comment = builder->comments->len;
	profile->comment = (int64_t *)(void *)builder->comments->data;
	profile->n_string_table = builder->table->len;
	profile->string_table = (char **)builder->table->pdata;
	bytes = g_malloc(pyleak__profile__get_packed_size(profile));
	return gzip_compress(bytes, pyleak__profile__pack(profile, bytes));
}

static bool pprof_document(FILE *stream, const struct report_header *header,
			   const GPtrArray *reports)
{
	Pyleak__Profile profile = PYLEAK__PROFILE__INIT;
	g_autoptr(GByteArray) packed = NULL;
	struct builder builder;

	builder_init(&builder);
	for (guint i = 0; i < reports->len; i++) {
		const struct report *report = reports->pdata[i];

		add_report(&builder, header, report, reports->len > 1);
		add_comment(&builder, header, report);
		profile.time_nanos = MAX(profile.time_nanos, report->time_us * 1000);
		profile.duration_nanos =
			MAX(profile.duration_nanos, (int64_t)(report->elapsed_s * 1e9));
	}
	packed = pack(&builder, &profile);
	builder_deinit(&builder);
	if (!packed || fwrite(packed->data, 1, packed->len, stream) != packed->len)
		return false;
	return !fflush(stream) && !ferror(stream);
}

const struct report_writer pprof_writer = {
	.name = "pprof",
	.document = pprof_document,
	.binary = true,
	.whole_stacks = true,
};
