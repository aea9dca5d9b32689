// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/unwind.h"

#include <dwarf.h>

/* Numbers of registers in DWARF: System V ABI, AMD64 supplement, figure 3.36. */
enum {
	DW_REG_BX = 3,
	DW_REG_BP = 6,
	DW_REG_SP = 7,
	DW_REG_R12 = 12,
	DW_REG_RETURN = 16,
	DW_REG_COUNT = 17
};
/* Of an expression; those of PLT entries and signal frames need 4. */
enum { MAX_DEPTH = 16 };

struct registers {
	uint64_t values[DW_REG_COUNT];
	uint32_t known; /* bit per register */
};

/* Where an expression leads. */
enum place { PLACE_MEMORY, PLACE_VALUE, PLACE_REGISTER };

struct machine {
	const struct memory *stack;
	const struct registers *registers;
	uint64_t cfa; /* 0: not known yet */
	uint64_t values[MAX_DEPTH];
	uint32_t depth;
	enum place place;
	bool cut; /* it failed for want of memory or of a register */
};

static bool push(struct machine *machine, uint64_t value)
{
	if (machine->depth == MAX_DEPTH)
		return false;
	machine->values[machine->depth++] = value;
	return true;
}

static bool pop(struct machine *machine, uint64_t *value)
{
	if (!machine->depth)
		return false;
	*value = machine->values[--machine->depth];
	return true;
}

static bool push_register(struct machine *machine, uint64_t number, uint64_t offset)
{
	if (number >= DW_REG_COUNT)
		return false;
	if (!(machine->registers->known & 1u << number)) {
		machine->cut = true;
		return false;
	}
	return push(machine, machine->registers->values[number] + offset);
}

static bool dereference(struct machine *machine)
{
	uint64_t address, value;

	if (!pop(machine, &address))
		return false;
	if (!memory_read_u64(machine->stack, address, &value)) {
		machine->cut = true;
		return false;
	}
	return push(machine, value);
}

static bool arithmetic(struct machine *machine, uint8_t atom)
{
	uint64_t a, b;

	if (!pop(machine, &b) || !pop(machine, &a))
		return false;
	switch (atom) {
	case DW_OP_plus:
		return push(machine, a + b);
	case DW_OP_minus:
		return push(machine, a - b);
	case DW_OP_and:
		return push(machine, a & b);
	case DW_OP_or:
		return push(machine, a | b);
	case DW_OP_mul:
		return push(machine, a * b);
	case DW_OP_shl:
		return push(machine, b < 64 ? a << b : 0);
	case DW_OP_shr:
		return push(machine, b < 64 ? a >> b : 0);
	case DW_OP_ge:
		return push(machine, (int64_t)a >= (int64_t)b);
	case DW_OP_gt:
		return push(machine, (int64_t)a > (int64_t)b);
	case DW_OP_le:
		return push(machine, (int64_t)a <= (int64_t)b);
	case DW_OP_lt:
		return push(machine, (int64_t)a < (int64_t)b);
	case DW_OP_eq:
		return push(machine, a == b);
	case DW_OP_ne:
		return push(machine, a != b);
	default:
		return false;
	}
}

/* Without jumps: compilers and assemblers write none, and so every expression ends. */
static bool operate(struct machine *machine, const Dwarf_Op *op)
{
	uint64_t value;

	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(machine, op->atom - DW_OP_lit0);
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		return push_register(machine, op->atom - DW_OP_breg0, op->number);
	switch (op->atom) {
	case DW_OP_bregx:
		return push_register(machine, op->number, op->number2);
	case DW_OP_regx:
		machine->place = PLACE_REGISTER;
		return push_register(machine, op->number, 0);
	case DW_OP_call_frame_cfa:
		return machine->cfa && push(machine, machine->cfa);
	case DW_OP_plus_uconst:
		return pop(machine, &value) && push(machine, value + op->number);
	case DW_OP_stack_value:
		machine->place = PLACE_VALUE;
		return true;
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(machine, op->number);
	case DW_OP_dup:
		return pop(machine, &value) && push(machine, value) && push(machine, value);
	case DW_OP_deref:
		return dereference(machine);
	case DW_OP_nop:
		return true;
	default:
		return arithmetic(machine, op->atom);
	}
}

static bool evaluate(struct machine *machine, const Dwarf_Op *ops, size_t count, uint64_t *value)
{
	machine->depth = 0;
	machine->place = PLACE_MEMORY;
	for (size_t i = 0; i < count; i++)
		if (!operate(machine, &ops[i]))
			return false;
	return pop(machine, value);
}

enum recovered { RECOVERED, SAME_VALUE, UNDEFINED, CUT, BROKEN };

/* The caller's value of a register. */
static enum recovered recover(struct machine *machine, Dwarf_Frame *frame, int number,
			      uint64_t *value)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	if (dwarf_frame_register(frame, number, memory, &ops, &count))
		return BROKEN;
	if (!count)
		return ops ? UNDEFINED : SAME_VALUE;
	if (!evaluate(machine, ops, count, value))
		return machine->cut ? CUT : BROKEN;
	if (machine->place == PLACE_MEMORY && !memory_read_u64(machine->stack, *value, value))
		return CUT;
	return RECOVERED;
}

static enum unwind_end end_of(enum recovered recovered)
{
	/* Where a thread begins, the return address is undefined. */
	if (recovered == UNDEFINED)
		return UNWIND_COMPLETE;
	return recovered == CUT ? UNWIND_CUT : UNWIND_NO_RULES;
}

/* Of the registers that a callee must keep, those that the frame has saved. */
static void recover_saved(struct machine *machine, Dwarf_Frame *frame, struct registers *caller)
{
	static const int saved[] = { DW_REG_BX,	     DW_REG_BP,	     DW_REG_R12,
				     DW_REG_R12 + 1, DW_REG_R12 + 2, DW_REG_R12 + 3 };

	for (size_t i = 0; i < G_N_ELEMENTS(saved); i++) {
		machine->cut = false;
		switch (recover(machine, frame, saved[i], &caller->values[saved[i]])) {
		case RECOVERED:
			caller->known |= 1u << saved[i];
			break;
		case SAME_VALUE:
			break;
		default:
			caller->known &= ~(1u << saved[i]);
		}
	}
}

/* Goes from a frame to its caller. Sets @cfa in any case. False with @end when there is none. */
static bool step(const struct unwind *unwind, Dwarf_Frame *frame, struct registers *registers,
		 uint64_t *cfa, enum unwind_end *end)
{
	struct machine machine = { .stack = unwind->stack, .registers = registers };
	struct registers caller = *registers;
	enum recovered recovered;
	Dwarf_Op *ops;
	size_t count;

	*cfa = 0;
	*end = UNWIND_NO_RULES;
	if (dwarf_frame_cfa(frame, &ops, &count) || !count)
		return false;
	if (!evaluate(&machine, ops, count, cfa)) {
		*cfa = 0;
		*end = machine.cut ? UNWIND_CUT : UNWIND_NO_RULES;
		return false;
	}
	/* A call takes stack: anything else is damage, and might never end. */
	if (*cfa <= registers->values[DW_REG_SP])
		return false;
	machine.cfa = *cfa;
	recovered = recover(&machine, frame, DW_REG_RETURN, &caller.values[DW_REG_RETURN]);
	if (recovered != RECOVERED) {
		*end = end_of(recovered);
		return false;
	}
	recover_saved(&machine, frame, &caller);
	caller.values[DW_REG_SP] = *cfa;
	*registers = caller;
	*end = UNWIND_COMPLETE;
	return caller.values[DW_REG_RETURN] != 0;
}

static struct registers load(const struct native_registers *from)
{
	return (struct registers){
		.values = { [DW_REG_BX] = from->bx,
			    [DW_REG_BP] = from->bp,
			    [DW_REG_SP] = from->sp,
			    [DW_REG_R12] = from->r12,
			    [DW_REG_R12 + 1] = from->r13,
			    [DW_REG_R12 + 2] = from->r14,
			    [DW_REG_R12 + 3] = from->r15,
			    [DW_REG_RETURN] = from->ip },
		.known = 1u << DW_REG_BX | 1u << DW_REG_BP | 1u << DW_REG_SP | 0xfu << DW_REG_R12 |
			 1u << DW_REG_RETURN,
	};
}

static bool is_signal_frame(Dwarf_Frame *frame)
{
	Dwarf_Addr start, end;
	bool is_signal = false;

	return dwarf_frame_info(frame, &start, &end, &is_signal) >= 0 && is_signal;
}

enum unwind_end unwind(const struct unwind *unwind, const struct native_registers *registers,
		       bool exact, GArray *frames)
{
	enum unwind_end end = UNWIND_CUT;
	struct registers now = load(registers);

	for (uint32_t i = 0; i < UNWIND_MAX_FRAMES; i++) {
		struct native_frame frame = { .pc = now.values[DW_REG_RETURN],
					      .exact = exact,
					      .sp = now.values[DW_REG_SP] };
		Dwarf_Frame *rules = unwind->rules(unwind->context, frame.pc - !exact);
		bool more = false;

		end = UNWIND_NO_RULES;
		if (rules)
			more = step(unwind, rules, &now, &frame.cfa, &end);
		g_array_append_val(frames, frame);
		if (unwind->last_holds >= frame.sp && unwind->last_holds < frame.cfa)
			return UNWIND_COMPLETE;
		if (!more)
			return end;
		exact = is_signal_frame(rules);
	}
	return UNWIND_CUT;
}
