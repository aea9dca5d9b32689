// SPDX-License-Identifier: GPL-2.0-or-later
/* Where wrappers of system calls can be probed: on code made up here, and on the C library of this
 * machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glib.h>

#include "base/error.h"
#include "elf/entry_site.h"
#include "elf/insn.h"
#include "tiny_program.h"

enum {
	MMAP_ARGUMENTS = ARGUMENT_2 | ARGUMENT_3 | ARGUMENT_4,
	ALL_ARGUMENTS = (1 << MAX_ARGUMENTS) - 1,
};

/* @expected: offsets in the text, ended by -1. */
static void assert_sites(elf_image *image, unsigned int arguments, const int *expected)
{
	struct probe_site sites[MOST_SYSCALL_SITES];
	g_autoptr(GError) error = NULL;
	unsigned int count = syscall_sites_find(image, TINY_TEXT, arguments, sites, &error);

	for (unsigned int i = 0; i < count; i++) {
		assert_int_not_equal(expected[i], -1);
		assert_true(sites[i].emulated);
		assert_int_equal(sites[i].address, TINY_TEXT + expected[i]);
		assert_int_equal(sites[i].offset, sites[i].address - TINY_BASE);
	}
	assert_int_equal(expected[count], -1);
	assert_int_equal(g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED), !count);
}

static void assert_syscall_site(elf_image *image, int expected)
{
	assert_sites(image, ALL_ARGUMENTS, (const int[]){ expected, -1 });
}

static void a_system_call_is_probed_at_the_check_of_its_result(void **state)
{
	(void)state;
	/* glibc 2.36 munmap: mov eax, 11; syscall; cmp rax, -4095; jae; ret */
	g_autoptr(elf_image) munmap_image = TINY_IMAGE(0xb8, 11, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 1,
						       0xf0, 0xff, 0xff, 0x73, 1, 0xc3, 0xc3);
	/* glibc 2.36 mmap: test r9d; jne; mov eax, 9; syscall; cmp; ja */
	g_autoptr(elf_image) mmap_image = TINY_IMAGE(
		0x41, 0x89, 0xca, 0x41, 0xf7, 0xc1, 0xff, 0x0f, 0, 0, 0x75, 0x10, 0xb8, 9, 0, 0, 0,
		0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0x77, 1, 0xc3, 0xc3);

	assert_syscall_site(munmap_image, 13);
	assert_syscall_site(mmap_image, 25);
}

static void every_system_call_of_a_function_is_probed(void **state)
{
	(void)state;
	/*
	 * glibc 2.41 mmap: mov r10d, ebp; mov rdi, rbx; mov eax, 9; syscall; cmp; ja; pop rbx; pop
	 * rbp; ret; then a second try that puts the result where the first argument was: syscall;
	 * mov rdi, rax; cmp; jbe; ret
	 */
	static const uint8_t code[] = { 0x41, 0x89, 0xea, 0x48, 0x89, 0xdf, 0xb8, 9,	0,    0,
					0,    0x0f, 0x05, 0x48, 0x3d, 0,    0xf0, 0xff, 0xff, 0x77,
					3,    0x5b, 0x5d, 0xc3, 0x0f, 0x05, 0x48, 0x89, 0xc7, 0x48,
					0x3d, 0,    0xf0, 0xff, 0xff, 0x76, 0xf0, 0xc3 };
	g_autoptr(elf_image) mmap_image =
		tiny_program_image(code, sizeof(code), sizeof(code), NULL, 0);

	assert_sites(mmap_image, MMAP_ARGUMENTS, (const int[]){ 19, 35, -1 });
	assert_sites(mmap_image, ARGUMENT_1, (const int[]){ -1 });
}

static void a_function_of_too_many_system_calls_is_refused(void **state)
{
	(void)state;
	uint8_t code[4 * (MOST_SYSCALL_SITES + 1) + 1];

	for (size_t i = 0; i <= MOST_SYSCALL_SITES; i++)
		memcpy(code + 4 * i, (const uint8_t[]){ 0x0f, 0x05, 0x74, 0 }, 4);
	code[sizeof(code) - 1] = 0xc3;
	g_autoptr(elf_image) five = tiny_program_image(code, sizeof(code), sizeof(code), NULL, 0);
	g_autoptr(elf_image) four =
		tiny_program_image(code + 4, sizeof(code) - 4, sizeof(code) - 4, NULL, 0);

	assert_sites(five, ALL_ARGUMENTS, (const int[]){ -1 });
	assert_sites(four, ALL_ARGUMENTS, (const int[]){ 2, 6, 10, 14, -1 });
}

static void other_shapes_of_system_calls_are_refused(void **state)
{
	(void)state;
	g_autoptr(elf_image) none = TINY_IMAGE(0x74, 0, 0xc3);
	g_autoptr(elf_image) unchecked = TINY_IMAGE(0x0f, 0x05, 0xc3, 0x74, 0, 0xc3);
	g_autoptr(elf_image) two = TINY_IMAGE(0x0f, 0x05, 0x74, 0, 0x0f, 0x05, 0xc3);
	/* neg eax: the result is gone; mov dil, 1 and mov r10d, 1: an argument is */
	g_autoptr(elf_image) result = TINY_IMAGE(0x0f, 0x05, 0xf7, 0xd8, 0x74, 0, 0xc3);
	g_autoptr(elf_image) argument = TINY_IMAGE(0x0f, 0x05, 0x40, 0xb7, 1, 0x74, 0, 0xc3);
	g_autoptr(elf_image) fourth = TINY_IMAGE(0x0f, 0x05, 0x41, 0xba, 1, 0, 0, 0, 0x74, 0, 0xc3);
	/* A call between, as in cancellation points. */
	g_autoptr(elf_image) call = TINY_IMAGE(0x0f, 0x05, 0xe8, 0, 0, 0, 0, 0x74, 0, 0xc3);
	/* A way around the system call to the check. */
	g_autoptr(elf_image) around = TINY_IMAGE(0x75, 2, 0x0f, 0x05, 0x74, 0, 0xc3);

	assert_syscall_site(none, -1);
	assert_syscall_site(unchecked, -1);
	assert_syscall_site(two, -1);
	assert_syscall_site(result, -1);
	assert_syscall_site(argument, -1);
	assert_syscall_site(fourth, -1);
	assert_syscall_site(call, -1);
	assert_syscall_site(around, -1);
}

static void every_mapping_function_of_the_c_library_is_cheap(void **state)
{
	(void)state;
	static const char *const names[] = { "mmap", "mmap64", "munmap", "mremap" };
	g_autoptr(elf_image) image = open_c_library();
	ZydisDecoder decoder;

	insn_decoder_init(&decoder);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct probe_site sites[MOST_SYSCALL_SITES];
		struct elf_symbol symbol;
		struct insn insn;
		unsigned int arguments = i < 2 ? MMAP_ARGUMENTS : ARGUMENT_1 | ARGUMENT_2;
		unsigned int count;

		assert_true(elf_image_exports(image, names[i], &symbol));
		count = syscall_sites_find(image, symbol.address, arguments, sites, NULL);
		assert_in_range(count, 1, MOST_SYSCALL_SITES);
		for (unsigned int j = 0; j < count; j++) {
			assert_true(sites[j].emulated);
			assert_in_range(sites[j].address, symbol.address,
					symbol.address + symbol.size);
			assert_true(insn_decode(&decoder, image, sites[j].address, &insn));
			assert_true(insn_is_jcc(&insn));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_system_call_is_probed_at_the_check_of_its_result),
		cmocka_unit_test(every_system_call_of_a_function_is_probed),
		cmocka_unit_test(a_function_of_too_many_system_calls_is_refused),
		cmocka_unit_test(other_shapes_of_system_calls_are_refused),
		cmocka_unit_test(every_mapping_function_of_the_c_library_is_cheap),
	};

	return cmocka_run_group_tests_name("syscall_site", tests, NULL, NULL);
}
