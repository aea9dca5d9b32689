// SPDX-License-Identifier: GPL-2.0-or-later
/* pymalloc's fast path in the shapes that compilers give it, what only resembles it, and real
 * interpreters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <linux/ptrace.h>
#include <asm/ptrace.h>
#include <cmocka.h>

#include "base/error.h"
#include "cpython/sites.h"
#include "tests/unit/python_child.h"
#include "tests/unit/tiny_program.h"

/* The instructions of the fast path with P in rdx: parts of the programs below. Encodings by GNU
 * as 2.40. */
#define LOAD_POOL      0x48, 0x8b, 0x14, 0xc5, 0x20, 0x4d, 0x95, 0x00 /* mov 0x954d20(,%rax,8),%rdx */
#define LOAD_NEXT      0x48, 0x8b, 0x4a, 0x10			      /* mov 0x10(%rdx),%rcx */
#define COMPARE	       0x48, 0x39, 0xca				      /* cmp %rcx,%rdx */
#define LOAD_FREE      0x48, 0x8b, 0x42, 0x08			      /* mov 0x8(%rdx),%rax */
#define COUNT	       0x83, 0x02, 0x01				      /* addl $1,(%rdx) */
#define LOAD_FOLLOWING 0x48, 0x8b, 0x08				      /* mov (%rax),%rcx */
#define STORE_FREE     0x48, 0x89, 0x4a, 0x08			      /* mov %rcx,0x8(%rdx) */
#define TAKE	       LOAD_FREE, COUNT, LOAD_FOLLOWING, STORE_FREE
#define RET	       0xc3
#define NOP	       0x90
#define JE(distance)   0x74, distance
#define JNE(distance)  0x75, distance
#define FINISH	       RET, NOP, NOP, NOP

typedef GArray site_array;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(site_array, g_array_unref)

/* The program has one site, its jump @at bytes from the start, with P in the register @reg of
 * struct pt_regs. */
static void assert_site(elf_image *image, uint64_t at, size_t reg)
{
	g_autoptr(elf_image) owned = image;
	g_autoptr(GError) error = NULL;
	site_array *sites = allocation_sites_find(owned, &error);
	uint64_t address;

	if (!sites)
		fail_msg("%s", error->message);
	assert_int_equal(sites->len, 1);
	struct allocation_site site = g_array_index(sites, struct allocation_site, 0);
	g_array_unref(sites);
	assert_true(elf_image_offset_to_address(owned, site.offset, &address));
	assert_int_equal(address - TINY_TEXT, at);
	assert_int_equal(site.pt_regs_offset, reg);
}

static void assert_no_site(elf_image *image)
{
	g_autoptr(elf_image) owned = image;
	g_autoptr(GError) error = NULL;

	assert_null(allocation_sites_find(owned, &error));
	assert_true(g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED));
	assert_null(strchr(error->message, '\n'));
}

#define RDX offsetof(struct pt_regs, rdx)

static void the_fast_path_is_found(void **state)
{
	(void)state;
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), TAKE, FINISH), 15, RDX);
}

static void the_compare_may_be_the_other_way_round(void **state)
{
	(void)state;
	/* cmp %rdx,%rcx */
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x48, 0x39, 0xd1, JE(0x20), TAKE, FINISH), 15,
		    RDX);
	/* cmp %rcx,%rdx in its other encoding */
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x48, 0x3b, 0xd1, JE(0x20), TAKE, FINISH), 15,
		    RDX);
}

static void the_next_pool_may_be_compared_in_memory(void **state)
{
	(void)state;
	/* gcc -O2: cmp %rdx,0x10(%rdx); clang -O2: cmp 0x10(%rdx),%rdx */
	assert_site(TINY_IMAGE(LOAD_POOL, 0x48, 0x39, 0x52, 0x10, JE(0x20), TAKE, FINISH), 12, RDX);
	assert_site(TINY_IMAGE(LOAD_POOL, 0x48, 0x3b, 0x52, 0x10, JE(0x20), TAKE, FINISH), 12, RDX);
}

static void jumps_of_both_polarities_and_lengths_are_found(void **state)
{
	(void)state;
	/* jne over a ret to the fast path */
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JNE(0x01), RET, TAKE, FINISH), 15,
		    RDX);
	/* je with a 32-bit distance */
	assert_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0x0f, 0x84, 0x20, 0, 0, 0, TAKE, FINISH),
		15, RDX);
	/* jne back to a fast path in front: it is the unequal side that must take the block */
	assert_site(TINY_IMAGE(TAKE, RET, LOAD_POOL, LOAD_NEXT, COMPARE, JNE(0xe0), FINISH),
		    15 + 15, RDX);
}

static void the_unequal_side_may_go_on_elsewhere(void **state)
{
	(void)state;
	/* jmp +3, then the fast path; and through a conditional jump that an assertion left */
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), 0xeb, 0x03, RET, RET, RET,
			       TAKE, FINISH),
		    15, RDX);
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), LOAD_FREE, COUNT, 0x48,
			       0x85, 0xc0, JE(0x10), LOAD_FOLLOWING, STORE_FREE, FINISH),
		    15, RDX);
}

static void the_count_is_incremented_in_any_of_its_ways(void **state)
{
	(void)state;
#define WITH_COUNT(...)                                                                            \
	TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), LOAD_FREE, __VA_ARGS__,                \
		   LOAD_FOLLOWING, STORE_FREE, FINISH)
	assert_site(WITH_COUNT(0xff, 0x02), 15, RDX);		  /* incl (%rdx) */
	assert_site(WITH_COUNT(0x48, 0x83, 0x02, 0x01), 15, RDX); /* addq $1,(%rdx) */
	assert_site(WITH_COUNT(0x83, 0x2a, 0xff), 15, RDX);	  /* subl $-1,(%rdx) */
	assert_site(WITH_COUNT(0x8b, 0x32, 0x83, 0xc6, 0x01, 0x89, 0x32), 15,
		    RDX); /* mov; add $1; mov */
	assert_site(WITH_COUNT(0x8b, 0x32, 0x8d, 0x7e, 0x01, 0x89, 0x3a), 15,
		    RDX);				    /* mov; lea 1(); mov */
	assert_no_site(WITH_COUNT(0x83, 0x02, 0x02));	    /* addl $2,(%rdx) */
	assert_no_site(WITH_COUNT(0x83, 0x42, 0x04, 0x01)); /* addl $1,4(%rdx) */
	assert_no_site(WITH_COUNT(0x83, 0x2a, 0x01));	    /* subl $1,(%rdx) */
	assert_no_site(WITH_COUNT(NOP));
}

static void any_register_may_hold_the_pool(void **state)
{
	(void)state;
	/* mov 0x10(%r15),%rcx; cmp %rcx,%r15; je; mov 8(%r15),%rax; incl (%r15); mov (%rax),%rcx;
	 * mov %rcx,8(%r15) */
	assert_site(TINY_IMAGE(0x49, 0x8b, 0x4f, 0x10, 0x4c, 0x39, 0xf9, JE(0x20), 0x49, 0x8b, 0x47,
			       0x08, 0x41, 0xff, 0x07, LOAD_FOLLOWING, 0x49, 0x89, 0x4f, 0x08,
			       FINISH),
		    7, offsetof(struct pt_regs, r15));
	/* the same with r12, whose encoding needs a SIB byte, and rbp, whose needs a displacement
	 */
	assert_site(TINY_IMAGE(0x49, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x39, 0xe1, JE(0x20), 0x49, 0x8b,
			       0x44, 0x24, 0x08, 0x41, 0xff, 0x04, 0x24, LOAD_FOLLOWING, 0x49, 0x89,
			       0x4c, 0x24, 0x08, FINISH),
		    8, offsetof(struct pt_regs, r12));
	assert_site(TINY_IMAGE(0x48, 0x8b, 0x4d, 0x10, 0x48, 0x39, 0xe9, JE(0x20), 0x48, 0x8b, 0x45,
			       0x08, 0xff, 0x45, 0x00, LOAD_FOLLOWING, 0x48, 0x89, 0x4d, 0x08,
			       FINISH),
		    7, offsetof(struct pt_regs, rbp));
}

static void the_pool_may_move_to_another_register(void **state)
{
	(void)state;
	/* mov %rdx,%rsi; mov 0x10(%rdx),%rdx; cmp %rdx,%rsi; je; the fast path on rsi */
	assert_site(TINY_IMAGE(LOAD_POOL, 0x48, 0x89, 0xd6, 0x48, 0x8b, 0x52, 0x10, 0x48, 0x39,
			       0xd6, JE(0x20), 0x48, 0x8b, 0x46, 0x08, 0xff, 0x06, LOAD_FOLLOWING,
			       0x48, 0x89, 0x4e, 0x08, FINISH),
		    18, offsetof(struct pt_regs, rsi));
}

static void other_instructions_may_stand_between(void **state)
{
	(void)state;
	/* xor %r8d,%r8d before the compare, mov %r9,%rdi after it */
	assert_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x45, 0x31, 0xc0, COMPARE, 0x4c, 0x89, 0xcf,
			       JE(0x20), TAKE, FINISH),
		    21, RDX);
}

static void several_sites_in_a_function_are_all_found_in_order(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), TAKE, LOAD_POOL, LOAD_NEXT,
			   COMPARE, JE(0x20), TAKE, FINISH);
	g_autoptr(site_array) sites = allocation_sites_find(image, NULL);

	assert_non_null(sites);
	assert_int_equal(sites->len, 2);
	assert_int_equal(g_array_index(sites, struct allocation_site, 1).offset -
				 g_array_index(sites, struct allocation_site, 0).offset,
			 31);
}

static void the_cold_part_of_a_function_is_searched_too(void **state)
{
	(void)state;
	static const uint8_t hot[] = { NOP, RET };
	static const uint8_t cold[] = { LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), TAKE, FINISH };

	assert_site(tiny_program_image(hot, sizeof(hot), sizeof(hot), cold, sizeof(cold)),
		    TINY_COLD - TINY_TEXT + 15, RDX);
}

static void what_only_resembles_it_is_left_alone(void **state)
{
	(void)state;
	/* another field than nextpool: mov 0x18(%rdx),%rcx */
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, 0x48, 0x8b, 0x4a, 0x18, COMPARE, JE(0x20), TAKE, FINISH));
	/* a 32-bit compare: cmp %ecx,%edx */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x39, 0xca, JE(0x20), TAKE, FINISH));
	/* another condition: jb */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0x72, 0x20, TAKE, FINISH));
	/* jne past the fast path: there the pools are equal */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JNE(0x20), TAKE, FINISH));
	/* the next pool of another pool: mov 0x10(%rsi),%rcx */
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, 0x48, 0x8b, 0x4e, 0x10, COMPARE, JE(0x20), TAKE, FINISH));
	/* an object whose count is incremented and whose type is read, but nothing is taken from it
	 */
	assert_no_site(TINY_IMAGE(LOAD_NEXT, COMPARE, JE(0x20), LOAD_FREE, COUNT, FINISH));
	/* a store to freeblock of something else: mov %rsi,0x8(%rdx) */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), LOAD_FREE, COUNT,
				  LOAD_FOLLOWING, 0x48, 0x89, 0x72, 0x08, FINISH));
}

static void values_that_change_on_the_way_are_noticed(void **state)
{
	(void)state;
	/* between the load and the compare: xor %edx,%edx; add $8,%rdx; mov %esi,%edx; pop %rdx; a
	 * call (clobbers rdx) */
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x31, 0xd2, COMPARE, JE(0x20), TAKE, FINISH));
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x48, 0x83, 0xc2, 0x08, COMPARE, JE(0x20),
				  TAKE, FINISH));
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x89, 0xf2, COMPARE, JE(0x20), TAKE, FINISH));
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0x5a, COMPARE, JE(0x20), TAKE, FINISH));
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, 0xe8, 0, 0, 0, 0, COMPARE, JE(0x20), TAKE,
				  FINISH));
	/* between the compare and the jump, the flags: test %rax,%rax; and P: mov %rsi,%rdx */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0x48, 0x85, 0xc0, JE(0x20), TAKE,
				  FINISH));
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0x48, 0x89, 0xf2, JE(0x20), TAKE,
				  FINISH));
	/* after the jump: mov %rsi,%rdx */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), 0x48, 0x89, 0xf2, TAKE,
				  FINISH));
}

static void instructions_before_a_return_do_not_count(void **state)
{
	(void)state;
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, RET, JE(0x20), TAKE, FINISH));
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0xeb, 0x00, JE(0x20), TAKE, FINISH));
}

static void an_unequal_side_that_never_ends_is_given_up(void **state)
{
	(void)state;
	/* jmp to itself */
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), 0xeb, 0xfe, TAKE, FINISH));
	/* je at the very end of the function, and a jump out of the file */
	assert_no_site(TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20)));
	assert_no_site(
		TINY_IMAGE(LOAD_POOL, LOAD_NEXT, COMPARE, 0x0f, 0x85, 0xff, 0xff, 0xff, 0x7f));
}

/* gcc 12 -O0: the pool stands in the stack frame, in no register at the jump. */
static void an_unoptimised_build_is_refused(void **state)
{
	(void)state;
	assert_no_site(TINY_IMAGE(0x48, 0x89, 0x45, 0xe8, 0x48, 0x8b, 0x45, 0xe8, 0x48, 0x8b, 0x40,
				  0x10, 0x48, 0x39, 0x45, 0xe8, 0x74, 0x4a, 0x48, 0x8b, 0x45, 0xe8,
				  0x8b, 0x00, 0x8d, 0x50, 0x01, 0x48, 0x8b, 0x45, 0xe8, 0x89, 0x10,
				  0x48, 0x8b, 0x45, 0xe8, 0x48, 0x8b, 0x40, 0x08, 0x48, 0x89, 0x45,
				  0xf8, 0x48, 0x8b, 0x45, 0xf8, 0x48, 0x8b, 0x10, 0x48, 0x8b, 0x45,
				  0xe8, 0x48, 0x89, 0x50, 0x08, FINISH));
}

static void code_without_unwind_table_is_refused(void **state)
{
	(void)state;
	static const uint8_t code[] = { LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), TAKE, FINISH };

	assert_no_site(tiny_program_image(code, sizeof(code), 0, NULL, 0));
}

/* The i-th site of @sites, and the class that it is said to serve. */
static void assert_choice(const GArray *sites, guint i, enum pool_choice choice, int64_t place,
			  int size_class)
{
	const struct allocation_site *site = &g_array_index(sites, struct allocation_site, i);
	g_autoptr(GArray) classes = allocation_site_classes(sites);

	assert_int_equal(site->choice, choice);
	assert_int_equal(site->place, place);
	assert_int_equal(classes->len, sites->len);
	assert_int_equal(g_array_index(classes, int, i), size_class);
}

/* What follows the load of the pool into rdx. */
#define REST LOAD_NEXT, COMPARE, JE(0x10), TAKE

/* Where the table and the pools' places are named by their addresses: code for a fixed address. */
static void a_pool_from_one_place_tells_the_size_class(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(LOAD_POOL, REST, 0x48, 0x8b, 0x14, 0x25, 0x20, 0x4d, 0x95, 0,
			   REST,					/* mov 0x954d20,%rdx */
			   0x48, 0x8b, 0x14, 0x25, 0x90, 0x4d, 0x95, 0, /* mov 0x954d90,%rdx */
			   REST, 0x48, 0x8b, 0x14, 0x25, 0x98, 0x4d, 0x95, 0,
			   REST, /* mov 0x954d98,%rdx: no list begins there */
			   0x48, 0x8b, 0x14, 0x25, 0x10, 0x4d, 0x95, 0, REST, /* before the table */
			   0x48, 0x8b, 0x14, 0x25, 0x20, 0x51, 0x95, 0, REST, /* behind it */
			   FINISH);
	g_autoptr(site_array) sites = allocation_sites_find(image, NULL);

	assert_non_null(sites);
	assert_int_equal(sites->len, 6);
	assert_choice(sites, 0, CHOICE_ANY, 0x954d20, CLASS_UNKNOWN);
	assert_choice(sites, 1, CHOICE_ONE, 0x954d20, 0);
	assert_choice(sites, 2, CHOICE_ONE, 0x954d90, 7);
	assert_choice(sites, 3, CHOICE_ONE, 0x954d98, CLASS_UNKNOWN);
	assert_choice(sites, 4, CHOICE_ONE, 0x954d10, CLASS_UNKNOWN);
	assert_choice(sites, 5, CHOICE_ONE, 0x955120, CLASS_UNKNOWN);
}

/* Code that runs anywhere names them relative to itself. */
static void places_relative_to_the_code_are_addresses_too(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x48, 0x8d, 0x0d, 0xf9, 0x0f, 0, 0, /* lea TINY_TEXT+0x1000,%rcx */
			   0x48, 0x8b, 0x14, 0xc1, REST,       /* mov (%rcx,%rax,8),%rdx */
			   0x48, 0x8b, 0x15, 0x47, 0x10, 0, 0, /* mov TINY_TEXT+0x1070,%rdx */
			   REST, FINISH);
	g_autoptr(site_array) sites = allocation_sites_find(image, NULL);

	assert_non_null(sites);
	assert_int_equal(sites->len, 2);
	assert_choice(sites, 0, CHOICE_ANY, TINY_TEXT + 0x1000, CLASS_UNKNOWN);
	assert_choice(sites, 1, CHOICE_ONE, TINY_TEXT + 0x1070, 7);
}

/* Since 3.12 the table belongs to the interpreter state. */
static void places_in_a_struct_are_told_by_their_distance(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x48, 0x8b, 0x59, 0x10, 0x48, 0x8b, 0x94, 0xc3, 0x78, 0x0f, 0,
			   0, /* mov 16(%rcx),
				 %rbx; mov
				 0xf78(%rbx,%rax,
				 8),%rdx */
			   REST, 0x48, 0x8b, 0x59, 0x10, 0x48, 0x8b, 0x93, 0x98, 0x0f, 0, 0,
			   REST,		   /* mov 0xf98(%rbx),%rdx */
			   0x48, 0x8d, 0x34, 0xc6, /* lea (%rsi,%rax,8),%rsi: anywhere */
			   0x48, 0x8b, 0x96, 0x98, 0x0f, 0, 0, REST, /* mov 0xf98(%rsi),%rdx */
			   FINISH);
	g_autoptr(site_array) sites = allocation_sites_find(image, NULL);

	assert_non_null(sites);
	assert_int_equal(sites->len, 3);
	assert_choice(sites, 0, CHOICE_ANY, 0xf78, CLASS_UNKNOWN);
	assert_choice(sites, 1, CHOICE_ONE, 0xf98, 2);
	assert_choice(sites, 2, CHOICE_UNKNOWN, 0, CLASS_UNKNOWN);
}

static void without_a_table_no_class_is_known(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x48, 0x8b, 0x14, 0x25, 0x20, 0x4d, 0x95, 0, REST, FINISH);
	g_autoptr(site_array) sites = allocation_sites_find(image, NULL);

	assert_non_null(sites);
	assert_choice(sites, 0, CHOICE_ONE, 0x954d20, CLASS_UNKNOWN);
}

static void any_code_is_searched_without_harm(void **state)
{
	(void)state;
	g_autoptr(GRand) random = g_rand_new_with_seed(3);
	static const uint8_t good[] = { LOAD_POOL, LOAD_NEXT, COMPARE, JE(0x20), TAKE, FINISH };
	unsigned int found = 0;

	for (unsigned int round = 0; round < 3000; round++) {
		uint8_t code[128];

		for (size_t i = 0; i < sizeof(code); i++)
			code[i] = (uint8_t)g_rand_int(random);
		if (round % 2) { /* half of them: the fast path with a byte or two changed */
			memcpy(code, good, sizeof(good));
			for (int i = g_rand_int_range(random, 0, 3); i > 0; i--)
				code[g_rand_int_range(random, 0, sizeof(good))] =
					(uint8_t)g_rand_int(random);
		}
		g_autoptr(elf_image) image =
			tiny_program_image(code, sizeof(code), sizeof(code), NULL, 0);
		g_autoptr(site_array) sites = allocation_sites_find(image, NULL);
		found += sites != NULL;
	}
	assert_in_range(found, 400, 1500);
}

/* Inlined allocations of one size are mostly of 32 bytes: 57 of 71 in Debian's 3.11.2-6+deb12u9, by
 * the addresses in its disassembly. */
static void assert_classes(const GArray *sites, bool inlined)
{
	g_autoptr(GArray) classes = allocation_site_classes(sites);
	guint known = 0, of_32_bytes = 0;

	for (guint i = 0; i < classes->len; i++) {
		known += g_array_index(classes, int, i) != CLASS_UNKNOWN;
		of_32_bytes += g_array_index(classes, int, i) == 1;
	}
	if (inlined) {
		assert_in_range(known, sites->len / 4, sites->len / 2);
		assert_in_range(of_32_bytes, known / 2, known - 1);
	} else {
		assert_int_equal(known, 0);
	}
}

/* The counts were compared with every reference to usedpools in the disassembly of each build. */
static void every_interpreter_has_its_sites(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		struct test_python python = test_python(i);
		const char *path = python.library ? python.library : python.program;
		g_autoptr(GError) error = NULL;
		g_autoptr(elf_image) image = elf_image_open(path, &error);
		struct elf_symbol malloc_symbol;

		assert_non_null(image);
		g_autoptr(site_array) sites = allocation_sites_find(image, &error);
		if (!sites)
			fail_msg("%s: %s", path, error->message);
		if (python.library)
			assert_in_range(sites->len, 1, 3);
		else /* Debian: PGO and LTO; 3.11.2-6+deb12u9 has 184, other patch levels fewer or
			more */
			assert_in_range(sites->len, 100, 250);
		assert_classes(sites, !python.library);
		assert_true(elf_image_symbol(image, "PyObject_Malloc", &malloc_symbol));
		for (guint j = 1; j < sites->len; j++)
			assert_true(g_array_index(sites, struct allocation_site, j - 1).offset <
				    g_array_index(sites, struct allocation_site, j).offset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fast_path_is_found),
		cmocka_unit_test(the_compare_may_be_the_other_way_round),
		cmocka_unit_test(the_next_pool_may_be_compared_in_memory),
		cmocka_unit_test(jumps_of_both_polarities_and_lengths_are_found),
		cmocka_unit_test(the_unequal_side_may_go_on_elsewhere),
		cmocka_unit_test(the_count_is_incremented_in_any_of_its_ways),
		cmocka_unit_test(any_register_may_hold_the_pool),
		cmocka_unit_test(the_pool_may_move_to_another_register),
		cmocka_unit_test(other_instructions_may_stand_between),
		cmocka_unit_test(several_sites_in_a_function_are_all_found_in_order),
		cmocka_unit_test(the_cold_part_of_a_function_is_searched_too),
		cmocka_unit_test(what_only_resembles_it_is_left_alone),
		cmocka_unit_test(values_that_change_on_the_way_are_noticed),
		cmocka_unit_test(instructions_before_a_return_do_not_count),
		cmocka_unit_test(an_unequal_side_that_never_ends_is_given_up),
		cmocka_unit_test(an_unoptimised_build_is_refused),
		cmocka_unit_test(code_without_unwind_table_is_refused),
		cmocka_unit_test(a_pool_from_one_place_tells_the_size_class),
		cmocka_unit_test(places_relative_to_the_code_are_addresses_too),
		cmocka_unit_test(places_in_a_struct_are_told_by_their_distance),
		cmocka_unit_test(without_a_table_no_class_is_known),
		cmocka_unit_test(any_code_is_searched_without_harm),
		cmocka_unit_test(every_interpreter_has_its_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
