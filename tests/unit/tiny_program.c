// SPDX-License-Identifier: GPL-2.0-or-later
#include "tiny_program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <dlfcn.h>
#include <elf.h>
#include <gnu/libc-version.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

struct program {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	uint8_t padding[0x1000 - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
	uint8_t text[TINY_TEXT_SIZE];
	struct {
		uint8_t version, pointer_encoding, count_encoding, table_encoding;
		uint64_t eh_frame;
	} __attribute__((packed)) unwind_header;
	struct {
		uint32_t length, id;
		uint8_t version;
		char augmentation[3];
		uint8_t code_factor, data_factor, return_register, augmentation_length, encoding;
		uint8_t nop[3];
	} cie;
	struct {
		uint32_t length, cie_pointer;
		uint64_t start, size;
		uint8_t augmentation_length, nop[3];
	} __attribute__((packed)) fde[2];
	uint32_t terminator;
};

static void describe(struct program *program, unsigned int i, uint64_t start, uint64_t size)
{
	size_t offset = (char *)&program->fde[i] - (char *)&program->cie;

	program->fde[i].length = sizeof(program->fde[i]) - 4;
	program->fde[i].cie_pointer = offset + 4;
	program->fde[i].start = start;
	program->fde[i].size = size;
}

static void fill(struct program *program)
{
	*program = (struct program){
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					 ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2,
			    .e_shentsize = sizeof(Elf64_Shdr) },
		.segments = { { .p_type = PT_LOAD,
				.p_vaddr = TINY_BASE,
				.p_filesz = sizeof(*program),
				.p_memsz = sizeof(*program),
				.p_flags = PF_R | PF_X,
				.p_align = 0x1000 },
			      { .p_type = PT_GNU_EH_FRAME,
				.p_offset = offsetof(struct program, unwind_header),
				.p_vaddr = TINY_BASE + offsetof(struct program, unwind_header),
				.p_filesz = 12,
				.p_memsz = 12,
				.p_flags = PF_R } },
		/* version 1, eh_frame as an absolute 8-byte address, no table */
		.unwind_header = { 1, 0x04, 0xff, 0xff, TINY_BASE + offsetof(struct program, cie) },
		.cie = { .length = sizeof(program->cie) - 4,
			 .version = 1,
			 .augmentation = "zR",
			 .code_factor = 1,
			 .data_factor = 0x78,
			 .return_register = 16,
			 .augmentation_length = 1,
			 .encoding = 0x04 /* udata8 */ },
	};
	memset(program->text, 0xcc, sizeof(program->text));
}

elf_image *tiny_program_image(const uint8_t *code, size_t length, size_t size, const uint8_t *cold,
			      size_t cold_length)
{
	g_autofree struct program *program = g_new(struct program, 1);
	g_autoptr(GError) error = NULL;
	int fd = memfd_create("pyleak-test", MFD_CLOEXEC);

	fill(program);
	assert_true(length <= TINY_COLD - TINY_TEXT &&
		    cold_length <= TINY_TEXT_SIZE - (TINY_COLD - TINY_TEXT));
	memcpy(program->text, code, length);
	memcpy(program->text + (TINY_COLD - TINY_TEXT), cold ? cold : code, cold_length);
	if (size)
		describe(program, 0, TINY_TEXT, size);
	if (size && cold_length)
		describe(program, 1, TINY_COLD, cold_length);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, program, sizeof(*program)), sizeof(*program));
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	elf_image *image = elf_image_open(path, &error);
	close(fd);
	assert_non_null(image);
	return image;
}

elf_image *open_c_library(void)
{
	Dl_info info;

	assert_int_not_equal(dladdr(gnu_get_libc_version, &info), 0);
	elf_image *image = elf_image_open(info.dli_fname, NULL);
	assert_non_null(image);
	return image;
}
