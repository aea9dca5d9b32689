// SPDX-License-Identifier: GPL-2.0-or-later
/* Where functions can be probed cheaply: on code made up here, and on the C library of this
 * machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <asm/ptrace.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "base/error.h"
#include "elf/entry_site.h"
#include "elf/insn.h"
#include "tiny_program.h"

enum { FIRST_ONLY = -1 }; /* no cheap site: the first instruction, single-stepped */

static void assert_site(elf_image *image, unsigned int arguments, bool for_return, int expected)
{
	struct probe_site site;

	assert_true(entry_site_find(image, TINY_TEXT, arguments, for_return, &site, NULL));
	assert_int_equal(site.emulated, expected != FIRST_ONLY);
	assert_int_equal(site.address, TINY_TEXT + (expected == FIRST_ONLY ? 0 : expected));
	assert_int_equal(site.offset, site.address - TINY_BASE);
}

static void a_push_at_the_entry_is_the_site(void **state)
{
	(void)state;
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x41, 0x54, /* push r12 */ 0x48, 0x89, 0xfb, /* mov rbx, rdi */ 0xc3);

	assert_site(image, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3, true, 0);
}

static void an_entry_that_is_not_emulated_is_passed_by(void **state)
{
	(void)state;
	/* glibc 2.36 free: test rdi, rdi; je. And with endbr64 before: Ubuntu. */
	g_autoptr(elf_image) glibc =
		TINY_IMAGE(0x48, 0x85, 0xff, 0x0f, 0x84, 1, 0, 0, 0, 0x55, 0xc3);
	g_autoptr(elf_image) endbr = TINY_IMAGE(0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x85, 0xff, 0x0f,
						0x84, 1, 0, 0, 0, 0x55, 0xc3);
	/* glibc 2.36 posix_memalign: cmp byte [rip + x], 0; push r12 */
	g_autoptr(elf_image) posix = TINY_IMAGE(0x80, 0x3d, 1, 2, 0, 0, 0, 0x41, 0x54, 0xc3);

	assert_site(glibc, ARGUMENT_1, false, 3);
	assert_site(endbr, ARGUMENT_1, false, 7);
	assert_site(posix, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3, true, 7);
}

static void a_jump_or_call_at_the_entry_is_the_site(void **state)
{
	(void)state;
	/* mimalloc 2.0 memalign: jmp mi_memalign@plt */
	g_autoptr(elf_image) jump = TINY_IMAGE(0xe9, 0x20, 1, 0, 0);
	g_autoptr(elf_image) call = TINY_IMAGE(0xe8, 0x20, 1, 0, 0, 0xc3);

	assert_site(jump, ARGUMENT_1 | ARGUMENT_2, true, 0);
	assert_site(call, ARGUMENT_1 | ARGUMENT_2, true, 0);
}

static void an_argument_that_is_overwritten_spoils_the_sites_behind(void **state)
{
	(void)state;
	static const struct {
		unsigned int argument, other;
		uint8_t code[8];
	} writes[] = {
		{ ARGUMENT_1, ARGUMENT_2, { 0x40, 0xb7, 1 } },	  /* mov dil, 1 */
		{ ARGUMENT_1, ARGUMENT_2, { 0x66, 0xbf, 1, 0 } }, /* mov di, 1 */
		{ ARGUMENT_1, ARGUMENT_2, { 0xbf, 1, 0, 0, 0 } }, /* mov edi, 1 */
		{ ARGUMENT_2,
		  ARGUMENT_1,
		  { 0x48, 0x0f, 0x44, 0xf0 } },			     /* cmove rsi, rax: perhaps */
		{ ARGUMENT_3, ARGUMENT_2, { 0x48, 0xf7, 0xe6 } },    /* mul rsi writes rdx */
		{ ARGUMENT_3, ARGUMENT_1, { 0x48, 0x99 } },	     /* cqo writes rdx */
		{ ARGUMENT_4, ARGUMENT_1, { 0xfe, 0xc5 } },	     /* inc ch */
		{ ARGUMENT_1, ARGUMENT_3, { 0xf3, 0xaa } },	     /* rep stosb writes rdi, rcx */
		{ ARGUMENT_2, ARGUMENT_1, { 0x48, 0x87, 0xf0 } },    /* xchg rax, rsi */
		{ ARGUMENT_3, ARGUMENT_1, { 0x0f, 0xa2 } },	     /* cpuid writes rdx, rcx */
		{ ARGUMENT_1, ARGUMENT_2, { 0x48, 0x8d, 0x7f, 1 } }, /* lea rdi, [rdi + 1] */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
		uint8_t code[10];
		ZydisDecoder decoder;
		struct insn insn;
		insn_decoder_init(&decoder);
		memcpy(code, writes[i].code, 8);
		assert_true(insn_decode_bytes(&decoder, code, 8, 0, &insn));
		size_t length = insn.decoded.length;
		code[length] = 0x53; /* push rbx */
		code[length + 1] = 0xc3;
		g_autoptr(elf_image) image =
			tiny_program_image(code, length + 2, length + 2, NULL, 0);
		assert_site(image, writes[i].argument, true, FIRST_ONLY);
		assert_site(image, writes[i].other, true, length);
	}
}

static void reading_an_argument_does_no_harm(void **state)
{
	(void)state;
	/* mov rax, rdi; cmp rdi, rsi; test dl, dl; mov [rdi], rsi; push rbx */
	g_autoptr(elf_image) image = TINY_IMAGE(0x48, 0x89, 0xf8, 0x48, 0x39, 0xf7, 0x84, 0xd2,
						0x48, 0x89, 0x37, 0x53, 0xc3);

	assert_site(image, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3, true, 11);
}

static void a_moved_stack_spoils_return_sites_only(void **state)
{
	(void)state;
	/* sub rsp, 0x18; test rdi, rdi; je */
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x48, 0x83, 0xec, 0x18, 0x48, 0x85, 0xff, 0x74, 1, 0x90, 0xc3);
	/* pop rax; push rax; jmp */
	g_autoptr(elf_image) popped = TINY_IMAGE(0x58, 0x50, 0xeb, 0, 0xc3);
	/* lea rsp, [rsp - 8]; je */
	g_autoptr(elf_image) leaked = TINY_IMAGE(0x48, 0x8d, 0x64, 0x24, 0xf8, 0x74, 0, 0xc3);

	assert_site(image, ARGUMENT_1, false, 7);
	assert_site(image, ARGUMENT_1, true, FIRST_ONLY);
	assert_site(popped, ARGUMENT_1, true, FIRST_ONLY);
	assert_site(leaked, ARGUMENT_1, false, 5);
	assert_site(leaked, ARGUMENT_1, true, FIRST_ONLY);
}

static void nothing_is_found_beyond_a_branch_or_the_end(void **state)
{
	(void)state;
	/* mov edi, 1; je (argument lost: not a site, and not every call gets beyond); push rbx */
	g_autoptr(elf_image) branch = TINY_IMAGE(0xbf, 1, 0, 0, 0, 0x74, 1, 0x53, 0xc3);
	g_autoptr(elf_image) returns = TINY_IMAGE(0x31, 0xc0, 0xc3, 0x53);
	g_autoptr(elf_image) pointer = TINY_IMAGE(0x31, 0xc0, 0xff, 0xe0, 0x53);
	g_autoptr(elf_image) hinted = TINY_IMAGE(0x31, 0xc0, 0x2e, 0x74, 0, 0x53);
	g_autoptr(elf_image) traps = TINY_IMAGE(0x31, 0xc0, 0x0f, 0x0b, 0x53);
	/* The function ends before the push. */
	g_autoptr(elf_image) ends =
		tiny_program_image((uint8_t[]){ 0x31, 0xc0, 0x53 }, 3, 2, NULL, 0);

	assert_site(branch, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(returns, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(pointer, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(hinted, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(traps, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(ends, ARGUMENT_1, false, FIRST_ONLY);
}

static void a_site_inside_a_loop_is_refused(void **state)
{
	(void)state;
	/* xor eax, eax; again: inc eax; je out; jmp again */
	g_autoptr(elf_image) loop = TINY_IMAGE(0x31, 0xc0, 0xff, 0xc0, 0x74, 2, 0xeb, 0xfa, 0xc3);
	/* xor eax, eax; again: je out; jmp again: back to the site itself */
	g_autoptr(elf_image) self = TINY_IMAGE(0x31, 0xc0, 0x74, 2, 0xeb, 0xfc, 0xc3);

	assert_site(loop, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(self, ARGUMENT_1, false, FIRST_ONLY);
}

static void jumps_behind_the_site_do_no_harm(void **state)
{
	(void)state;
	/* glibc 2.36 valloc: cmp byte; push rbx; mov; je L; M: ...; L: call; jmp M */
	g_autoptr(elf_image) image =
		TINY_IMAGE(0x80, 0x3d, 1, 2, 0, 0, 0, 0x53, 0x48, 0x89, 0xfb, 0x74, 3, 0x90, 0x5b,
			   0xc3, 0xe8, 0, 0, 0, 0, 0xeb, 0xf6);
	/* test; je to the end; jmp back to the very entry: a tail call to itself */
	g_autoptr(elf_image) itself = TINY_IMAGE(0x48, 0x85, 0xff, 0x74, 2, 0xeb, 0xf9, 0xc3);

	assert_site(image, ARGUMENT_1, true, 7);
	assert_site(itself, ARGUMENT_1, true, 3);
}

static void a_cold_part_that_jumps_back_before_the_site_is_seen(void **state)
{
	(void)state;
	static const uint8_t hot[] = {
		0x31, 0xc0,		   /* xor eax, eax */
		0xff, 0xc0,		   /* 2: inc eax */
		0x0f, 0x84, 0xf6, 0, 0, 0, /* 4: je TINY_COLD */
		0xc3,
	};
	uint8_t cold[] = { 0x90, 0xe9, 0xfc, 0xfe, 0xff, 0xff }; /* nop; jmp 2 */

	g_autoptr(elf_image) into =
		tiny_program_image(hot, sizeof(hot), sizeof(hot), cold, sizeof(cold));
	assert_site(into, ARGUMENT_1, false, FIRST_ONLY);
	cold[2] = 0x04; /* jmp to the ret, behind the site */
	cold[3] = 0xff;
	g_autoptr(elf_image) behind =
		tiny_program_image(hot, sizeof(hot), sizeof(hot), cold, sizeof(cold));
	assert_site(behind, ARGUMENT_1, false, 4);
}

static void code_that_cannot_be_followed_is_refused(void **state)
{
	(void)state;
	/* xor eax, eax; je; then 06, no instruction in 64-bit code */
	g_autoptr(elf_image) image = TINY_IMAGE(0x31, 0xc0, 0x74, 1, 0x06, 0xc3);
	/* Without unwind information only the first instruction is sure. */
	g_autoptr(elf_image) unbounded =
		tiny_program_image((uint8_t[]){ 0x31, 0xc0, 0x53, 0xc3 }, 4, 0, NULL, 0);
	g_autoptr(elf_image) push = tiny_program_image((uint8_t[]){ 0x53, 0xc3 }, 2, 0, NULL, 0);

	assert_site(image, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(unbounded, ARGUMENT_1, false, FIRST_ONLY);
	assert_site(push, ARGUMENT_1, true, 0);
}

static void what_is_no_code_is_an_error(void **state)
{
	(void)state;
	static const uint64_t addresses[] = { 0, TINY_BASE - 1, TINY_BASE + 0x10000, UINT64_MAX };
	g_autoptr(elf_image) image = TINY_IMAGE(0x06, 0x06);
	struct probe_site site, sites[MOST_SYSCALL_SITES];
	uint32_t offsets[MAX_ARGUMENTS];

	for (size_t i = 0; i <= G_N_ELEMENTS(addresses); i++) {
		uint64_t address = i < G_N_ELEMENTS(addresses) ? addresses[i] : (uint64_t)TINY_TEXT;
		g_autoptr(GError) error = NULL, again = NULL, third = NULL;
		assert_false(entry_site_find(image, address, ARGUMENT_1, true, &site, &error));
		assert_true(g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED));
		assert_false(entry_site_find_moved(image, address, ARGUMENT_1, true, &site, offsets,
						   &again));
		assert_non_null(again);
		assert_false(syscall_sites_find(image, address, ARGUMENT_1, sites, &third));
		assert_non_null(third);
	}
}

static void arguments_are_followed_to_other_registers(void **state)
{
	(void)state;
	/* mimalloc 2.0 malloc: mov rax, [rip + x]; mov rsi, rdi; mov rdi, fs:[rax]; cmp rsi, 0x400;
	 * ja */
	g_autoptr(elf_image) malloc_image =
		TINY_IMAGE(0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38,
			   0x48, 0x81, 0xfe, 0, 4, 0, 0, 0x77, 0, 0xc3);
	/* mimalloc 2.0 realloc: mov rdx, rsi; mov rsi, rdi; mov rax, fs:[rax]; mov rdi, rax; jmp */
	g_autoptr(elf_image) realloc_image =
		TINY_IMAGE(0x48, 0x89, 0xf2, 0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x00, 0x48, 0x89,
			   0xc7, 0xeb, 0, 0xc3);
	/* mov eax, edi cuts the argument; mov edi, 0; je */
	g_autoptr(elf_image) cut = TINY_IMAGE(0x89, 0xf8, 0xbf, 0, 0, 0, 0, 0x74, 0, 0xc3);
	struct probe_site site;
	uint32_t offsets[MAX_ARGUMENTS];

	assert_site(malloc_image, ARGUMENT_1, true, FIRST_ONLY);
	assert_true(entry_site_find_moved(malloc_image, TINY_TEXT, ARGUMENT_1, true, &site, offsets,
					  NULL));
	assert_true(site.emulated);
	assert_int_equal(site.address, TINY_TEXT + 21);
	assert_int_equal(offsets[0], offsetof(struct pt_regs, rsi));

	assert_true(entry_site_find_moved(realloc_image, TINY_TEXT, ARGUMENT_1 | ARGUMENT_2, true,
					  &site, offsets, NULL));
	assert_int_equal(site.address, TINY_TEXT + 13);
	assert_int_equal(offsets[0], offsetof(struct pt_regs, rsi));
	assert_int_equal(offsets[1], offsetof(struct pt_regs, rdx));

	assert_true(entry_site_find_moved(cut, TINY_TEXT, ARGUMENT_1, true, &site, offsets, NULL));
	assert_false(site.emulated);
	assert_int_equal(site.address, TINY_TEXT);
	assert_int_equal(offsets[0], offsetof(struct pt_regs, rdi));
}

static void every_allocation_function_of_the_c_library_is_cheap(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		unsigned int arguments;
		bool for_return;
	} functions[] = {
		{ "malloc", ARGUMENT_1, true },
		{ "calloc", ARGUMENT_1 | ARGUMENT_2, true },
		{ "realloc", ARGUMENT_1 | ARGUMENT_2, true },
		{ "free", ARGUMENT_1, false },
		{ "posix_memalign", ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3, true },
		{ "aligned_alloc", ARGUMENT_1 | ARGUMENT_2, true },
		{ "memalign", ARGUMENT_1 | ARGUMENT_2, true },
		{ "valloc", ARGUMENT_1, true },
		{ "pvalloc", ARGUMENT_1, true },
	};
	g_autoptr(elf_image) image = open_c_library();

	for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
		struct elf_symbol symbol;
		struct probe_site site;
		assert_true(elf_image_exports(image, functions[i].name, &symbol));
		assert_true(entry_site_find(image, symbol.address, functions[i].arguments,
					    functions[i].for_return, &site, NULL));
		assert_true(site.emulated);
		assert_in_range(site.address, symbol.address, symbol.address + 16);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_at_the_entry_is_the_site),
		cmocka_unit_test(an_entry_that_is_not_emulated_is_passed_by),
		cmocka_unit_test(a_jump_or_call_at_the_entry_is_the_site),
		cmocka_unit_test(an_argument_that_is_overwritten_spoils_the_sites_behind),
		cmocka_unit_test(reading_an_argument_does_no_harm),
		cmocka_unit_test(a_moved_stack_spoils_return_sites_only),
		cmocka_unit_test(nothing_is_found_beyond_a_branch_or_the_end),
		cmocka_unit_test(a_site_inside_a_loop_is_refused),
		cmocka_unit_test(jumps_behind_the_site_do_no_harm),
		cmocka_unit_test(a_cold_part_that_jumps_back_before_the_site_is_seen),
		cmocka_unit_test(code_that_cannot_be_followed_is_refused),
		cmocka_unit_test(what_is_no_code_is_an_error),
		cmocka_unit_test(arguments_are_followed_to_other_registers),
		cmocka_unit_test(every_allocation_function_of_the_c_library_is_cheap),
	};

	return cmocka_run_group_tests_name("entry_site", tests, NULL, NULL);
}
