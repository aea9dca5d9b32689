// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/image.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <elfutils/libdwelf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/capabilities.h"
#include "base/error.h"
#include "elf/eh_frame.h"
#include "elf/symbols.h"

/* Limits for hostile files. The largest libpython at hand loads 7 MB in 7 segments. */
enum { MAX_SEGMENTS = 128 };
static const uint64_t max_loaded_size = 1ull << 30;
static const uint64_t page_size = 4096; /* x86-64 */

/* The file part of a PT_LOAD segment. */
struct segment {
	uint64_t address, offset, size;
	uint8_t *bytes; /* owned */
	bool executable;
};

struct elf_image {
	GArray *segments; /* of struct segment, as in the file: by address */
	char *build_id;
	bool has_interpreter;
	struct symbol_index *symtab, *dynsym;
	uint64_t eh_frame; /* link-time address; 0: none */
	size_t eh_frame_size;
	GArray *functions; /* NULL until first asked for */
};

/* What elf_image_open() has in hand. */
struct opening {
	const char *path;
	int fd;
	uint64_t file_size;
	Elf *elf;
};

static bool fail(const struct opening *opening, enum pyleak_error code, const char *what,
		 GError **error)
{
	g_set_error(error, PYLEAK_ERROR, code, "%s: %s", opening->path, what);
	return false;
}

static void segment_clear(gpointer segment)
{
	g_free(((struct segment *)segment)->bytes);
}

/*
 * Read, not mapped: a file that is truncated while it is mapped kills the reader with SIGBUS, and
 * upgrades do that.
 */
static bool read_all(int fd, uint64_t offset, uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t done = pread(fd, bytes, size, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		offset += done;
		size -= done;
	}
	return true;
}

static bool load_segment(const struct opening *opening, const Elf64_Phdr *header,
			 struct elf_image *image, uint64_t *loaded, GError **error)
{
	struct segment segment = {
		.address = header->p_vaddr,
		.offset = header->p_offset,
		.size = header->p_filesz,
		.executable = header->p_flags & PF_X,
	};

	if (segment.size == 0)
		return true;
	if (segment.offset > opening->file_size ||
	    segment.size > opening->file_size - segment.offset)
		return fail(opening, PYLEAK_ERROR_FAILED, "the ELF file is truncated", error);
	*loaded += segment.size;
	/* Segments share a page or two, never more: together they cannot be much larger than the
	 * file. */
	if (segment.address > UINT64_MAX - segment.size || *loaded > max_loaded_size ||
	    *loaded > opening->file_size + MAX_SEGMENTS * page_size ||
	    image->segments->len == MAX_SEGMENTS)
		return fail(opening, PYLEAK_ERROR_FAILED,
			    "the ELF file is damaged: its segments make no sense", error);
	segment.bytes = g_malloc(segment.size);
	g_array_append_val(image->segments, segment);
	if (!read_all(opening->fd, segment.offset, segment.bytes, segment.size))
		return fail(opening, PYLEAK_ERROR_FAILED, "cannot read the file to its end", error);
	return true;
}

static bool load_segments(const struct opening *opening, struct elf_image *image, GError **error)
{
	size_t count;
	uint64_t loaded = 0, unwind_header = 0;
	Elf64_Phdr *headers = elf64_getphdr(opening->elf);

	if (elf_getphdrnum(opening->elf, &count) < 0 || !headers)
		return fail(opening, PYLEAK_ERROR_FAILED,
			    "the ELF file is damaged: no program headers", error);
	for (size_t i = 0; i < count; i++) {
		if (headers[i].p_type == PT_LOAD &&
		    !load_segment(opening, &headers[i], image, &loaded, error))
			return false;
		image->has_interpreter |= headers[i].p_type == PT_INTERP;
		if (headers[i].p_type == PT_GNU_EH_FRAME)
			unwind_header = headers[i].p_vaddr;
	}
	if (image->segments->len == 0)
		return fail(opening, PYLEAK_ERROR_FAILED, "the ELF file has nothing to load",
			    error);
	/* Good for files without section headers; load_sections() knows better. */
	if (unwind_header && eh_frame_from_header(image, unwind_header, &image->eh_frame))
		image->eh_frame_size = elf_image_available(image, image->eh_frame);
	return true;
}

static bool load_sections(const struct opening *opening, struct elf_image *image, GError **error)
{
	size_t count, names;
	Elf64_Ehdr *header = elf64_getehdr(opening->elf);

	if (elf_getshdrnum(opening->elf, &count) < 0 || (header->e_shoff && count == 0) ||
	    header->e_shoff > opening->file_size ||
	    count > (opening->file_size - header->e_shoff) / sizeof(Elf64_Shdr))
		return fail(opening, PYLEAK_ERROR_FAILED,
			    "the ELF file is truncated: its section headers are not there", error);
	if (count && elf_getshdrstrndx(opening->elf, &names) == 0) {
		for (Elf_Scn *s = elf_nextscn(opening->elf, NULL); s;
		     s = elf_nextscn(opening->elf, s)) {
			Elf64_Shdr *section = elf64_getshdr(s);
			const char *name =
				section ? elf_strptr(opening->elf, names, section->sh_name) : NULL;
			if (name && strcmp(name, ".eh_frame") == 0 &&
			    section->sh_type != SHT_NOBITS) {
				image->eh_frame = section->sh_addr;
				image->eh_frame_size = section->sh_size;
			}
		}
	}
	image->symtab = symbol_index_new(opening->elf, SHT_SYMTAB, error);
	if (image->symtab)
		image->dynsym = symbol_index_new(opening->elf, SHT_DYNSYM, error);
	if (!image->dynsym) {
		g_prefix_error(error, "%s: ", opening->path);
		return false;
	}
	return true;
}

static char *read_build_id(Elf *elf)
{
	const void *bytes = NULL;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
	GString *text = g_string_new(NULL);

	/* 20 bytes with GNU ld, 8 or 16 with others; lld takes any --build-id=0x... */
	for (ssize_t i = 0; i < MIN(size, 64); i++)
		g_string_append_printf(text, "%02x", ((const uint8_t *)bytes)[i]);
	return g_string_free(text, false);
}

static bool check_header(const struct opening *opening, GError **error)
{
	const char *ident = elf_getident(opening->elf, NULL);

	if (elf_kind(opening->elf) != ELF_K_ELF || !ident)
		return fail(opening, PYLEAK_ERROR_FAILED, "not an ELF file", error);
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB)
		return fail(opening, PYLEAK_ERROR_UNSUPPORTED,
			    "not a 64-bit x86-64 program; pyleak traces no others", error);
	Elf64_Ehdr *header = elf64_getehdr(opening->elf);
	if (!header)
		return fail(opening, PYLEAK_ERROR_FAILED, "the ELF file is damaged: no header",
			    error);
	if (header->e_machine != EM_X86_64)
		return fail(opening, PYLEAK_ERROR_UNSUPPORTED,
			    "not an x86-64 program; pyleak traces no others", error);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return fail(opening, PYLEAK_ERROR_FAILED, "neither a program nor a shared library",
			    error);
	return true;
}

static struct elf_image *load(const struct opening *opening, GError **error)
{
	if (!check_header(opening, error))
		return NULL;
	struct elf_image *image = g_new0(struct elf_image, 1);
	image->segments = g_array_new(false, false, sizeof(struct segment));
	g_array_set_clear_func(image->segments, segment_clear);
	if (!load_segments(opening, image, error) || !load_sections(opening, image, error)) {
		elf_image_free(image);
		return NULL;
	}
	image->build_id = read_build_id(opening->elf);
	return image;
}

static void fail_to_open(const struct opening *opening, int code, GError **error)
{
	g_autofree char *why = NULL;

	if (code != EACCES && code != EPERM) {
		fail(opening, PYLEAK_ERROR_FAILED, g_strerror(code), error);
		return;
	}
	why = capabilities_explain_unreadable(capabilities_effective());
	fail(opening, PYLEAK_ERROR_UNSUPPORTED, why, error);
}

struct elf_image *elf_image_open(const char *path, GError **error)
{
	struct opening opening = { .path = path };
	struct elf_image *image = NULL;
	struct stat status;

	/* The path may lie in a target's file system, where a name can be a pipe: never wait for
	 * its other end. */
	opening.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (opening.fd < 0) {
		fail_to_open(&opening, errno, error);
		return NULL;
	}
	if (fstat(opening.fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		fail(&opening, PYLEAK_ERROR_FAILED, "not a regular file", error);
	} else {
		opening.file_size = status.st_size;
		elf_version(EV_CURRENT);
		opening.elf = elf_begin(opening.fd, ELF_C_READ, NULL);
		if (opening.elf)
			image = load(&opening, error);
		else
			fail(&opening, PYLEAK_ERROR_FAILED, "not an ELF file", error);
		elf_end(opening.elf);
	}
	close(opening.fd);
	return image;
}

void elf_image_free(struct elf_image *image)
{
	if (!image)
		return;
	g_clear_pointer(&image->functions, g_array_unref);
	symbol_index_free(image->symtab);
	symbol_index_free(image->dynsym);
	g_array_unref(image->segments);
	g_free(image->build_id);
	g_free(image);
}

const char *elf_image_build_id(const struct elf_image *image)
{
	return image->build_id;
}

bool elf_image_has_symtab(const struct elf_image *image)
{
	return !symbol_index_is_empty(image->symtab);
}

bool elf_image_has_interpreter(const struct elf_image *image)
{
	return image->has_interpreter;
}

bool elf_image_symbol(const struct elf_image *image, const char *name, struct elf_symbol *symbol)
{
	return symbol_index_find(image->symtab, name, symbol) ||
	       symbol_index_find(image->dynsym, name, symbol);
}

bool elf_image_exports(const struct elf_image *image, const char *name, struct elf_symbol *symbol)
{
	return symbol_index_find(image->dynsym, name, symbol);
}

static const struct segment *segment_at(const struct elf_image *image, uint64_t address)
{
	for (guint i = 0; i < image->segments->len; i++) {
		const struct segment *segment = &g_array_index(image->segments, struct segment, i);
		if (address >= segment->address && address - segment->address < segment->size)
			return segment;
	}
	return NULL;
}

size_t elf_image_available(const struct elf_image *image, uint64_t address)
{
	const struct segment *segment = segment_at(image, address);

	return segment ? segment->size - (address - segment->address) : 0;
}

const uint8_t *elf_image_bytes(const struct elf_image *image, uint64_t address, size_t length)
{
	const struct segment *segment = segment_at(image, address);

	if (!segment || length > segment->size - (address - segment->address))
		return NULL;
	return segment->bytes + (address - segment->address);
}

bool elf_image_address_to_offset(const struct elf_image *image, uint64_t address, uint64_t *offset)
{
	const struct segment *segment = segment_at(image, address);

	if (!segment)
		return false;
	*offset = segment->offset + (address - segment->address);
	return true;
}

bool elf_image_offset_to_address(const struct elf_image *image, uint64_t offset, uint64_t *address)
{
	for (guint i = 0; i < image->segments->len; i++) {
		const struct segment *segment = &g_array_index(image->segments, struct segment, i);
		if (offset >= segment->offset && offset - segment->offset < segment->size) {
			*address = segment->address + (offset - segment->offset);
			return true;
		}
	}
	return false;
}

bool elf_image_is_code(const struct elf_image *image, uint64_t address)
{
	const struct segment *segment = segment_at(image, address);

	return segment && segment->executable;
}

const GArray *elf_image_functions(struct elf_image *image)
{
	if (!image->functions)
		image->functions = eh_frame_functions(image, image->eh_frame, image->eh_frame_size);
	return image->functions;
}

bool elf_image_function_at(struct elf_image *image, uint64_t address, struct elf_range *range)
{
	const GArray *functions = elf_image_functions(image);
	guint low = 0, high = functions->len;

	/* The last that starts at or before @address. */
	while (low < high) {
		guint middle = low + (high - low) / 2;
		if (g_array_index(functions, struct elf_range, middle).start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	*range = g_array_index(functions, struct elf_range, low - 1);
	return address < range->end;
}

/* Of two segments that share a page of the file, a mapping that begins with that page is of the one
 * that begins there. */
bool elf_image_load_bias(const struct elf_image *image, uint64_t mapping_start,
			 uint64_t mapping_offset, uint64_t *bias)
{
	const struct segment *found = NULL;

	for (guint i = 0; i < image->segments->len; i++) {
		const struct segment *segment = &g_array_index(image->segments, struct segment, i);
		uint64_t first_page = segment->offset & ~(page_size - 1);
		if (mapping_offset == first_page) {
			found = segment;
			break;
		}
		if (mapping_offset > first_page && mapping_offset < segment->offset + segment->size)
			found = segment;
	}
	if (!found || mapping_offset % page_size)
		return false;
	*bias = mapping_start - (found->address - found->offset + mapping_offset);
	return *bias % page_size == 0;
}
