// SPDX-License-Identifier: GPL-2.0-or-later
#include "elf/entry_site.h"

#include "base/error.h"
#include "elf/insn.h"

/* Limits for hostile files; the largest malloc at hand, jemalloc's realloc, is 8 KB. */
enum { MAX_FUNCTION_SIZE = 1 << 20, MAX_PARTS = 64, GENERAL_REGISTERS = 16 };

static const ZydisRegister argument_registers[MAX_ARGUMENTS] = {
	ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
	ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_R8,	ZYDIS_REGISTER_R9,
};

/* What the straight line from the entry has done to the registers so far. */
struct walk {
	ZydisDecoder decoder;
	uint8_t holds[GENERAL_REGISTERS]; /* by number: the argument in it, from 1; 0: none */
	bool stack_moved;
};

static void walk_init(struct walk *walk)
{
	*walk = (struct walk){ 0 };
	insn_decoder_init(&walk->decoder);
	for (unsigned int i = 0; i < MAX_ARGUMENTS; i++)
		walk->holds[ZydisRegisterGetId(argument_registers[i])] = i + 1;
}

/* The register that holds argument @argument (from 1), its own one if that still does. */
static ZydisRegister holder(const struct walk *walk, unsigned int argument)
{
	ZydisRegister own = argument_registers[argument - 1];

	if (walk->holds[ZydisRegisterGetId(own)] == argument)
		return own;
	for (unsigned int i = 0; i < GENERAL_REGISTERS; i++) {
		if (walk->holds[i] == argument)
			return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, i);
	}
	return ZYDIS_REGISTER_NONE;
}

static bool is_copy(const struct insn *insn, const ZydisDecodedOperand operands[])
{
	return insn->decoded.mnemonic == ZYDIS_MNEMONIC_MOV &&
	       operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operands[0].reg.value) == ZYDIS_REGCLASS_GPR64 &&
	       ZydisRegisterGetClass(operands[1].reg.value) == ZYDIS_REGCLASS_GPR64;
}

/* Follows one instruction: whatever it writes, all of a register or a part, for sure or maybe, no
 * longer holds an argument. */
static bool walk_step(struct walk *walk, const struct insn *insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned int count = insn_operands(&walk->decoder, insn, operands);
	uint8_t copied = 0;

	if (count != insn->decoded.operand_count)
		return false;
	if (count >= 2 && is_copy(insn, operands))
		copied = walk->holds[ZydisRegisterGetId(operands[1].reg.value)];
	for (unsigned int i = 0; i < count; i++) {
		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		ZydisRegister full = insn_full_register(operands[i].reg.value);
		if (full != ZYDIS_REGISTER_NONE)
			walk->holds[ZydisRegisterGetId(full)] = 0;
		walk->stack_moved |= full == ZYDIS_REGISTER_RSP;
	}
	if (copied)
		walk->holds[ZydisRegisterGetId(operands[0].reg.value)] = copied;
	return true;
}

static bool arguments_hold(const struct walk *walk, unsigned int arguments, bool moved)
{
	for (unsigned int i = 0; i < MAX_ARGUMENTS; i++) {
		if (!(arguments & 1u << i))
			continue;
		ZydisRegister reg = holder(walk, i + 1);
		if (reg == ZYDIS_REGISTER_NONE || (!moved && reg != argument_registers[i]))
			return false;
	}
	return true;
}

static bool contains(const struct elf_range *range, uint64_t address)
{
	return address >= range->start && address < range->end;
}

static bool has_part(const GArray *parts, uint64_t address)
{
	for (guint i = 0; i < parts->len; i++) {
		if (contains(&g_array_index(parts, struct elf_range, i), address))
			return true;
	}
	return false;
}

/*
 * Whether code in @part jumps to [low, high], or cannot be followed. Adds the functions that it
 * jumps out to, to @others if not NULL. Calls are no jumps here: nobody calls into the middle of a
 * function. Nor are jumps through tables looked into: a case of a switch that stands before the
 * function's first branch would be one that every call passes.
 */
static bool part_jumps_to(struct elf_image *image, const ZydisDecoder *decoder,
			  struct elf_range part, uint64_t low, uint64_t high, GArray *others)
{
	struct elf_range other;
	struct insn insn;
	uint64_t target;

	for (uint64_t address = part.start; address < part.end; address = insn_end(&insn)) {
		if (!insn_decode(decoder, image, address, &insn))
			return true;
		if (insn.decoded.meta.category == ZYDIS_CATEGORY_CALL ||
		    !insn_branch_target(&insn, &target))
			continue;
		if (target >= low && target <= high)
			return true;
		if (others && !contains(&part, target) &&
		    elf_image_function_at(image, target, &other) && !has_part(others, target)) {
			if (others->len == MAX_PARTS)
				return true;
			g_array_append_val(others, other);
		}
	}
	return false;
}

/* The same for a whole function: its range, and those that it jumps out to, among them its .cold
 * part. */
static bool function_jumps_to(struct elf_image *image, const ZydisDecoder *decoder,
			      struct elf_range range, uint64_t low, uint64_t high)
{
	g_autoptr(GArray) others = g_array_new(false, false, sizeof(struct elf_range));
	uint64_t size = range.end - range.start;

	if (size > MAX_FUNCTION_SIZE || part_jumps_to(image, decoder, range, low, high, others))
		return true;
	for (guint i = 0; i < others->len; i++) {
		struct elf_range other = g_array_index(others, struct elf_range, i);
		size += other.end - other.start;
		if (size > MAX_FUNCTION_SIZE ||
		    part_jumps_to(image, decoder, other, low, high, NULL))
			return true;
	}
	return false;
}

static bool set_site(const struct elf_image *image, const struct insn *insn, bool emulated,
		     struct probe_site *site)
{
	site->address = insn->address;
	site->emulated = emulated;
	return elf_image_address_to_offset(image, insn->address, &site->offset);
}

/*
 * Goes down the straight line from the entry to the first site that will do. A jump back to the
 * very entry is another call as far as a probe is concerned (a tail call to itself), so only what
 * lies behind the entry must not be jumped to.
 */
static bool find_cheap(struct elf_image *image, uint64_t function, unsigned int arguments,
		       bool for_return, bool moved, struct walk *walk, struct probe_site *site)
{
	struct elf_range range = { 0 };
	struct insn insn;
	bool bounded = elf_image_function_at(image, function, &range);

	for (uint64_t address = function; address == function || (bounded && address < range.end);
	     address = insn_end(&insn)) {
		if (!insn_decode(&walk->decoder, image, address, &insn))
			return false;
		if (insn_is_emulated(&insn) && arguments_hold(walk, arguments, moved) &&
		    !(for_return && walk->stack_moved))
			return (address == function ||
				!function_jumps_to(image, &walk->decoder, range, function + 1,
						   address)) &&
			       set_site(image, &insn, true, site);
		if (insn_is_control_flow(&insn) || !walk_step(walk, &insn))
			return false;
	}
	return false;
}

static bool find_entry(struct elf_image *image, uint64_t function, unsigned int arguments,
		       bool for_return, bool moved, struct walk *walk, struct probe_site *site,
		       GError **error)
{
	struct insn first;

	walk_init(walk);
	if (find_cheap(image, function, arguments, for_return, moved, walk, site))
		return true;
	walk_init(walk);
	if (insn_decode(&walk->decoder, image, function, &first) &&
	    set_site(image, &first, false, site))
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
		    "no instruction to probe at 0x%" G_GINT64_MODIFIER
		    "x: not a function, or unknown to the disassembler",
		    function);
	return false;
}

bool entry_site_find(struct elf_image *image, uint64_t function, unsigned int arguments,
		     bool for_return, struct probe_site *site, GError **error)
{
	struct walk walk;

	return find_entry(image, function, arguments, for_return, false, &walk, site, error);
}

bool entry_site_find_moved(struct elf_image *image, uint64_t function, unsigned int arguments,
			   bool for_return, struct probe_site *site,
			   uint32_t pt_regs_offset[MAX_ARGUMENTS], GError **error)
{
	struct walk walk;

	if (!find_entry(image, function, arguments, for_return, true, &walk, site, error))
		return false;
	for (unsigned int i = 0; i < MAX_ARGUMENTS; i++) {
		if (arguments & 1u << i)
			insn_pt_regs_offset(holder(&walk, i + 1), &pt_regs_offset[i]);
	}
	return true;
}

/* Whether @insn may write to the register that holds a system call's result, or to one of
 * @arguments. */
static bool spoils_syscall(const ZydisDecoder *decoder, const struct insn *insn,
			   unsigned int arguments)
{
	static const ZydisRegister registers[MAX_ARGUMENTS] = {
		ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_R10, ZYDIS_REGISTER_R8,	ZYDIS_REGISTER_R9,
	};
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned int count = insn_operands(decoder, insn, operands);

	if (count != insn->decoded.operand_count)
		return true;
	for (unsigned int i = 0; i < count; i++) {
		ZydisRegister full;

		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		full = insn_full_register(operands[i].reg.value);
		if (full == ZYDIS_REGISTER_RAX)
			return true;
		for (unsigned int argument = 0; argument < MAX_ARGUMENTS; argument++)
			if (arguments & 1u << argument && full == registers[argument])
				return true;
	}
	return false;
}

/* The check of the result of the system call that ends at @start. */
static bool find_check(struct elf_image *image, const ZydisDecoder *decoder, struct elf_range range,
		       uint64_t start, unsigned int arguments, struct probe_site *site)
{
	struct insn insn;

	for (uint64_t address = start; address < range.end; address = insn_end(&insn)) {
		if (!insn_decode(decoder, image, address, &insn))
			return false;
		if (insn_is_jcc(&insn))
			return !function_jumps_to(image, decoder, range, start, address) &&
			       set_site(image, &insn, true, site);
		if (insn_is_control_flow(&insn) || spoils_syscall(decoder, &insn, arguments))
			return false;
	}
	return false;
}

static unsigned int find_checks(struct elf_image *image, uint64_t function, unsigned int arguments,
				struct probe_site sites[MOST_SYSCALL_SITES])
{
	unsigned int count = 0;
	ZydisDecoder decoder;
	struct elf_range range;
	struct insn insn;

	insn_decoder_init(&decoder);
	if (!elf_image_function_at(image, function, &range) ||
	    range.end - function > MAX_FUNCTION_SIZE)
		return 0;
	for (uint64_t address = function; address < range.end; address = insn_end(&insn)) {
		if (!insn_decode(&decoder, image, address, &insn))
			return 0;
		if (insn.decoded.mnemonic != ZYDIS_MNEMONIC_SYSCALL)
			continue;
		if (count == MOST_SYSCALL_SITES ||
		    !find_check(image, &decoder, range, insn_end(&insn), arguments, &sites[count]))
			return 0;
		count++;
	}
	return count;
}

unsigned int syscall_sites_find(struct elf_image *image, uint64_t function, unsigned int arguments,
				struct probe_site sites[MOST_SYSCALL_SITES], GError **error)
{
	unsigned int count = find_checks(image, function, arguments, sites);

	if (!count)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "the function at 0x%" G_GINT64_MODIFIER
			    "x is not system calls and checks of their results",
			    function);
	return count;
}
