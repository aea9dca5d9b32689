// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/insn.h"

#include <asm/ptrace.h>
#include <glib.h>

enum { X86_MAX_INSN = ZYDIS_MAX_INSTRUCTION_LENGTH };

void insn_decoder_init(ZydisDecoder *decoder)
{
	/* Cannot fail: it only checks that mode and stack width go together. */
	ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

bool insn_decode_bytes(const ZydisDecoder *decoder, const uint8_t *bytes, size_t available,
		       uint64_t address, struct insn *insn)
{
	insn->address = address;
	insn->bytes = bytes;
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder, &insn->context, bytes,
							  MIN(available, (size_t)X86_MAX_INSN),
							  &insn->decoded));
}

bool insn_decode(const ZydisDecoder *decoder, const struct elf_image *image, uint64_t address,
		 struct insn *insn)
{
	size_t available = elf_image_available(image, address);

	if (available == 0 || !elf_image_is_code(image, address))
		return false;
	return insn_decode_bytes(decoder, elf_image_bytes(image, address, 1), available, address,
				 insn);
}

unsigned int insn_operands(const ZydisDecoder *decoder, const struct insn *insn,
			   ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
	if (ZYAN_FAILED(ZydisDecoderDecodeOperands(decoder, &insn->context, &insn->decoded,
						   operands, insn->decoded.operand_count)))
		return 0;
	return insn->decoded.operand_count;
}

/*
 * The bytes of a branch without the bnd prefix (f2), the only one that is let pass. The kernel
 * refuses branches with 66 (branch_setup_xol_ops) and anything with lock or a segment override
 * (is_prefix_bad), arch/x86/kernel/uprobes.c, Linux 6.6 to 6.18; of other combinations nobody makes
 * use.
 */
static const uint8_t *branch_bytes(const struct insn *insn, unsigned int *length)
{
	unsigned int skip = insn->decoded.length > 1 && insn->bytes[0] == 0xf2;

	*length = insn->decoded.length - skip;
	return insn->bytes + skip;
}

bool insn_is_jcc(const struct insn *insn)
{
	unsigned int length;
	const uint8_t *bytes = branch_bytes(insn, &length);

	return (length == 2 && (bytes[0] & 0xf0) == 0x70) ||
	       (length == 6 && bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80);
}

bool insn_is_direct_jmp(const struct insn *insn)
{
	unsigned int length;
	const uint8_t *bytes = branch_bytes(insn, &length);

	return (length == 2 && bytes[0] == 0xeb) || (length == 5 && bytes[0] == 0xe9);
}

static bool is_direct_call(const struct insn *insn)
{
	unsigned int length;
	const uint8_t *bytes = branch_bytes(insn, &length);

	return length == 5 && bytes[0] == 0xe8;
}

/* push_setup_xol_ops(), arch/x86/kernel/uprobes.c: 50..57, or with the prefix 41 and no other. */
static bool is_push_register(const struct insn *insn)
{
	const uint8_t *bytes = insn->bytes;

	if (insn->decoded.length == 2 && bytes[0] == 0x41)
		return (bytes[1] & 0xf8) == 0x50;
	return insn->decoded.length == 1 && (bytes[0] & 0xf8) == 0x50;
}

/* Longer nops are emulated too by kernels from 6.16 or so on; kernels from 6.6 on all do these. */
bool insn_is_emulated(const struct insn *insn)
{
	bool nop = insn->decoded.length == 1 && insn->bytes[0] == 0x90;

	return nop || is_push_register(insn) || insn_is_jcc(insn) || insn_is_direct_jmp(insn) ||
	       is_direct_call(insn);
}

bool insn_is_control_flow(const struct insn *insn)
{
	switch (insn->decoded.meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_INTERRUPT:
		return true;
	default:
		return insn->decoded.mnemonic == ZYDIS_MNEMONIC_HLT ||
		       insn->decoded.mnemonic == ZYDIS_MNEMONIC_UD0 ||
		       insn->decoded.mnemonic == ZYDIS_MNEMONIC_UD1 ||
		       insn->decoded.mnemonic == ZYDIS_MNEMONIC_UD2;
	}
}

bool insn_branch_target(const struct insn *insn, uint64_t *target)
{
	switch (insn->decoded.meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
		break;
	default:
		return false;
	}
	if (!insn->decoded.raw.imm[0].is_relative)
		return false;
	*target = insn_end(insn) + insn->decoded.raw.imm[0].value.u;
	return true;
}

ZydisRegister insn_full_register(ZydisRegister reg)
{
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return ZydisRegisterGetClass(full) == ZYDIS_REGCLASS_GPR64 ? full : ZYDIS_REGISTER_NONE;
}

bool insn_pt_regs_offset(ZydisRegister reg, uint32_t *offset)
{
	static const uint32_t offsets[] = {
		offsetof(struct pt_regs, rax), offsetof(struct pt_regs, rcx),
		offsetof(struct pt_regs, rdx), offsetof(struct pt_regs, rbx),
		offsetof(struct pt_regs, rsp), offsetof(struct pt_regs, rbp),
		offsetof(struct pt_regs, rsi), offsetof(struct pt_regs, rdi),
		offsetof(struct pt_regs, r8),  offsetof(struct pt_regs, r9),
		offsetof(struct pt_regs, r10), offsetof(struct pt_regs, r11),
		offsetof(struct pt_regs, r12), offsetof(struct pt_regs, r13),
		offsetof(struct pt_regs, r14), offsetof(struct pt_regs, r15),
	};
	ZydisRegister full = insn_full_register(reg);

	/* The id of a register is its number in the instruction encoding: rax, rcx, rdx, rbx, ...
	 */
	if (full == ZYDIS_REGISTER_NONE)
		return false;
	*offset = offsets[ZydisRegisterGetId(full)];
	return true;
}
