// SPDX-License-Identifier: GPL-2.0-or-later
/* ELF files: what the dynamic linker and the unwinder know of the same file is the yardstick. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "elf/image.h"
#include "proc/maps.h"

typedef struct elf_image elf_image;
typedef struct maps maps;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(elf_image, elf_image_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(maps, maps_free)

/* The C library as it is loaded into this test. */
struct loaded {
	Dl_info info;
	uint64_t base;
	const Elf64_Phdr *segments;
	size_t count;
};

static int note_if_c_library(struct dl_phdr_info *info, size_t size, void *context)
{
	struct loaded *loaded = context;

	(void)size;
	if (info->dlpi_addr != loaded->base)
		return 0;
	loaded->segments = info->dlpi_phdr;
	loaded->count = info->dlpi_phnum;
	return 1;
}

static struct loaded c_library(void)
{
	struct loaded loaded = { 0 };

	/* Not malloc(): a sanitizer has its own. */
	assert_int_not_equal(dladdr(gnu_get_libc_version, &loaded.info), 0);
	loaded.base = (uint64_t)loaded.info.dli_fbase;
	assert_int_equal(dl_iterate_phdr(note_if_c_library, &loaded), 1);
	return loaded;
}

static const uint8_t *loaded_segment(const struct loaded *loaded, uint32_t type, size_t *size)
{
	for (size_t i = 0; i < loaded->count; i++) {
		if (loaded->segments[i].p_type == type) {
			*size = loaded->segments[i].p_memsz;
			return (const uint8_t *)loaded->base + loaded->segments[i].p_vaddr;
		}
	}
	fail_msg("the C library has no segment of type %u", type);
	return NULL;
}

static elf_image *open_image(const char *path)
{
	g_autoptr(GError) error = NULL;
	elf_image *image = elf_image_open(path, &error);

	if (!image)
		fail_msg("%s", error->message);
	return image;
}

int a_function_for_the_symbol_test(void);
int a_function_for_the_symbol_test(void)
{
	return 1;
}

static __thread int a_thread_local_variable = 1;
static int a_variable = 2;

static void exported_symbols_are_where_the_linker_finds_them(void **state)
{
	(void)state;
	/* pthread_cond_wait has two versions: the default one must win. */
	static const char *const names[] = { "gnu_get_libc_version", "mmap64", "qsort", "environ",
					     "pthread_cond_wait",    "printf" };
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	void *handle = dlopen(libc.info.dli_fname, RTLD_NOW | RTLD_NOLOAD);

	assert_non_null(handle);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct elf_symbol symbol, same;
		assert_true(elf_image_exports(image, names[i], &symbol));
		assert_true(elf_image_symbol(image, names[i], &same));
		assert_int_equal(symbol.address, (uint64_t)dlsym(handle, names[i]) - libc.base);
		assert_int_equal(symbol.address, same.address);
		assert_true(symbol.size > 0);
	}
	dlclose(handle);
}

static void names_without_an_address_are_not_found(void **state)
{
	(void)state;
	/* No such name; a thread-local; an indirect function; the name of a version; the empty
	 * name. */
	static const char *const names[] = { "no_such_symbol", "errno", "strlen", "GLIBC_2.2.5",
					     "" };
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	struct elf_symbol symbol;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		assert_false(elf_image_exports(image, names[i], &symbol));
		assert_false(elf_image_symbol(image, names[i], &symbol));
	}
}

static void local_symbols_are_found_but_not_exported(void **state)
{
	(void)state;
	g_autoptr(elf_image) image = open_image("/proc/self/exe");
	struct elf_symbol function, variable, nothing;

	assert_true(elf_image_has_symtab(image));
	assert_true(elf_image_has_interpreter(image));
	assert_true(elf_image_symbol(image, "a_function_for_the_symbol_test", &function));
	assert_true(elf_image_symbol(image, "a_variable", &variable));
	assert_int_equal(function.address - variable.address,
			 (uint64_t)a_function_for_the_symbol_test - (uint64_t)&a_variable);
	assert_true(elf_image_is_code(image, function.address));
	assert_false(elf_image_is_code(image, variable.address));
	assert_false(elf_image_exports(image, "a_variable", &nothing));
	assert_false(elf_image_symbol(image, "a_thread_local_variable", &nothing));
	assert_int_equal(a_thread_local_variable, 1);
}

static void the_build_id_is_that_of_the_loaded_library(void **state)
{
	(void)state;
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	g_autoptr(GString) expected = g_string_new(NULL);

	for (size_t i = 0; i < libc.count; i++) {
		const Elf64_Nhdr *note = (const void *)(libc.base + libc.segments[i].p_vaddr);
		if (libc.segments[i].p_type != PT_NOTE || note->n_type != NT_GNU_BUILD_ID)
			continue;
		const uint8_t *id = (const uint8_t *)(note + 1) + note->n_namesz;
		for (uint32_t j = 0; j < note->n_descsz; j++)
			g_string_append_printf(expected, "%02x", id[j]);
	}
	assert_int_equal(expected->len, 40);
	assert_string_equal(elf_image_build_id(image), expected->str);
}

/* .eh_frame_hdr has a sorted table of its own, made by the linker: (start, description), 4 bytes
 * each, relative to the header. */
static void function_ranges_are_those_of_the_unwind_table(void **state)
{
	(void)state;
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	size_t size;
	const uint8_t *header = loaded_segment(&libc, PT_GNU_EH_FRAME, &size);
	const int32_t *table = (const int32_t *)(header + 12);
	const GArray *functions = elf_image_functions(image);
	uint32_t count;

	assert_memory_equal(header + 1, "\x1b\x03\x3b",
			    3); /* pcrel sdata4, udata4, datarel sdata4 */
	memcpy(&count, header + 8, sizeof(count));
	assert_true(count > 1000 && 12 + count * 8ul <= size);
	assert_int_equal(functions->len, count);
	for (uint32_t i = 0; i < count; i++) {
		struct elf_range range = g_array_index(functions, struct elf_range, i);
		assert_int_equal(range.start, (uint64_t)header + table[2 * i] - libc.base);
		assert_true(range.start < range.end);
	}
	assert_ptr_equal(elf_image_functions(image), functions);
}

static void an_address_is_found_in_its_function(void **state)
{
	(void)state;
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	struct elf_symbol symbol;
	struct elf_range range;

	assert_true(elf_image_exports(image, "qsort", &symbol));
	for (uint64_t offset = 0; offset < symbol.size; offset++) {
		assert_true(elf_image_function_at(image, symbol.address + offset, &range));
		assert_int_equal(range.start, symbol.address);
		assert_int_equal(range.end, symbol.address + symbol.size);
	}
	assert_true(!elf_image_function_at(image, symbol.address + symbol.size, &range) ||
		    range.start == symbol.address + symbol.size);
	assert_false(elf_image_function_at(image, 0, &range));
	assert_false(elf_image_function_at(image, UINT64_MAX, &range));
}

static void bytes_and_offsets_are_those_of_the_file(void **state)
{
	(void)state;
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	g_autofree char *content = NULL;
	size_t size;

	assert_true(g_file_get_contents(libc.info.dli_fname, &content, &size, NULL));
	for (size_t i = 0; i < libc.count; i++) {
		const Elf64_Phdr *segment = &libc.segments[i];
		uint64_t end = segment->p_vaddr + segment->p_filesz, offset, address;
		if (segment->p_type != PT_LOAD)
			continue;
		assert_int_equal(elf_image_available(image, segment->p_vaddr), segment->p_filesz);
		assert_int_equal(elf_image_available(image, end - 1), 1);
		assert_int_equal(elf_image_is_code(image, segment->p_vaddr),
				 !!(segment->p_flags & PF_X));
		assert_true(elf_image_address_to_offset(image, end - 1, &offset));
		assert_int_equal(offset, segment->p_offset + segment->p_filesz - 1);
		assert_true(elf_image_offset_to_address(image, offset, &address));
		assert_int_equal(address, end - 1);
		const uint8_t *bytes = elf_image_bytes(image, segment->p_vaddr, segment->p_filesz);
		assert_non_null(bytes);
		assert_memory_equal(bytes, content + segment->p_offset, segment->p_filesz);
		assert_null(elf_image_bytes(image, segment->p_vaddr, segment->p_filesz + 1));
		assert_null(elf_image_bytes(image, segment->p_vaddr, SIZE_MAX));
		assert_null(elf_image_bytes(image, end - 1, 2));
	}
	uint64_t nothing;
	assert_false(elf_image_offset_to_address(image, UINT64_MAX, &nothing));
	assert_false(elf_image_address_to_offset(image, UINT64_MAX, &nothing));
	assert_int_equal(elf_image_available(image, UINT64_MAX), 0);
	assert_null(elf_image_bytes(image, UINT64_MAX, 1));
}

static void the_load_bias_is_the_same_from_every_mapping(void **state)
{
	(void)state;
	struct loaded libc = c_library();
	g_autoptr(elf_image) image = open_image(libc.info.dli_fname);
	g_autoptr(maps) maps = maps_read(getpid(), NULL);
	const struct mapping *first = maps_find(maps, libc.base);
	unsigned int seen = 0;
	uint64_t bias;

	assert_non_null(first);
	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->items[i];
		if (mapping->inode != first->inode || strcmp(mapping->path, first->path) != 0)
			continue;
		assert_true(elf_image_load_bias(image, mapping->start, mapping->offset, &bias));
		assert_int_equal(bias, libc.base);
		seen++;
	}
	assert_true(seen >= 3);
	assert_false(elf_image_load_bias(image, 0x7f0000000000, 0x40000000, &bias));
	assert_false(elf_image_load_bias(image, 0x7f0000000001, 0, &bias));
	assert_false(elf_image_load_bias(image, 0x7f0000000000, 1, &bias));
}

static void assert_not_opened(const char *path, enum pyleak_error code)
{
	g_autoptr(GError) error = NULL;

	assert_null(elf_image_open(path, &error));
	assert_true(g_error_matches(error, PYLEAK_ERROR, code));
	assert_true(g_str_has_prefix(error->message, path));
}

static void what_is_no_elf_file_is_an_error(void **state)
{
	(void)state;
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(folder, "file", NULL);

	assert_not_opened("/no/such/file", PYLEAK_ERROR_FAILED);
	assert_not_opened("/dev/zero", PYLEAK_ERROR_FAILED);
	assert_not_opened(folder, PYLEAK_ERROR_FAILED);
	assert_true(g_file_set_contents(file, "", 0, NULL));
	assert_not_opened(file, PYLEAK_ERROR_FAILED);
	assert_true(g_file_set_contents(file, "#!/bin/sh\n", -1, NULL));
	assert_not_opened(file, PYLEAK_ERROR_FAILED);
	assert_true(g_file_set_contents(file, "!<arch>\n", -1, NULL));
	assert_not_opened(file, PYLEAK_ERROR_FAILED);
	g_unlink(file);
	/* Nobody writes to this pipe: a reader that waits, waits for ever. */
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_not_opened(file, PYLEAK_ERROR_FAILED);
	g_unlink(file);
	g_rmdir(folder);
}

static void other_machines_are_not_supported(void **state)
{
	(void)state;
	static const struct {
		size_t offset;
		uint8_t value;
		enum pyleak_error code;
	} changes[] = {
		{ EI_CLASS, ELFCLASS32, PYLEAK_ERROR_UNSUPPORTED },
		{ EI_DATA, ELFDATA2MSB, PYLEAK_ERROR_UNSUPPORTED },
		{ offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, PYLEAK_ERROR_UNSUPPORTED },
		{ offsetof(Elf64_Ehdr, e_type), ET_REL, PYLEAK_ERROR_FAILED },
		{ offsetof(Elf64_Ehdr, e_type), ET_CORE, PYLEAK_ERROR_FAILED },
	};
	g_autofree char *content = NULL;
	size_t size;

	assert_true(g_file_get_contents("/proc/self/exe", &content, &size, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		int fd = memfd_create("pyleak-test", MFD_CLOEXEC);
		g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
		assert_int_equal(write(fd, content, size), size);
		assert_int_equal(pwrite(fd, &changes[i].value, 1, changes[i].offset), 1);
		assert_not_opened(path, changes[i].code);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exported_symbols_are_where_the_linker_finds_them),
		cmocka_unit_test(names_without_an_address_are_not_found),
		cmocka_unit_test(local_symbols_are_found_but_not_exported),
		cmocka_unit_test(the_build_id_is_that_of_the_loaded_library),
		cmocka_unit_test(function_ranges_are_those_of_the_unwind_table),
		cmocka_unit_test(an_address_is_found_in_its_function),
		cmocka_unit_test(bytes_and_offsets_are_those_of_the_file),
		cmocka_unit_test(the_load_bias_is_the_same_from_every_mapping),
		cmocka_unit_test(what_is_no_elf_file_is_an_error),
		cmocka_unit_test(other_machines_are_not_supported),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
