// SPDX-License-Identifier: GPL-2.0-or-later
/* Where return addresses stand, told from this very program: its compiler wrote the call frame
 * information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <glib.h>
#include <link.h>
#include <unistd.h>

#include "elf/image.h"
#include "elf/return_slot.h"

/* Three places of one function: at its beginning, after a push, after more room was made. */
__asm__(".text\n.type moves_stack, @function\nmoves_stack:\n.cfi_startproc\n"
	"push %rbx\n.cfi_def_cfa_offset 16\n"
	"after_push: sub $0x58, %rsp\n.cfi_def_cfa_offset 104\n"
	"after_sub: add $0x58, %rsp\n.cfi_def_cfa_offset 16\n"
	"pop %rbx\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n.size moves_stack, . - moves_stack\n"
	".type framed, @function\nframed:\n.cfi_startproc\n"
	"push %rbp\n.cfi_def_cfa_offset 16\nmov %rsp, %rbp\n.cfi_def_cfa_register 6\n"
	"in_frame: pop %rbp\n.cfi_def_cfa 7, 8\nret\n.cfi_endproc\n.size framed, . - framed\n"
	".type untold, @function\nuntold: ret\n.size untold, . - untold\n");
extern const char moves_stack[], after_push[], after_sub[], in_frame[], untold[];

static uint64_t link_address(const char *here)
{
	struct link_map *map;
	Dl_info info;

	assert_int_not_equal(dladdr1(here, &info, (void **)&map, RTLD_DL_LINKMAP), 0);
	return (uint64_t)here - map->l_addr;
}

static void the_return_address_is_found_from_anywhere_in_a_function(void **state)
{
	const struct {
		const char *address;
		uint32_t slot;
	} places[] = { { moves_stack, 0 }, { after_push, 8 }, { after_sub, 96 } };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		uint32_t slot = UINT32_MAX;

		assert_true(
			return_slot_find("/proc/self/exe", link_address(places[i].address), &slot));
		assert_int_equal(slot, places[i].slot);
	}
}

static void what_is_not_told_is_not_guessed(void **state)
{
	uint32_t slot = 77;

	(void)state;
	assert_false(return_slot_find("/proc/self/exe", link_address(in_frame), &slot));
	assert_false(return_slot_find("/proc/self/exe", link_address(untold), &slot));
	assert_false(return_slot_find("/proc/self/exe", 0, &slot));
	assert_false(return_slot_find("/proc/self/exe", UINT64_MAX, &slot));
	assert_false(return_slot_find("/proc/self/stat", 0, &slot));
	assert_false(return_slot_find("/no/such/file", 0, &slot));
	assert_int_equal(slot, 77);
}

/* Every byte of the unwind tables turned over, one after the other: answers may be wrong, but they
 * are in bounds. */
static void hostile_tables_do_no_harm(void **state)
{
	g_autofree char *bytes = NULL, *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "broken", NULL);
	uint64_t address = link_address(after_sub);
	gsize length;

	(void)state;
	assert_true(g_file_get_contents("/proc/self/exe", &bytes, &length, NULL));
	for (gsize i = 0; i < 400; i++) {
		gsize at = i < 200 ? i : (i * 2654435761u) % length;
		char before = bytes[at];
		uint32_t slot = 0;

		bytes[at] ^= 0xff;
		assert_true(
			g_file_set_contents(path, bytes, (gssize)length / (i % 7 ? 1 : 2), NULL));
		if (return_slot_find(path, address, &slot))
			assert_in_range(slot, 0, MOST_RETURN_SLOT);
		bytes[at] = before;
	}
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_return_address_is_found_from_anywhere_in_a_function),
		cmocka_unit_test(what_is_not_told_is_not_guessed),
		cmocka_unit_test(hostile_tables_do_no_harm),
	};

	return cmocka_run_group_tests_name("return_slot", tests, NULL, NULL);
}
