// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions: what the kernel's uprobes emulate, where branches go, which register is meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <asm/ptrace.h>
#include <cmocka.h>
#include <glib.h>

#include "elf/insn.h"

struct code {
	size_t length;
	uint8_t bytes[15];
};

#define CODE(...)                                                                                  \
	{                                                                                          \
		.length = sizeof((uint8_t[]){ __VA_ARGS__ }), .bytes = { __VA_ARGS__ }             \
	}

static struct insn decode(const struct code *code)
{
	ZydisDecoder decoder;
	struct insn insn;

	insn_decoder_init(&decoder);
	assert_true(insn_decode_bytes(&decoder, code->bytes, code->length, 0x1000, &insn));
	assert_int_equal(insn.decoded.length, code->length);
	return insn;
}

static void what_the_kernel_emulates_is_recognised(void **state)
{
	(void)state;
	static const struct code emulated[] = {
		CODE(0x50),
		CODE(0x55),
		CODE(0x57), /* push rax, rbp, rdi */
		CODE(0x41, 0x50),
		CODE(0x41, 0x57), /* push r8, r15 */
		CODE(0x90),	  /* nop */
		CODE(0xeb, 0x10),
		CODE(0xe9, 0, 1, 0, 0), /* jmp */
		CODE(0x70, 0x10),
		CODE(0x74, 0x10),
		CODE(0x7f, 0xf0), /* jo, je, jg */
		CODE(0x0f, 0x80, 0, 1, 0, 0),
		CODE(0x0f, 0x8f, 0, 1, 0, 0), /* jo, jg */
		CODE(0xe8, 0, 1, 0, 0),	      /* call */
		CODE(0xf2, 0xe9, 0, 1, 0, 0),
		CODE(0xf2, 0x74, 0x10), /* bnd jmp, bnd je */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(emulated); i++) {
		struct insn insn = decode(&emulated[i]);
		assert_true(insn_is_emulated(&insn));
	}
}

static void what_the_kernel_steps_or_refuses_is_not(void **state)
{
	(void)state;
	static const struct code others[] = {
		CODE(0x48, 0x85, 0xff),	      /* test rdi, rdi */
		CODE(0x48, 0x89, 0xf8),	      /* mov rax, rdi */
		CODE(0x48, 0x83, 0xec, 0x18), /* sub rsp, 0x18 */
		CODE(0xf3, 0x0f, 0x1e, 0xfa), /* endbr64 */
		CODE(0xc3),
		CODE(0xcc),
		CODE(0x0f, 0x05), /* ret, int3, syscall */
		CODE(0x5f),
		CODE(0x58), /* pop */
		CODE(0x68, 1, 0, 0, 0),
		CODE(0x6a, 1), /* push of a number */
		CODE(0xff, 0x37),
		CODE(0xff, 0x35, 0, 0, 0, 0), /* push from memory */
		CODE(0x48, 0x50),
		CODE(0x49, 0x50),
		CODE(0x66, 0x50), /* push with other prefixes */
		CODE(0x66, 0x41, 0x50),
		CODE(0x9c), /* pushf */
		CODE(0x66, 0x90),
		CODE(0xf3, 0x90),
		CODE(0x41, 0x90),	      /* xchg ax, ax; pause; xchg r8, rax */
		CODE(0x0f, 0x1f, 0x44, 0, 0), /* a 5-byte nop */
		CODE(0xff, 0xe0),
		CODE(0xff, 0xd0),
		CODE(0xff, 0x25, 0, 0, 0, 0), /* jmp, call by pointer */
		CODE(0x3e, 0xff, 0xe0),	      /* notrack jmp rax */
		CODE(0xe3, 0x10),
		CODE(0xe2, 0x10), /* jrcxz, loop */
		CODE(0x2e, 0x74, 0x10),
		CODE(0x3e, 0x74, 0x10), /* je with a hint: a segment prefix to the kernel */
		CODE(0x66, 0x74, 0x10),
		CODE(0x48, 0xe8, 0, 1, 0, 0), /* je with 66, call with REX */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		struct insn insn = decode(&others[i]);
		assert_false(insn_is_emulated(&insn));
	}
}

static void branches_know_their_targets(void **state)
{
	(void)state;
	static const struct {
		struct code code;
		uint64_t target;
		bool jcc, jmp;
	} branches[] = {
		{ CODE(0x74, 0x10), 0x1012, true, false },
		{ CODE(0x75, 0xfe), 0x1000, true, false },
		{ CODE(0x0f, 0x84, 0, 1, 0, 0), 0x1106, true, false },
		{ CODE(0x0f, 0x84, 0xfa, 0xff, 0xff, 0xff), 0x1000, true, false },
		{ CODE(0xeb, 0xf0), 0xff2, false, true },
		{ CODE(0xe9, 0, 0, 1, 0), 0x11005, false, true },
		{ CODE(0xe8, 0xfb, 0xff, 0xff, 0xff), 0x1000, false, false },
		{ CODE(0xe3, 0x10), 0x1012, false, false },
		{ CODE(0xf2, 0xe9, 0, 1, 0, 0), 0x1106, false, true },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(branches); i++) {
		struct insn insn = decode(&branches[i].code);
		uint64_t target;
		assert_true(insn_branch_target(&insn, &target));
		assert_int_equal(target, branches[i].target);
		assert_int_equal(insn_is_jcc(&insn), branches[i].jcc);
		assert_int_equal(insn_is_direct_jmp(&insn), branches[i].jmp);
		assert_true(insn_is_control_flow(&insn));
	}
}

static void other_instructions_have_no_target(void **state)
{
	(void)state;
	static const struct {
		struct code code;
		bool flow;
	} others[] = {
		{ CODE(0xff, 0xe0), true },		/* jmp rax */
		{ CODE(0xff, 0x15, 0, 0, 0, 0), true }, /* call [rip] */
		{ CODE(0xc3), true },
		{ CODE(0xcc), true },
		{ CODE(0xf4), true },
		{ CODE(0x0f, 0x0b), true },
		{ CODE(0x0f, 0x05), true },
		{ CODE(0xb8, 1, 0, 0, 0), false },	       /* mov eax, 1 */
		{ CODE(0x50), false },			       /* push rax */
		{ CODE(0x48, 0x8d, 0x05, 0, 0, 0, 0), false }, /* lea rax, [rip] */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		struct insn insn = decode(&others[i].code);
		uint64_t target;
		assert_false(insn_branch_target(&insn, &target));
		assert_int_equal(insn_is_control_flow(&insn), others[i].flow);
	}
}

static void registers_are_found_in_pt_regs_whatever_their_width(void **state)
{
	(void)state;
	static const struct {
		ZydisRegister reg;
		uint32_t offset;
	} known[] = {
		{ ZYDIS_REGISTER_RAX, offsetof(struct pt_regs, rax) },
		{ ZYDIS_REGISTER_AH, offsetof(struct pt_regs, rax) },
		{ ZYDIS_REGISTER_ECX, offsetof(struct pt_regs, rcx) },
		{ ZYDIS_REGISTER_DX, offsetof(struct pt_regs, rdx) },
		{ ZYDIS_REGISTER_BL, offsetof(struct pt_regs, rbx) },
		{ ZYDIS_REGISTER_RSP, offsetof(struct pt_regs, rsp) },
		{ ZYDIS_REGISTER_RBP, offsetof(struct pt_regs, rbp) },
		{ ZYDIS_REGISTER_SIL, offsetof(struct pt_regs, rsi) },
		{ ZYDIS_REGISTER_RDI, offsetof(struct pt_regs, rdi) },
		{ ZYDIS_REGISTER_R8D, offsetof(struct pt_regs, r8) },
		{ ZYDIS_REGISTER_R9, offsetof(struct pt_regs, r9) },
		{ ZYDIS_REGISTER_R10B, offsetof(struct pt_regs, r10) },
		{ ZYDIS_REGISTER_R11, offsetof(struct pt_regs, r11) },
		{ ZYDIS_REGISTER_R12W, offsetof(struct pt_regs, r12) },
		{ ZYDIS_REGISTER_R13, offsetof(struct pt_regs, r13) },
		{ ZYDIS_REGISTER_R14, offsetof(struct pt_regs, r14) },
		{ ZYDIS_REGISTER_R15, offsetof(struct pt_regs, r15) },
	};
	static const ZydisRegister none[] = { ZYDIS_REGISTER_NONE,   ZYDIS_REGISTER_RIP,
					      ZYDIS_REGISTER_XMM0,   ZYDIS_REGISTER_FLAGS,
					      ZYDIS_REGISTER_RFLAGS, ZYDIS_REGISTER_FS };
	uint32_t offset;

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		assert_true(insn_pt_regs_offset(known[i].reg, &offset));
		assert_int_equal(offset, known[i].offset);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
		assert_false(insn_pt_regs_offset(none[i], &offset));
}

static void cut_instructions_are_not_decoded(void **state)
{
	(void)state;
	static const uint8_t bytes[] = { 0x0f, 0x84, 0, 1, 0, 0 };
	ZydisDecoder decoder;
	struct insn insn;

	insn_decoder_init(&decoder);
	for (size_t length = 0; length < sizeof(bytes); length++) {
		/* On the heap, so that the sanitizer sees a read too far. */
		g_autofree uint8_t *cut = g_memdup2(bytes, MAX(length, 1));
		assert_false(insn_decode_bytes(&decoder, cut, length, 0x1000, &insn));
	}
}

/* Everything Zydis accepts: no operand call fails, no predicate contradicts another. */
static void random_bytes_are_handled(void **state)
{
	(void)state;
	g_autoptr(GRand) random = g_rand_new_with_seed(2);
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecoder decoder;
	struct insn insn;
	unsigned int decoded = 0;

	insn_decoder_init(&decoder);
	for (int round = 0; round < 100000; round++) {
		uint32_t bytes[4];
		uint64_t target;
		for (int i = 0; i < 4; i++)
			bytes[i] = g_rand_int(random);
		if (!insn_decode_bytes(&decoder, (uint8_t *)bytes, 15, UINT64_MAX - 7, &insn))
			continue;
		decoded++;
		assert_int_equal(insn_operands(&decoder, &insn, operands),
				 insn.decoded.operand_count);
		if (insn_is_jcc(&insn) || insn_is_direct_jmp(&insn)) {
			assert_true(insn_is_emulated(&insn));
			assert_true(insn_branch_target(&insn, &target));
		}
	}
	assert_true(decoded > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_emulates_is_recognised),
		cmocka_unit_test(what_the_kernel_steps_or_refuses_is_not),
		cmocka_unit_test(branches_know_their_targets),
		cmocka_unit_test(other_instructions_have_no_target),
		cmocka_unit_test(registers_are_found_in_pt_regs_whatever_their_width),
		cmocka_unit_test(cut_instructions_are_not_decoded),
		cmocka_unit_test(random_bytes_are_handled),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
