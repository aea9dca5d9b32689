// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a block still is the one that was seen: objects, glibc's chunks, and what took their
 * place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "collect/fingerprints.h"

enum { START = 0x10000, WORDS = 64, BLOCK = START + 16 * 8 };
static const uint64_t TYPE = 0x7f0000001000;

struct fake {
	struct image_memory memory;
	uint64_t words[WORDS];
	struct fingerprints *fingerprints;
};

static struct fake *target_new(void)
{
	struct fake *target = g_new0(struct fake, 1);

	image_memory_init(&target->memory, START, target->words, sizeof(target->words));
	target->fingerprints = fingerprints_new(2);
	return target;
}

static void target_free(struct fake *target)
{
	fingerprints_free(target->fingerprints);
	g_free(target);
}

/* Word @i of the block; -1 is the one before it. */
static uint64_t *word(struct fake *target, int i)
{
	return &target->words[16 + i];
}

static struct fingerprint_subject object(uint64_t size)
{
	return (struct fingerprint_subject){ FAMILY_PYMALLOC, false, BLOCK, 5, size };
}

static struct fingerprint_subject chunk(uint64_t size)
{
	return (struct fingerprint_subject){ FAMILY_MALLOC, true, BLOCK, 5, size };
}

static bool take(struct fake *target, const struct fingerprint_subject *subject)
{
	return fingerprints_take(target->fingerprints, &target->memory.base, subject, 3e6);
}

static bool match(struct fake *target, const struct fingerprint_subject *subject)
{
	return fingerprints_match(target->fingerprints, &target->memory.base, subject, false, NULL);
}

static void an_object_that_nobody_touched_is_the_same(void **state)
{
	static const int type_words[] = { 1, 3, 5 };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(type_words); i++) {
		struct fake *target = target_new();
		const struct fingerprint_subject subject = object(64);

		*word(target, type_words[i] - 1) = 1;
		*word(target, type_words[i]) = TYPE;
		assert_true(take(target, &subject));
		assert_true(match(target, &subject));
		/* One more reference, and the collector's lists moved on. */
		for (int k = 0; k < type_words[i]; k++)
			*word(target, k) = 0x7f0000005550 + k;
		assert_true(match(target, &subject));
		target_free(target);
	}
}

static void an_object_of_another_type_is_another(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = object(64);

	(void)state;
	*word(target, 1) = TYPE;
	assert_true(take(target, &subject));
	*word(target, 1) = TYPE + 0x400;
	assert_false(match(target, &subject));
	target_free(target);
}

/* The free list's link is in word 0; a free block's other words may well be what they were. */
static void small_blocks_are_read_no_further_than_they_go(void **state)
{
	struct fake *target = target_new();

	(void)state;
	for (uint64_t size = 8; size <= 48; size += 8) {
		const struct fingerprint_subject subject = object(size);

		*word(target, size / 8) = 1;
		assert_true(take(target, &subject));
		*word(target, size / 8) = 2;
		assert_true(match(target, &subject));
	}
	target_free(target);
}

static void without_a_fingerprint_nothing_is_the_same(void **state)
{
	struct fake *target = target_new();
	struct fingerprint_subject subject = object(64);

	(void)state;
	*word(target, 1) = TYPE;
	assert_false(match(target, &subject));
	assert_true(fingerprints_match(target->fingerprints, &target->memory.base, &subject, true,
				       NULL));
	assert_true(match(target, &subject));
	/* Born at another time: another block. */
	subject.tag++;
	assert_false(match(target, &subject));
	assert_true(fingerprints_match(target->fingerprints, &target->memory.base, &subject, true,
				       NULL));
	assert_true(match(target, &subject));
	target_free(target);
}

static void memory_that_cannot_be_read_holds_nothing(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = object(64);
	struct fingerprint_subject far = object(64), last = object(64), wrapped = chunk(64);

	(void)state;
	far.address = 0x99990000;
	last.address = START + sizeof(target->words) - 8;
	wrapped.address = 0;
	assert_false(take(target, &far));
	assert_false(take(target, &last));
	assert_false(take(target, &wrapped));
	wrapped.address = UINT64_MAX - 7;
	assert_false(take(target, &wrapped));
	*word(target, 1) = TYPE;
	assert_true(take(target, &subject));
	target->memory.length = 8;
	assert_false(match(target, &subject));
	target_free(target);
}

/* A chunk of @length bytes, header included, and the header of the next one. */
static void put_chunk(struct fake *target, uint64_t length, bool in_use)
{
	*word(target, -1) = length | 1;
	*word(target, -1 + (int)(length / 8)) = 0x40 | in_use;
}

static void a_chunk_in_use_is_the_same_until_it_is_freed(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = chunk(72);

	(void)state;
	put_chunk(target, 80, true);
	assert_true(take(target, &subject));
	assert_true(match(target, &subject));
	/* The chunk before it was freed: a flag of its own header. */
	*word(target, -1) ^= 1;
	assert_true(match(target, &subject));
	put_chunk(target, 80, false);
	assert_false(match(target, &subject));
	target_free(target);
}

/* tcache leaves the flags alone and writes its key into word 1 (glibc 2.29 on, malloc.c). */
static void a_chunk_in_the_thread_cache_is_gone(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = chunk(72);

	(void)state;
	put_chunk(target, 80, true);
	assert_true(take(target, &subject));
	*word(target, 0) = 0x123456789;
	*word(target, 1) = 0xdeadbeefcafe;
	assert_false(match(target, &subject));
	target_free(target);
}

static void a_chunk_that_was_merged_or_split_is_gone(void **state)
{
	static const uint64_t lengths[] = { 0, 16, 64, 256, 1 << 20, (uint64_t)-8 };
	const struct fingerprint_subject subject = chunk(72);

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		struct fake *target = target_new();

		put_chunk(target, 80, true);
		assert_true(take(target, &subject));
		*word(target, -1) = lengths[i] | 1;
		assert_false(match(target, &subject));
		assert_false(take(target, &subject));
		target_free(target);
	}
}

/* Requests below 24 bytes get the smallest chunk; a rest below 32 is not split off. */
static void chunks_larger_than_asked_for_are_known(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject small = chunk(1), rest = chunk(72);

	(void)state;
	put_chunk(target, 32, true);
	assert_true(take(target, &small));
	put_chunk(target, 96, true);
	assert_true(take(target, &rest));
	target_free(target);
}

static void mapped_chunks_have_no_next_one(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = chunk(1 << 20);

	(void)state;
	*word(target, -1) = ((1 << 20) + 4096) | 2;
	assert_true(take(target, &subject));
	assert_true(match(target, &subject));
	target_free(target);
}

/* jemalloc and others: there is no header to be read. */
static void chunks_of_other_allocators_have_just_their_words(void **state)
{
	struct fake *target = target_new();
	struct fingerprint_subject subject = chunk(72);

	(void)state;
	subject.is_glibc = false;
	assert_true(take(target, &subject));
	*word(target, -1) = 77;
	assert_true(match(target, &subject));
	*word(target, 1) = 77;
	assert_false(match(target, &subject));
	target_free(target);
}

static void what_nobody_asks_for_is_forgotten(void **state)
{
	struct fake *target = target_new();
	const struct fingerprint_subject subject = object(64);

	(void)state;
	assert_true(take(target, &subject));
	for (int look = 0; look < 10; look++) {
		fingerprints_sweep(target->fingerprints);
		assert_true(match(target, &subject));
	}
	for (int look = 0; look < 10; look++)
		fingerprints_sweep(target->fingerprints);
	assert_false(match(target, &subject));
	fingerprints_free(NULL);
	target_free(target);
}

/* A type in the target's memory at word @at: its type is @metatype. */
static uint64_t type_new(struct fake *target, int at, uint64_t metatype, uint64_t flags)
{
	uint64_t address = START + at * 8;

	target->words[at + 1] = metatype ? metatype : address;
	target->words[at + 168 / 8] = flags;
	return address;
}

static struct birth birth_of(struct fake *target, uint32_t size)
{
	struct birth birth = { .key = PYLEAK_BLOCK_KEY(1, BLOCK), .size = size };

	birth.content = MIN(size, sizeof(birth.words));
	memcpy(birth.words, word(target, 0), birth.content);
	return birth;
}

static bool is_as_born(struct fake *target, const struct birth *birth)
{
	return fingerprints_is_as_born(target->fingerprints, &target->memory.base, birth);
}

static void an_object_keeps_the_type_that_it_was_born_with(void **state)
{
	static const int type_words[] = { 1, 3, 5 };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(type_words); i++) {
		struct fake *target = target_new();
		uint64_t metatype = type_new(target, 25, 0, 0);
		uint64_t list = type_new(target, 30, metatype, 0);
		uint64_t dict = type_new(target, 36, metatype, 0);
		struct birth birth;

		*word(target, type_words[i]) = list;
		birth = birth_of(target, 64);
		assert_true(is_as_born(target, &birth));
		/* It is being filled. */
		for (int k = type_words[i] + 1; k < 6; k++)
			*word(target, k) = 0x5550 + k;
		assert_true(is_as_born(target, &birth));
		*word(target, type_words[i]) = dict;
		assert_false(is_as_born(target, &birth));
		/* What was a buffer is an object now. */
		*word(target, type_words[i]) = list;
		birth.words[type_words[i]] = 77;
		assert_false(is_as_born(target, &birth));
		birth.content = 0;
		assert_false(is_as_born(target, &birth));
		target_free(target);
	}
}

static void a_str_does_not_change(void **state)
{
	struct fake *target = target_new();
	uint64_t str = type_new(target, 30, type_new(target, 25, 0, 0), 1 << 28);
	struct birth birth;

	(void)state;
	*word(target, 1) = str;
	*word(target, 2) = 11;
	*word(target, 3) = UINT64_MAX;
	birth = birth_of(target, 64);
	*word(target, 3) = 0x1234567; /* its hash */
	assert_true(is_as_born(target, &birth));
	*word(target, 2) = 12;
	*word(target, 5) = 99;
	assert_false(is_as_born(target, &birth));
	target_free(target);
}

/* Links of the garbage collector and what a buffer holds may point anywhere. */
static void what_leads_to_no_type_is_no_object(void **state)
{
	struct fake *target = target_new();
	struct birth birth;

	(void)state;
	/* A ring of four, none of which is its own type. */
	for (int i = 0; i < 4; i++)
		target->words[25 + 2 * i + 1] = START + (25 + 2 * ((i + 1) % 4)) * 8;
	*word(target, 1) = START + 25 * 8;
	birth = birth_of(target, 64);
	*word(target, 1) = START + 27 * 8;
	assert_true(is_as_born(target, &birth));
	*word(target, 1) = UINT64_MAX - 7;
	*word(target, 3) = 0x7fff00000000;
	assert_true(is_as_born(target, &birth));
	target->memory.length = 0;
	assert_false(is_as_born(target, &birth));
	target_free(target);
}

/* A memory that counts how often it is read. */
struct counted_memory {
	struct memory base;
	const struct memory *memory;
	unsigned int reads;
};

static bool read_counted(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	struct counted_memory *counted = (struct counted_memory *)memory;

	counted->reads++;
	return memory_read(counted->memory, address, buffer, length);
}

/* The links before each object differ: to read where they lead would cost more than all else. */
static void links_of_an_object_of_a_known_type_are_not_followed(void **state)
{
	struct fake *target = target_new();
	struct counted_memory counted = { { .read = read_counted }, &target->memory.base, 0 };
	struct birth birth;

	(void)state;
	*word(target, 3) = type_new(target, 30, type_new(target, 25, 0, 0), 0);
	*word(target, 1) = START;
	birth = birth_of(target, 64);
	assert_true(fingerprints_is_as_born(target->fingerprints, &counted.base, &birth));
	assert_true(counted.reads > 1);
	for (uint64_t link = START + 8; link < START + 80; link += 8) {
		counted.reads = 0;
		*word(target, 1) = link;
		assert_true(fingerprints_is_as_born(target->fingerprints, &counted.base, &birth));
		assert_int_equal(counted.reads, 1);
	}
	target_free(target);
}

static void what_there_is_no_room_for_is_counted(void **state)
{
	struct fake *target = target_new();
	struct fingerprint_subject first = object(64), second = first, third = first;

	(void)state;
	*word(target, 1) = TYPE;
	second.address += 8;
	third.address += 16;
	assert_true(take(target, &first));
	assert_true(take(target, &second));
	assert_false(take(target, &third));
	assert_false(
		fingerprints_match(target->fingerprints, &target->memory.base, &third, true, NULL));
	assert_int_equal(fingerprints_refused(target->fingerprints), 2);
	/* Those that are there can be taken anew, and what is forgotten makes room. */
	first.tag = 6;
	assert_true(take(target, &first));
	assert_true(match(target, &first));
	for (int i = 0; i < 3; i++)
		fingerprints_sweep(target->fingerprints);
	assert_true(take(target, &third));
	assert_int_equal(fingerprints_refused(target->fingerprints), 2);
	target_free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_keeps_the_type_that_it_was_born_with),
		cmocka_unit_test(a_str_does_not_change),
		cmocka_unit_test(what_leads_to_no_type_is_no_object),
		cmocka_unit_test(links_of_an_object_of_a_known_type_are_not_followed),
		cmocka_unit_test(an_object_that_nobody_touched_is_the_same),
		cmocka_unit_test(an_object_of_another_type_is_another),
		cmocka_unit_test(small_blocks_are_read_no_further_than_they_go),
		cmocka_unit_test(without_a_fingerprint_nothing_is_the_same),
		cmocka_unit_test(memory_that_cannot_be_read_holds_nothing),
		cmocka_unit_test(a_chunk_in_use_is_the_same_until_it_is_freed),
		cmocka_unit_test(a_chunk_in_the_thread_cache_is_gone),
		cmocka_unit_test(a_chunk_that_was_merged_or_split_is_gone),
		cmocka_unit_test(chunks_larger_than_asked_for_are_known),
		cmocka_unit_test(mapped_chunks_have_no_next_one),
		cmocka_unit_test(chunks_of_other_allocators_have_just_their_words),
		cmocka_unit_test(what_nobody_asks_for_is_forgotten),
		cmocka_unit_test(what_there_is_no_room_for_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
