/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a function can be probed cheaply: the first instruction on its entry path that the kernel
 * emulates (push, 1-byte nop, jmp, jcc, call; arch/x86/kernel/uprobes.c, branch_setup_xol_ops and
 * push_setup_xol_ops, Linux 6.18), that every call passes, with the argument registers that are
 * needed still untouched.
 */
#ifndef PYLEAK_ELF_ENTRY_SITE_H
#define PYLEAK_ELF_ENTRY_SITE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "elf/image.h"

struct probe_site {
	uint64_t offset;  /* bytes into the file: what uprobes are attached by */
	uint64_t address; /* link-time virtual address */
	bool emulated;	  /* false: single-stepped, slow */
};

/* The arguments that are passed in registers, as a mask: bit 0 rdi, 1 rsi, 2 rdx, 3 rcx, 4 r8, 5 r9
 * (System V ABI). */
enum { ARGUMENT_1 = 1, ARGUMENT_2 = 2, ARGUMENT_3 = 4, ARGUMENT_4 = 8, MAX_ARGUMENTS = 6 };

/*
 * The site for the function that starts at @function. @arguments: which must still hold their
 * values there.
 * @for_return: the stack pointer must be untouched too, so that a return probe finds the return
 * address. No instruction between the entry and the site may be the target of a jump from elsewhere
 * in the function. Falls back to the first instruction (emulated = false) where there is no cheap
 * one. False and @error where even that cannot be decoded.
 */
bool entry_site_find(struct elf_image *image, uint64_t function, unsigned int arguments,
		     bool for_return, struct probe_site *site, GError **error);

/*
 * The same, but an argument may also have been copied to another register by then (mimalloc's
 * malloc does that before its first branch). @pt_regs_offset[i]: where struct pt_regs has argument
 * i + 1 at the site, in bytes; only of those in @arguments.
 */
bool entry_site_find_moved(struct elf_image *image, uint64_t function, unsigned int arguments,
			   bool for_return, struct probe_site *site,
			   uint32_t pt_regs_offset[MAX_ARGUMENTS], GError **error);

enum { MOST_SYSCALL_SITES = 4 };

/*
 * For a system call wrapper (mmap, munmap, mremap): after each of its `syscall` instructions the
 * first emulated conditional jump, where rax is the kernel's result and those of @arguments still
 * stand in the registers of a system call (rdi, rsi, rdx, r10, r8, r9). Returns how many there are;
 * 0 and @error where the function does not have that shape, for one of its system calls.
 */
unsigned int syscall_sites_find(struct elf_image *image, uint64_t function, unsigned int arguments,
				struct probe_site sites[MOST_SYSCALL_SITES], GError **error);

#endif
