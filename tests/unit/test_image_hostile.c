// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Damaged ELF files: a real one (the dynamic linker, 200 KB, with everything but .symtab) and a
 * part of this test's own, cut short and with bytes changed. Whatever opens is asked everything;
 * the sanitizers look on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "base/error.h"
#include "elf/entry_site.h"
#include "elf/image.h"
#include "tiny_program.h"

/* A copy of a file that may be damaged and repaired. */
struct victim {
	char *content;
	size_t size;
	int fd;
	char *path;
	Elf64_Ehdr header;
	unsigned int opened, refused;
};

static void victim_init(struct victim *victim, const char *source)
{
	*victim = (struct victim){ .fd = memfd_create("pyleak-victim", MFD_CLOEXEC) };
	assert_true(victim->fd >= 0);
	assert_true(g_file_get_contents(source, &victim->content, &victim->size, NULL));
	assert_int_equal(write(victim->fd, victim->content, victim->size), victim->size);
	victim->path = g_strdup_printf("/proc/self/fd/%d", victim->fd);
	memcpy(&victim->header, victim->content, sizeof(victim->header));
}

static void victim_clear(struct victim *victim)
{
	close(victim->fd);
	g_free(victim->path);
	g_free(victim->content);
}

static void ask_everything(struct elf_image *image)
{
	static const char *const names[] = { "malloc", "_dl_exception_create", "__tls_get_addr",
					     "main", "_r_debug" };
	const GArray *functions = elf_image_functions(image);
	struct elf_symbol symbol;
	struct probe_site site, sites[MOST_SYSCALL_SITES];
	struct elf_range found;
	uint64_t value;

	assert_true(strlen(elf_image_build_id(image)) <= 128);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		elf_image_exports(image, names[i], &symbol);
		if (!elf_image_symbol(image, names[i], &symbol))
			continue;
		g_autoptr(GError) error = NULL, second = NULL;
		assert_true(
			entry_site_find(image, symbol.address, ARGUMENT_1, true, &site, &error) ||
			error);
		assert_true(syscall_sites_find(image, symbol.address, ARGUMENT_1, sites, &second) ||
			    second);
	}
	for (guint i = 0; i < functions->len; i++) {
		struct elf_range range = g_array_index(functions, struct elf_range, i);
		assert_true(range.start < range.end);
		assert_non_null(elf_image_bytes(image, range.start, range.end - range.start));
		assert_true(elf_image_address_to_offset(image, range.start, &value));
		assert_true(i == 0 ||
			    g_array_index(functions, struct elf_range, i - 1).start <= range.start);
		elf_image_function_at(image, range.end - 1, &found);
	}
	elf_image_load_bias(image, 0x7f0000000000, 0x1000, &value);
}

/* Opens the file as it stands now. */
static void try(struct victim *victim)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(elf_image) image = elf_image_open(victim->path, &error);

	if (image) {
		victim->opened++;
		ask_everything(image);
	} else {
		victim->refused++;
		assert_non_null(error);
		assert_null(strchr(error->message, '\n'));
	}
}

static void try_with(struct victim *victim, size_t offset, const void *bytes, size_t length)
{
	assert_true(offset + length <= victim->size);
	assert_int_equal(pwrite(victim->fd, bytes, length, offset), length);
	try(victim);
	assert_int_equal(pwrite(victim->fd, victim->content + offset, length, offset), length);
}

/* The bytes of [offset, offset + length) in steps of @step bytes, set to values that hurt. */
static void try_bytes(struct victim *victim, size_t offset, size_t length, size_t step)
{
	static const uint8_t values[] = { 0x00, 0x7f, 0xff };

	for (size_t i = 0; i < length && offset + i < victim->size; i += step) {
		for (size_t j = 0; j < sizeof(values); j++)
			try_with(victim, offset + i, &values[j], 1);
	}
}

static char *dynamic_linker(void)
{
	g_autofree char *content = NULL;
	size_t size;
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	assert_true(g_file_get_contents("/proc/self/exe", &content, &size, NULL));
	memcpy(&header, content, sizeof(header));
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		memcpy(&segment, content + header.e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type == PT_INTERP)
			return g_strndup(content + segment.p_offset, segment.p_filesz);
	}
	fail_msg("this test is linked statically");
	return NULL;
}

static void files_cut_at_any_length_are_refused(void **state)
{
	(void)state;
	g_autofree char *linker = dynamic_linker();
	struct victim victim;

	victim_init(&victim, linker);
	for (size_t length = victim.size; length > 0;
	     length -= MIN(length, length > 4096 ? victim.size / 700 : 16)) {
		assert_int_equal(ftruncate(victim.fd, length), 0);
		try(&victim);
	}
	/* Only the whole one opens, the first: section headers are the last thing in the file. */
	assert_int_equal(victim.opened, 1);
	assert_true(victim.refused > 700);
	victim_clear(&victim);
}

static void damaged_headers_are_survived(void **state)
{
	(void)state;
	g_autofree char *linker = dynamic_linker();
	struct victim victim;

	victim_init(&victim, linker);
	try_bytes(&victim, 0, sizeof(Elf64_Ehdr), 1);
	try_bytes(&victim, victim.header.e_phoff, victim.header.e_phnum * sizeof(Elf64_Phdr), 3);
	try_bytes(&victim, victim.header.e_shoff, victim.header.e_shnum * sizeof(Elf64_Shdr), 5);
	assert_true(victim.opened > 100);
	assert_true(victim.refused > 100);
	victim_clear(&victim);
}

/* Sections hold what is parsed in depth: each gets its share of damage, near its beginning and all
 * over. */
static void damaged_sections_are_survived(void **state)
{
	(void)state;
	g_autofree char *linker = dynamic_linker();
	struct victim victim;
	Elf64_Shdr section;

	victim_init(&victim, linker);
	for (unsigned int i = 1; i < victim.header.e_shnum; i++) {
		memcpy(&section, victim.content + victim.header.e_shoff + i * sizeof(section),
		       sizeof(section));
		if (section.sh_type == SHT_NOBITS)
			continue;
		try_bytes(&victim, section.sh_offset, MIN(section.sh_size, 48), 5);
		try_bytes(&victim, section.sh_offset, section.sh_size, section.sh_size / 20 + 1);
	}
	assert_true(victim.opened > 1000);
	victim_clear(&victim);
}

static void absurd_fields_are_survived(void **state)
{
	(void)state;
	static const uint64_t values[] = { UINT64_MAX, UINT64_MAX - 4095, INT64_MAX, 1ull << 40,
					   1ull << 32, 0xfffff000,	  1 };
	g_autofree char *linker = dynamic_linker();
	struct victim victim;

	victim_init(&victim, linker);
	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		for (size_t at = 0; at < victim.header.e_phnum * sizeof(Elf64_Phdr); at += 8)
			try_with(&victim, victim.header.e_phoff + at, &values[i], 8);
		for (size_t at = 0; at < victim.header.e_shnum * sizeof(Elf64_Shdr); at += 8)
			try_with(&victim, victim.header.e_shoff + at, &values[i], 8);
	}
	assert_true(victim.opened > 100);
	assert_true(victim.refused > 30);
	victim_clear(&victim);
}

static void a_damaged_symbol_table_is_survived(void **state)
{
	(void)state;
	struct victim victim;
	Elf64_Shdr section;

	victim_init(&victim, "/proc/self/exe");
	for (unsigned int i = 1; i < victim.header.e_shnum; i++) {
		memcpy(&section, victim.content + victim.header.e_shoff + i * sizeof(section),
		       sizeof(section));
		if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_STRTAB)
			continue;
		try_bytes(&victim, victim.header.e_shoff + i * sizeof(section), sizeof(section), 3);
		try_bytes(&victim, section.sh_offset, section.sh_size, section.sh_size / 10 + 1);
		/* A string table whose last name does not end. */
		try_with(&victim, section.sh_offset + section.sh_size - 1, "x", 1);
	}
	assert_true(victim.opened > 50);
	victim_clear(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_cut_at_any_length_are_refused),
		cmocka_unit_test(damaged_headers_are_survived),
		cmocka_unit_test(damaged_sections_are_survived),
		cmocka_unit_test(absurd_fields_are_survived),
		cmocka_unit_test(a_damaged_symbol_table_is_survived),
	};

	return cmocka_run_group_tests_name("image_hostile", tests, NULL, NULL);
}
