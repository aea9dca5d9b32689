/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thin layer over Zydis: one instruction of an image, and what uprobes make of it. No allocation,
 * no state: any thread. Decoding does not need the operands; those who do ask for them with
 * insn_operands().
 */
#ifndef PYLEAK_ELF_INSN_H
#define PYLEAK_ELF_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <Zydis/Zydis.h>

#include "elf/image.h"

struct insn {
	uint64_t address;     /* link-time virtual address */
	const uint8_t *bytes; /* decoded.length of them, borrowed from the image or the caller */
	ZydisDecodedInstruction decoded;
	ZydisDecoderContext context; /* for insn_operands() */
};

/* A decoder for 64-bit code. Initialise once, copy freely, nothing to free. */
void insn_decoder_init(ZydisDecoder *decoder);

/* The instruction at @address. False where there is none in an executable segment's file part or
 * Zydis refuses it. */
bool insn_decode(const ZydisDecoder *decoder, const struct elf_image *image, uint64_t address,
		 struct insn *insn);
/* The same from @available bytes that stand at @address: the fast way through a whole section. */
bool insn_decode_bytes(const ZydisDecoder *decoder, const uint8_t *bytes, size_t available,
		       uint64_t address, struct insn *insn);
/*
 * All operands, explicit ones first (insn->decoded.operand_count_visible), then implicit ones such
 * as rsp of a push. Returns how many (insn->decoded.operand_count); 0 on failure.
 */
unsigned int insn_operands(const ZydisDecoder *decoder, const struct insn *insn,
			   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT]);

static inline uint64_t insn_end(const struct insn *insn)
{
	return insn->address + insn->decoded.length;
}

/*
 * True where the kernel emulates the instruction, so that a uprobe on it costs one trap: push of a
 * general register, 1-byte nop, direct jmp, jcc and call.
 */
bool insn_is_emulated(const struct insn *insn);
bool insn_is_jcc(const struct insn *insn);	  /* 70..7f, 0f 80..8f */
bool insn_is_direct_jmp(const struct insn *insn); /* eb, e9 */
/* Anything after which the next instruction is not, or not always, the following one: branches,
 * calls, ret, syscall, traps. */
bool insn_is_control_flow(const struct insn *insn);
/* The target of a direct jmp, jcc, call, loop or jrcxz. False for every other instruction. */
bool insn_branch_target(const struct insn *insn, uint64_t *target);

/* The 64-bit register that holds @reg (rax for al, ah, ax, eax), or ZYDIS_REGISTER_NONE if it is no
 * general register. */
ZydisRegister insn_full_register(ZydisRegister reg);
/* Where struct pt_regs keeps the general register that holds @reg, in bytes. False if it is no
 * general register. */
bool insn_pt_regs_offset(ZydisRegister reg, uint32_t *offset);

#endif
