// SPDX-License-Identifier: GPL-2.0-or-later
/* Types and blocks in made-up memory of CPython 3.11, sane and hostile. Real ones:
 * test_block_class.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "cpython/block_class.h"
#include "cpython/dict.h"
#include "cpython/objects.h"

enum {
	START = 0x100000,
	SIZE = 0x10000,
	TYPE = START, /* `type` */
	STR = START + 0x1000,
	ORDER = START + 0x2000,
	NAMES = START + 0x3000,	  /* C strings, 64 bytes each */
	STRINGS = START + 0x4000, /* str objects, 128 bytes each */
	DICT = START + 0x5000,
	KEYS = START + 0x5100,
	BLOCK = START + 0x8000,
	HEAP_QUALNAME = 864,
};

struct heap {
	struct image_memory memory;
	uint8_t bytes[SIZE];
	struct maps *maps;
	struct types *types;
	struct classifier classifier;
};

static void put(struct heap *heap, uint64_t address, uint64_t value)
{
	memcpy(heap->bytes + (address - START), &value, sizeof(value));
}

static uint64_t put_name(struct heap *heap, int number, const char *text)
{
	uint64_t address = NAMES + 64 * number;

	memcpy(heap->bytes + (address - START), text, strlen(text) + 1);
	return address;
}

static uint64_t put_string(struct heap *heap, int number, const char *text)
{
	uint64_t address = STRINGS + 128 * number;

	put(heap, address, 1);
	put(heap, address + 8, STR);
	put(heap, address + 16, strlen(text));
	put(heap, address + 32, 1 << 2 | 1 << 5 | 1 << 6); /* kind 1, compact, ASCII */
	memcpy(heap->bytes + (address + 48 - START), text, strlen(text));
	return address;
}

static void put_type(struct heap *heap, uint64_t address, uint64_t name, uint64_t flags,
		     uint64_t basic_size)
{
	put(heap, address, 5);
	put(heap, address + OBJECT_TYPE, TYPE);
	put(heap, address + TYPE_NAME, name);
	put(heap, address + TYPE_BASIC_SIZE, basic_size);
	put(heap, address + TYPE_FLAGS, flags);
}

/* {"__doc__": str, "__module__": str}: a table of 8 with unicode entries. */
static void put_dict(struct heap *heap, uint64_t module)
{
	const uint64_t entries = KEYS + 32 + 8;

	put(heap, DICT, 1);
	put(heap, DICT + 32, KEYS);
	put(heap, KEYS, 1);
	put(heap, KEYS + 8, 3 | 3 << 8 | 1 << 16);
	put(heap, KEYS + 16, 3);
	put(heap, KEYS + 24, 2);
	put(heap, entries, put_string(heap, 10, "__doc__"));
	put(heap, entries + 8, put_string(heap, 11, "text"));
	put(heap, entries + 16, put_string(heap, 12, "__module__"));
	put(heap, entries + 24, module);
}

/* app.models.Shop.Order, as a class statement makes it. */
static struct heap *heap_new(void)
{
	struct heap *heap = g_new0(struct heap, 1);
	g_autofree char *maps =
		g_strdup_printf("%x-%x rw-p 00000000 00:00 0\n", START, START + SIZE);

	image_memory_init(&heap->memory, START, heap->bytes, SIZE);
	heap->maps = maps_parse(maps);
	heap->classifier = (struct classifier){
		.memory = &heap->memory.base,
		.facts = python_facts_find(3, 11),
		.layout = object_layout_find(3, 11),
		.maps = heap->maps,
	};
	heap->types =
		types_new(heap->classifier.memory, heap->classifier.facts, heap->classifier.layout);
	heap->classifier.types = heap->types;
	put_type(heap, TYPE, put_name(heap, 0, "type"), TYPE_FLAG_TYPE | TYPE_FLAG_GC, 904);
	put_type(heap, STR, put_name(heap, 1, "str"), TYPE_FLAG_UNICODE, 80);
	put_type(heap, ORDER, put_name(heap, 2, "Order"), TYPE_FLAG_HEAP | TYPE_FLAG_GC | 1 << 4,
		 16);
	put(heap, ORDER + HEAP_QUALNAME, put_string(heap, 0, "Shop.Order"));
	put(heap, ORDER + TYPE_DICT, DICT);
	put_dict(heap, put_string(heap, 1, "app.models"));
	return heap;
}

static void heap_free(struct heap *heap)
{
	types_free(heap->types);
	maps_free(heap->maps);
	g_free(heap);
}

static const char *name_of(struct heap *heap, uint64_t address)
{
	const struct type *type = types_find(heap->types, address);

	return type ? type->name : NULL;
}

static void a_class_is_named_with_its_module(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	assert_string_equal(name_of(heap, ORDER), "app.models.Shop.Order");
	assert_string_equal(name_of(heap, STR), "str");
	assert_string_equal(name_of(heap, TYPE), "type");
	/* The collector's header, and the words for dict and values before it. */
	assert_int_equal(types_find(heap->types, ORDER)->head, 32);
	assert_int_equal(types_find(heap->types, STR)->head, 0);
	heap_free(heap);
}

static void builtins_have_no_module_in_their_names(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put_string(heap, 1, "builtins");
	put(heap, STRINGS + 128 + 16, 8);
	assert_string_equal(name_of(heap, ORDER), "Shop.Order");
	heap_free(heap);
}

static void what_cannot_be_read_of_a_name_is_left_out(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put(heap, ORDER + TYPE_DICT, 8);
	assert_string_equal(name_of(heap, ORDER), "Shop.Order");
	types_begin_look(heap->types);
	put(heap, ORDER + HEAP_QUALNAME, START + SIZE);
	assert_string_equal(name_of(heap, ORDER), "Order");
	heap_free(heap);
}

/* Classes die; the next one may have the same address, and names at others. */
static void another_type_at_the_same_address_has_its_own_name(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	assert_string_equal(name_of(heap, ORDER), "app.models.Shop.Order");
	put(heap, ORDER + HEAP_QUALNAME, put_string(heap, 2, "Parcel"));
	types_begin_look(heap->types);
	assert_string_equal(name_of(heap, ORDER), "app.models.Parcel");
	put(heap, ORDER + TYPE_BASIC_SIZE, 0);
	types_begin_look(heap->types);
	assert_null(name_of(heap, ORDER));
	put(heap, ORDER + TYPE_BASIC_SIZE, 16);
	types_begin_look(heap->types);
	assert_string_equal(name_of(heap, ORDER), "app.models.Parcel");
	heap_free(heap);
}

static void what_makes_no_sense_is_no_type(void **state)
{
	static const struct {
		uint64_t address, value;
	} damages[] = {
		{ ORDER, 0 },
		{ ORDER, UINT64_MAX },
		{ ORDER + OBJECT_TYPE, 0 },
		{ ORDER + OBJECT_TYPE, STR },
		{ ORDER + OBJECT_TYPE, ORDER },
		{ ORDER + OBJECT_TYPE, TYPE + 1 },
		{ ORDER + OBJECT_TYPE, START + SIZE - 8 },
		{ ORDER + OBJECT_TYPE, UINT64_MAX - 7 },
		{ ORDER + TYPE_BASIC_SIZE, 8 },
		{ ORDER + TYPE_BASIC_SIZE, 1ULL << 40 },
		{ ORDER + TYPE_BASIC_SIZE, UINT64_MAX },
		{ TYPE + TYPE_FLAGS, 0 },
		{ TYPE + OBJECT_TYPE, STR },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
		struct heap *heap = heap_new();

		put(heap, damages[i].address, damages[i].value);
		assert_null(name_of(heap, ORDER));
		heap_free(heap);
	}
}

/* Two metatypes that are each other's type: there is no end to look for. */
static void a_ring_of_metatypes_is_left(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put_type(heap, START + 0x6000, NAMES, TYPE_FLAG_TYPE, 900);
	put_type(heap, START + 0x7000, NAMES, TYPE_FLAG_TYPE, 900);
	put(heap, START + 0x6000 + OBJECT_TYPE, START + 0x7000);
	put(heap, START + 0x7000 + OBJECT_TYPE, START + 0x6000);
	put(heap, ORDER + OBJECT_TYPE, START + 0x6000);
	assert_null(name_of(heap, ORDER));
	heap_free(heap);
}

static void names_that_nobody_can_read_are_none(void **state)
{
	static const char *const names[] = { "", "\x01\x02", "\xff\xfe", "a\nb", "\x1b[31m" };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct heap *heap = heap_new();

		put(heap, STR + TYPE_NAME, put_name(heap, 5, names[i]));
		assert_null(name_of(heap, STR));
		heap_free(heap);
	}
}

static void addresses_of_nothing_are_no_types(void **state)
{
	static const uint64_t addresses[] = {
		0,	    8,		START + SIZE,	START - 8,  START + 4,
		1ULL << 63, UINT64_MAX, UINT64_MAX - 7, 1ULL << 47, START + SIZE - 8
	};
	struct heap *heap = heap_new();

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
		assert_null(types_find(heap->types, addresses[i]));
	assert_null(types_find_classic(heap->types, ORDER));
	heap_free(heap);
}

/* The header of a dict's keys may say anything. */
static void dicts_of_any_size_are_looked_up_in(void **state)
{
	static const uint64_t words[] = { 0, 1, 7, 1024, 1ULL << 32, 1ULL << 62, UINT64_MAX };
	struct heap *heap = heap_new();
	const struct classifier *c = &heap->classifier;
	uint64_t value = 0;

	(void)state;
	assert_true(dict_find(c->memory, c->facts, c->layout, DICT, "__module__", &value));
	assert_int_equal(value, STRINGS + 128);
	assert_false(dict_find(c->memory, c->facts, c->layout, DICT, "__modul", &value));
	assert_false(dict_find(c->memory, c->facts, c->layout, START + SIZE, "a", &value));
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		for (size_t offset = 0; offset < 40; offset += 8) {
			put_dict(heap, STRINGS);
			put(heap, KEYS + offset, words[i]);
			dict_find(c->memory, c->facts, c->layout, DICT, "nothing", &value);
		}
	put_dict(heap, STRINGS);
	put(heap, DICT + 32, START + SIZE - 16);
	assert_false(dict_find(c->memory, c->facts, c->layout, DICT, "__module__", &value));
	heap_free(heap);
}

/* 2.7: a table whose mask is all ones has no end. */
static void old_dicts_of_any_size_are_looked_up_in(void **state)
{
	struct heap *heap = heap_new();
	uint64_t value;

	(void)state;
	put(heap, DICT + 32, UINT64_MAX);
	put(heap, DICT + 40, KEYS);
	assert_false(dict_find(heap->classifier.memory, python_facts_find(2, 7),
			       object_layout_find(2, 7), DICT, "__module__", &value));
	heap_free(heap);
}

static struct block_class classify(struct heap *heap, uint64_t size, uint32_t slack)
{
	struct block_class found;
	const struct block_view view = {
		.address = BLOCK,
		.size = size,
		.slack = slack,
		.bytes = heap->bytes + (BLOCK - START),
		.length = MIN(size, BLOCK_CLASS_BYTES),
	};

	block_classify(&heap->classifier, &view, &found);
	assert_non_null(found.name);
	return found;
}

static void an_object_begins_where_its_type_says(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put(heap, BLOCK + 32, 1);
	put(heap, BLOCK + 40, ORDER);
	assert_string_equal(classify(heap, 48, 16).name, "app.models.Shop.Order");
	/* Too small a block for the object. */
	assert_string_not_equal(classify(heap, 40, 16).name, "app.models.Shop.Order");
	/* Not where objects of this type can be. */
	put(heap, BLOCK + 40, 0);
	put(heap, BLOCK, 1);
	put(heap, BLOCK + 8, ORDER);
	assert_string_not_equal(classify(heap, 48, 16).name, "app.models.Shop.Order");
	heap_free(heap);
}

static void a_dead_object_is_said_to_be_one(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put(heap, BLOCK + 8, STR);
	assert_string_equal(classify(heap, 64, 16).name, BLOCK_RECYCLED);
	heap_free(heap);
}

/* A list of classes: [str, Order]. */
static void pointers_to_types_are_no_object(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	put(heap, BLOCK, STR);
	put(heap, BLOCK + 8, STR);
	assert_string_equal(classify(heap, 16, 16).name, BLOCK_LIST_ITEMS);
	heap_free(heap);
}

static void data_is_told_from_pointers(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	for (int i = 0; i < 64; i++)
		put(heap, BLOCK + 8 * i, 0x3fe0000000000000 + i);
	assert_string_equal(classify(heap, 512, 16).name, BLOCK_RAW);
	put(heap, BLOCK + 80, START + 8);
	assert_string_equal(classify(heap, 512, 16).name, BLOCK_UNKNOWN);
	memcpy(heap->bytes + (BLOCK - START), "text in a buffer", 17);
	assert_string_equal(classify(heap, 32, 16).name, BLOCK_TEXT);
	assert_string_equal(classify(heap, 0, 1).name, BLOCK_UNKNOWN);
	heap_free(heap);
}

static void debug_bytes_are_left_out(void **state)
{
	struct heap *heap = heap_new();

	(void)state;
	heap->classifier.debug_hooks = true;
	put(heap, BLOCK, GUINT64_TO_BE(64));
	memset(heap->bytes + (BLOCK + 8 - START), 0xfd, 8);
	heap->bytes[BLOCK + 8 - START] = 'o';
	put(heap, BLOCK + 16, 1);
	put(heap, BLOCK + 24, STR);
	assert_string_equal(classify(heap, 96, 16).name, "str");
	/* A size that the block does not have. */
	put(heap, BLOCK, GUINT64_TO_BE(UINT64_MAX));
	classify(heap, 96, 16);
	heap_free(heap);
}

/* A random word: small, an address of something, or anything. */
static uint64_t random_word(GRand *random)
{
	static const uint64_t special[] = { TYPE, STR, ORDER, DICT, KEYS, STRINGS, BLOCK, NAMES };

	switch (g_rand_int_range(random, 0, 5)) {
	case 0:
		return g_rand_int_range(random, 0, 70);
	case 1:
		return special[g_rand_int_range(random, 0, G_N_ELEMENTS(special))];
	case 2:
		return START + 8 * g_rand_int_range(random, 0, SIZE / 8);
	case 3:
		return 0;
	default:
		return (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
	}
}

/* Whatever stands in memory, in all versions' eyes: always an answer, and never a read outside. */
static void random_blocks_are_classified_somehow(void **state)
{
	static const int minors[] = { 6, 8, 10, 11, 12, 13 };
	GRand *random = g_rand_new_with_seed(20261121);
	struct heap *heap = heap_new();

	(void)state;
	for (int round = 0; round < 60000; round++) {
		uint64_t size = 8 * g_rand_int_range(random, 1, 90);
		int minor = minors[round % G_N_ELEMENTS(minors)];

		if (round % 1000 == 0) {
			types_free(heap->types);
			heap->classifier.layout =
				round % 7 ? object_layout_find(3, minor) : object_layout_find(2, 7);
			heap->types = types_new(heap->classifier.memory, heap->classifier.facts,
						heap->classifier.layout);
			heap->classifier.types = heap->types;
		}
		for (uint64_t offset = 0; offset < size; offset += 8)
			put(heap, BLOCK + offset, random_word(random));
		heap->classifier.debug_hooks = round % 3 == 0;
		classify(heap, size, round % 2 ? 16 : 1);
	}
	g_rand_free(random);
	heap_free(heap);
}

/* Hostile types: every word of one in turn replaced. */
static void damaged_types_are_survived(void **state)
{
	GRand *random = g_rand_new_with_seed(7);
	struct heap *heap = heap_new();

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint64_t address =
			(round % 2 ? ORDER : TYPE) + 8 * g_rand_int_range(random, 0, 110);
		uint64_t before;

		memcpy(&before, heap->bytes + (address - START), 8);
		put(heap, address, random_word(random));
		types_begin_look(heap->types);
		types_find(heap->types, ORDER);
		put(heap, address, before);
	}
	types_begin_look(heap->types);
	assert_string_equal(name_of(heap, ORDER), "app.models.Shop.Order");
	g_rand_free(random);
	heap_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_class_is_named_with_its_module),
		cmocka_unit_test(builtins_have_no_module_in_their_names),
		cmocka_unit_test(what_cannot_be_read_of_a_name_is_left_out),
		cmocka_unit_test(another_type_at_the_same_address_has_its_own_name),
		cmocka_unit_test(what_makes_no_sense_is_no_type),
		cmocka_unit_test(a_ring_of_metatypes_is_left),
		cmocka_unit_test(names_that_nobody_can_read_are_none),
		cmocka_unit_test(addresses_of_nothing_are_no_types),
		cmocka_unit_test(dicts_of_any_size_are_looked_up_in),
		cmocka_unit_test(old_dicts_of_any_size_are_looked_up_in),
		cmocka_unit_test(an_object_begins_where_its_type_says),
		cmocka_unit_test(a_dead_object_is_said_to_be_one),
		cmocka_unit_test(pointers_to_types_are_no_object),
		cmocka_unit_test(data_is_told_from_pointers),
		cmocka_unit_test(debug_bytes_are_left_out),
		cmocka_unit_test(random_blocks_are_classified_somehow),
		cmocka_unit_test(damaged_types_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
