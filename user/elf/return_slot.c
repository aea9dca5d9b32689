// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/return_slot.h"

#include <dwarf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <elfutils/libdw.h>

/* System V ABI, x86-64: DWARF's number for rsp; the return address is the last word below the frame
 * address. */
enum { DWARF_RSP = 7, WORD = 8 };

static bool slot_of_frame(Dwarf_Frame *frame, uint32_t *bytes)
{
	Dwarf_Op *operations;
	size_t count;

	if (dwarf_frame_cfa(frame, &operations, &count) || count != 1 ||
	    operations[0].atom != DW_OP_bregx || operations[0].number != DWARF_RSP ||
	    operations[0].number2 < WORD || operations[0].number2 > MOST_RETURN_SLOT + WORD)
		return false;
	*bytes = (uint32_t)operations[0].number2 - WORD;
	return true;
}

bool return_slot_find(const char *path, uint64_t address, uint32_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Dwarf_Frame *frame = NULL;
	Dwarf_CFI *cfi;
	bool found = false;
	Elf *elf;

	if (fd < 0)
		return false;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	cfi = elf ? dwarf_getcfi_elf(elf) : NULL;
	if (cfi && !dwarf_cfi_addrframe(cfi, address, &frame))
		found = slot_of_frame(frame, bytes);
	free(frame);
	dwarf_cfi_end(cfi);
	elf_end(elf);
	close(fd);
	return found;
}
