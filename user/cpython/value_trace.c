// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/value_trace.h"

#include <string.h>

/* One instruction brings at most this many values: a call, which loses nine registers, and some to
 * spare. */
enum { MAX_NEW_VALUES = 16 };

static uint32_t value_new(struct value_trace *trace, enum value_kind kind, uint32_t base,
			  int64_t displacement)
{
	trace->values[trace->count] =
		(struct value){ .kind = kind, .base = base, .displacement = displacement };
	return trace->count++;
}

void value_trace_init(struct value_trace *trace, const ZydisDecoder *decoder)
{
	trace->decoder = decoder;
	trace->count = 0;
	trace->compared = false;
	trace->store = (struct store){ .kind = STORE_NONE };
	value_new(trace, VALUE_OPAQUE, 0, 0); /* VALUE_ZERO */
	for (int i = 0; i < VALUE_TRACE_REGISTERS; i++)
		trace->registers[i] = value_new(trace, VALUE_OPAQUE, 0, 0);
}

/* Where the value of the general register that holds @reg is kept; NULL for other registers. */
static uint32_t *register_value(struct value_trace *trace, ZydisRegister reg)
{
	ZydisRegister full = insn_full_register(reg);
	return full == ZYDIS_REGISTER_NONE ? NULL : &trace->registers[ZydisRegisterGetId(full)];
}

/* Memory as an operand names it: at @displacement from the value @base. */
struct place {
	uint32_t base;
	int64_t displacement; /* bytes */
	bool in_table;	      /* and 8 times what a register holds */
};

/* The place that @operand, of lea too, names; false if it is none, or one that is named otherwise.
 */
static bool operand_place(struct value_trace *trace, const struct insn *insn,
			  const ZydisDecodedOperand *operand, struct place *place)
{
	const ZydisDecodedOperandMem *memory = &operand->mem;

	if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    (memory->type != ZYDIS_MEMOP_TYPE_MEM && memory->type != ZYDIS_MEMOP_TYPE_AGEN) ||
	    (memory->index != ZYDIS_REGISTER_NONE && memory->scale != 8) ||
	    memory->segment == ZYDIS_REGISTER_FS || memory->segment == ZYDIS_REGISTER_GS)
		return false;
	*place = (struct place){ VALUE_ZERO, memory->disp.value,
				 memory->index != ZYDIS_REGISTER_NONE };
	if (memory->base == ZYDIS_REGISTER_RIP) {
		place->displacement += (int64_t)insn_end(insn);
	} else if (memory->base != ZYDIS_REGISTER_NONE) {
		if (ZydisRegisterGetClass(memory->base) != ZYDIS_REGCLASS_GPR64)
			return false;
		place->base = *register_value(trace, memory->base);
		if (trace->values[place->base].kind == VALUE_ADDRESS) {
			place->displacement += trace->values[place->base].displacement;
			place->base = VALUE_ZERO;
		}
	}
	return true;
}

/* The value that a 64-bit (or, for counts, 32-bit) operand reads; false if it is none that can be
 * named. */
static bool operand_value(struct value_trace *trace, const struct insn *insn,
			  const ZydisDecodedOperand *operand, uint32_t *value)
{
	struct place place;

	if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		const uint32_t *held = register_value(trace, operand->reg.value);
		if (!held || operand->size < 32)
			return false;
		*value = *held;
		return true;
	}
	if (operand->size < 32 || !operand_place(trace, insn, operand, &place))
		return false;
	*value = value_new(trace, place.in_table ? VALUE_ELEMENT : VALUE_LOADED, place.base,
			   place.displacement);
	return true;
}

static bool adds_one(const struct insn *insn, const ZydisDecodedOperand *operands)
{
	int64_t immediate =
		operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? operands[1].imm.value.s : 0;

	return insn->decoded.mnemonic == ZYDIS_MNEMONIC_INC ||
	       (insn->decoded.mnemonic == ZYDIS_MNEMONIC_ADD && immediate == 1) ||
	       (insn->decoded.mnemonic == ZYDIS_MNEMONIC_SUB && immediate == -1);
}

/* The address that lea, whose second operand is @operand, computes. */
static bool address_value(struct value_trace *trace, const struct insn *insn,
			  const ZydisDecodedOperand *operand, uint32_t *value)
{
	struct place place;

	if (!operand_place(trace, insn, operand, &place) || place.in_table)
		return false;
	if (place.base == VALUE_ZERO)
		*value = value_new(trace, VALUE_ADDRESS, VALUE_ZERO, place.displacement);
	else if (place.displacement == 1)
		*value = value_new(trace, VALUE_PLUS_ONE, place.base, 0);
	else
		return false;
	return true;
}

/* The value that the instruction leaves in its first operand; false where nothing is known of it.
 */
static bool result_value(struct value_trace *trace, const struct insn *insn,
			 const ZydisDecodedOperand *operands, uint32_t *result)
{
	uint32_t base;

	if (insn->decoded.mnemonic == ZYDIS_MNEMONIC_MOV) {
		/* A 32-bit move from register to register cuts a pointer. What it loads may be a
		 * count: ref.count is 32 bits. */
		bool cuts = operands[0].size == 32 &&
			    operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			    operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
		return !cuts && operand_value(trace, insn, &operands[1], result);
	}
	if (insn->decoded.mnemonic == ZYDIS_MNEMONIC_LEA)
		return address_value(trace, insn, &operands[1], result);
	if (!adds_one(insn, operands) || !operand_value(trace, insn, &operands[0], &base))
		return false;
	*result = value_new(trace, VALUE_PLUS_ONE, base, 0);
	return true;
}

static void note_store(struct value_trace *trace, const struct insn *insn,
		       const ZydisDecodedOperand *operands, bool known, uint32_t result)
{
	struct place place;

	if (!known || !(operands[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
	    !operand_place(trace, insn, &operands[0], &place) || place.in_table)
		return;
	trace->store = (struct store){
		.kind = insn->decoded.mnemonic == ZYDIS_MNEMONIC_MOV ? STORE_VALUE
								     : STORE_INCREMENT,
		.base = place.base,
		.displacement = place.displacement,
		.value = result,
	};
}

static void note_flags(struct value_trace *trace, const struct insn *insn,
		       const ZydisDecodedOperand *operands)
{
	const ZydisAccessedFlags *flags = insn->decoded.cpu_flags;
	ZydisAccessedFlagsMask written =
		flags ? flags->modified | flags->set_0 | flags->set_1 | flags->undefined : 0;

	if (insn->decoded.mnemonic == ZYDIS_MNEMONIC_CMP)
		trace->compared =
			operands[0].size == 64 &&
			operand_value(trace, insn, &operands[0], &trace->compared_values[0]) &&
			operand_value(trace, insn, &operands[1], &trace->compared_values[1]);
	else if (written & ZYDIS_CPUFLAG_ZF)
		trace->compared = false;
}

/* What a function may change: System V ABI for x86-64, figure 3.4. */
static void forget_after_call(struct value_trace *trace)
{
	static const ZydisRegister clobbered[] = {
		ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_R8,
		ZYDIS_REGISTER_R9,  ZYDIS_REGISTER_R10, ZYDIS_REGISTER_R11,
	};

	for (size_t i = 0; i < sizeof(clobbered) / sizeof(*clobbered); i++)
		*register_value(trace, clobbered[i]) = value_new(trace, VALUE_OPAQUE, 0, 0);
	trace->compared = false;
}

bool value_trace_step(struct value_trace *trace, const struct insn *insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT] = { 0 };
	unsigned int count = insn_operands(trace->decoder, insn, operands);
	uint32_t result = 0;

	trace->store.kind = STORE_NONE;
	if (trace->count + MAX_NEW_VALUES > VALUE_TRACE_VALUES ||
	    (count == 0 && insn->decoded.operand_count))
		return false;
	bool known = result_value(trace, insn, operands, &result);
	note_store(trace, insn, operands, known, result);
	note_flags(trace, insn, operands);
	for (unsigned int i = 0; i < count; i++) {
		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		uint32_t *held = register_value(trace, operands[i].reg.value);
		if (held)
			*held = known && i == 0 && operands[i].size >= 32
					? result
					: value_new(trace, VALUE_OPAQUE, 0, 0);
	}
	if (insn->decoded.meta.category == ZYDIS_CATEGORY_CALL ||
	    insn->decoded.meta.category == ZYDIS_CATEGORY_SYSCALL)
		forget_after_call(trace);
	return true;
}

bool value_is_loaded_from(const struct value_trace *trace, uint32_t value, uint32_t base,
			  int64_t displacement)
{
	const struct value *loaded = &trace->values[value];

	return loaded->kind == VALUE_LOADED && loaded->base == base &&
	       loaded->displacement == displacement;
}
