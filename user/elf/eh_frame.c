// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/eh_frame.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <string.h>

/* A place in .eh_frame: bytes left to read, and the link-time address that they are loaded at. */
struct cursor {
	const uint8_t *next, *end;
	uint64_t address;
};

static bool take(struct cursor *cursor, void *value, size_t size)
{
	if ((size_t)(cursor->end - cursor->next) < size)
		return false;
	memcpy(value, cursor->next, size);
	cursor->next += size;
	cursor->address += size;
	return true;
}

static bool take_leb128(struct cursor *cursor, bool is_signed, uint64_t *value)
{
	uint8_t byte;
	unsigned int shift = 0;

	*value = 0;
	do {
		if (shift >= 64 || !take(cursor, &byte, 1))
			return false;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		*value |= UINT64_MAX << shift;
	return true;
}

/* The number behind a DW_EH_PE_* encoding, without what it is relative to (LSB, Core part, 10.5).
 */
static bool take_number(struct cursor *cursor, uint8_t encoding, uint64_t *value)
{
	int16_t half;
	int32_t word;

	switch (encoding & 0x0f) {
	case DW_EH_PE_uleb128:
		return take_leb128(cursor, false, value);
	case DW_EH_PE_sleb128:
		return take_leb128(cursor, true, value);
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return take(cursor, value, sizeof(*value));
	case DW_EH_PE_udata4:
	case DW_EH_PE_sdata4:
		if (!take(cursor, &word, sizeof(word)))
			return false;
		*value = encoding & DW_EH_PE_signed ? (uint64_t)word : (uint32_t)word;
		return true;
	case DW_EH_PE_udata2:
	case DW_EH_PE_sdata2:
		if (!take(cursor, &half, sizeof(half)))
			return false;
		*value = encoding & DW_EH_PE_signed ? (uint64_t)half : (uint16_t)half;
		return true;
	default:
		return false;
	}
}

static bool take_address(struct cursor *cursor, uint8_t encoding, uint64_t *value)
{
	uint64_t place = cursor->address;

	if ((encoding & DW_EH_PE_indirect) || !take_number(cursor, encoding, value))
		return false;
	switch (encoding & 0x70) {
	case 0: /* absolute */
		return true;
	case DW_EH_PE_pcrel:
		*value += place;
		return true;
	default: /* relative to text, data, function: no x86-64 linker makes them here */
		return false;
	}
}

/* How the entries of a CIE encode addresses: its augmentation says, letter by letter (LSB, Core
 * part, 10.6.1.1.1). */
static bool address_encoding(const Dwarf_CIE *cie, uint8_t *encoding)
{
	struct cursor cursor = { .next = cie->augmentation_data,
				 .end = cie->augmentation_data + cie->augmentation_data_size };
	uint64_t personality;
	uint8_t byte;

	*encoding = DW_EH_PE_absptr;
	if (cie->augmentation[0] == '\0')
		return true;
	if (cie->augmentation[0] != 'z' || !cie->augmentation_data)
		return false;
	for (const char *letter = cie->augmentation + 1; *letter; letter++) {
		switch (*letter) {
		case 'R':
			return take(&cursor, encoding, 1);
		case 'L':
			if (!take(&cursor, &byte, 1))
				return false;
			break;
		case 'P':
			if (!take(&cursor, &byte, 1) || !take_number(&cursor, byte, &personality))
				return false;
			break;
		case 'S': /* a signal frame */
		case 'B': /* signed return addresses, not of this machine */
			break;
		default:
			return false;
		}
	}
	return true;
}

/* Keeps the range of one frame description if it is one of code. */
static void add_range(const struct elf_image *image, struct cursor cursor, uint8_t encoding,
		      GArray *functions)
{
	struct elf_range range;
	uint64_t length;

	if (!take_address(&cursor, encoding, &range.start) ||
	    !take_number(&cursor, encoding & 0x0f, &length))
		return;
	/* A linker that drops a function may leave its description behind, with address 0. */
	if (length == 0 || !elf_image_is_code(image, range.start) ||
	    length > elf_image_available(image, range.start))
		return;
	range.end = range.start + length;
	g_array_append_val(functions, range);
}

static int compare_ranges(gconstpointer left, gconstpointer right)
{
	const struct elf_range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

GArray *eh_frame_functions(const struct elf_image *image, uint64_t address, size_t size)
{
	static const unsigned char ident[EI_NIDENT] = {
		[EI_CLASS] = ELFCLASS64, [EI_DATA] = ELFDATA2LSB
	};
	GArray *functions = g_array_new(false, false, sizeof(struct elf_range));
	const uint8_t *bytes = elf_image_bytes(image, address, size);

	if (!bytes || size == 0)
		return functions;

	/* Offset of a CIE -> 1 + its encoding. An entry's CIE stands before it. */
	g_autoptr(GHashTable) encodings = g_hash_table_new(NULL, NULL);
	Elf_Data data = { .d_buf = (void *)bytes,
			  .d_size = size,
			  .d_type = ELF_T_BYTE,
			  .d_version = EV_CURRENT };
	Dwarf_Off offset = 0, next;
	Dwarf_CFI_Entry entry;
	while (dwarf_next_cfi(ident, &data, true, offset, &next, &entry) == 0) {
		if (dwarf_cfi_cie_p(&entry)) {
			uint8_t encoding;
			if (address_encoding(&entry.cie, &encoding))
				g_hash_table_insert(encodings, GSIZE_TO_POINTER(offset),
						    GUINT_TO_POINTER(1u + encoding));
		} else {
			guint known = GPOINTER_TO_UINT(g_hash_table_lookup(
				encodings, GSIZE_TO_POINTER(entry.fde.CIE_pointer)));
			struct cursor cursor = { entry.fde.start, entry.fde.end,
						 address + (entry.fde.start - bytes) };
			if (known)
				add_range(image, cursor, known - 1, functions);
		}
		if (next <= offset)
			break;
		offset = next;
	}
	g_array_sort(functions, compare_ranges);
	return functions;
}

bool eh_frame_from_header(const struct elf_image *image, uint64_t header, uint64_t *address)
{
	size_t available = elf_image_available(image, header);
	const uint8_t *bytes = elf_image_bytes(image, header, 4);

	/* version, eh_frame_ptr_enc, fde_count_enc, table_enc, then the pointer (LSB, Core
	 * part, 10.6.2) */
	if (!bytes || bytes[0] != 1)
		return false;
	struct cursor cursor = { bytes + 4, bytes + available, header + 4 };
	return take_address(&cursor, bytes[1], address);
}
