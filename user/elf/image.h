/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 64-bit x86-64 ELF file, opened for reading facts: symbols, build id, code, function bounds.
 * Files are foreign and may be hostile or truncated: every read is bounds-checked and fails with an
 * error.
 */
#ifndef PYLEAK_ELF_IMAGE_H
#define PYLEAK_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

struct elf_image;

struct elf_symbol {
	uint64_t address; /* link-time virtual address */
	uint64_t size;	  /* bytes; 0 when unknown */
};

/* A function's range by .eh_frame: [start, end) in link-time virtual addresses. */
struct elf_range {
	uint64_t start, end;
};

/* NULL and @error: UNSUPPORTED for another class or machine, FAILED for a broken file. */
struct elf_image *elf_image_open(const char *path, GError **error);
void elf_image_free(struct elf_image *image);

/* Lower-case hexadecimal build id, or "" when the file has none. Owned by @image. */
const char *elf_image_build_id(const struct elf_image *image);
bool elf_image_has_symtab(const struct elf_image *image);      /* false: stripped */
bool elf_image_has_interpreter(const struct elf_image *image); /* PT_INTERP: an executable */

/* Looks in .symtab, then .dynsym, for a defined symbol. */
bool elf_image_symbol(const struct elf_image *image, const char *name, struct elf_symbol *symbol);
/* Only in .dynsym: what other objects can bind to. */
bool elf_image_exports(const struct elf_image *image, const char *name, struct elf_symbol *symbol);

/* Bytes of the file that are loaded at link-time address @address; NULL unless all @length are in
 * one segment's file part. */
const uint8_t *elf_image_bytes(const struct elf_image *image, uint64_t address, size_t length);
/* How many file bytes are loaded from @address to its segment's end; 0 when none. */
size_t elf_image_available(const struct elf_image *image, uint64_t address);
bool elf_image_address_to_offset(const struct elf_image *image, uint64_t address, uint64_t *offset);
bool elf_image_offset_to_address(const struct elf_image *image, uint64_t offset, uint64_t *address);
bool elf_image_is_code(const struct elf_image *image,
		       uint64_t address); /* in an executable segment */

/* All function ranges from .eh_frame, sorted by start, of struct elf_range; empty when there is
 * none. Owned by @image. */
const GArray *elf_image_functions(struct elf_image *image);
/* The function that holds @address, by .eh_frame. */
bool elf_image_function_at(struct elf_image *image, uint64_t address, struct elf_range *range);

/*
 * The load bias of the file in a process: what to add to link-time addresses. @mapping_start and
 * @mapping_offset are of one mapping of the file.
 */
bool elf_image_load_bias(const struct elf_image *image, uint64_t mapping_start,
			 uint64_t mapping_offset, uint64_t *bias);

#endif
