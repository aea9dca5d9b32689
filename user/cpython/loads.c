// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/loads.h"

#include <string.h>

#include "elf/insn.h"

enum {
	REGISTERS = 16,
	MOST_INSTRUCTIONS =
		256, /* PyObject_Malloc with pymalloc inlined has about 60 (Debian 3.11.2) */
	MOST_PATHS = 16,
	WORD = 8,
};

/* What is known of the general registers at one point. */
struct path {
	uint64_t address; /* of the next instruction, link-time */
	uint32_t known;	  /* a bit per register */
	uint64_t values[REGISTERS];
};

struct walk {
	const struct elf_image *image;
	const struct memory *memory;
	uint64_t load_bias;
	ZydisDecoder decoder;
	struct path pending[MOST_PATHS]; /* a queue: branches are taken in the order in which they
					    are met */
	unsigned int pending_first, pending_end;
	GHashTable *seen; /* addresses of instructions, so that loops end */
	GArray *loads;
};

/* Number of the general register that holds @reg, or -1. */
static int register_number(ZydisRegister reg)
{
	ZydisRegister full = insn_full_register(reg);

	if (full < ZYDIS_REGISTER_RAX || full > ZYDIS_REGISTER_R15)
		return -1;
	return (int)(full - ZYDIS_REGISTER_RAX);
}

static void register_forget(struct path *path, ZydisRegister reg)
{
	int number = register_number(reg);

	if (number >= 0)
		path->known &= ~(1U << number);
}

static void register_set(struct path *path, ZydisRegister reg, uint64_t value)
{
	int number = register_number(reg);

	if (number < 0)
		return;
	path->known |= 1U << number;
	path->values[number] = value;
}

static bool register_get(const struct path *path, ZydisRegister reg, uint64_t *value)
{
	int number = register_number(reg);

	if (number < 0 || !(path->known & 1U << number))
		return false;
	*value = path->values[number];
	return true;
}

/* The address in the process of a memory operand, where the code determines it. */
static bool operand_address(const struct walk *walk, const struct path *path,
			    const struct insn *insn, const ZydisDecodedOperandMem *operand,
			    uint64_t *address)
{
	uint64_t base = 0;

	if (operand->segment == ZYDIS_REGISTER_FS || operand->segment == ZYDIS_REGISTER_GS ||
	    operand->index != ZYDIS_REGISTER_NONE)
		return false;
	if (operand->base == ZYDIS_REGISTER_RIP)
		base = insn_end(insn) + walk->load_bias;
	else if (operand->base != ZYDIS_REGISTER_NONE && !register_get(path, operand->base, &base))
		return false;
	*address = base + (operand->disp.has_displacement ? (uint64_t)operand->disp.value : 0);
	return true;
}

static void record_load(struct walk *walk, uint64_t address, uint32_t size)
{
	struct load load = { .address = address, .size = size };

	g_array_append_val(walk->loads, load);
}

/* The value that a mov or lea gives its destination, where it is known. */
static bool moved_value(const struct walk *walk, const struct path *path, const struct insn *insn,
			const ZydisDecodedOperand *source, uint64_t *value)
{
	uint64_t address;

	switch (source->type) {
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		/* "mov $variable, %ebx" of builds at fixed addresses: zero-extended. */
		*value = source->imm.value.u;
		if (insn->decoded.operand_width == 32)
			*value &= UINT32_MAX;
		return insn->decoded.operand_width >= 32;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return insn->decoded.operand_width == 64 &&
		       register_get(path, source->reg.value, value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (!operand_address(walk, path, insn, &source->mem, &address))
			return false;
		if (insn->decoded.mnemonic == ZYDIS_MNEMONIC_LEA) {
			*value = address;
			return true;
		}
		return source->size == WORD * 8 && memory_read_u64(walk->memory, address, value);
	default:
		return false;
	}
}

static void forget_call_clobbered(struct path *path)
{
	/* System V ABI, in Zydis's order: rax, rcx, rdx, rsi, rdi, r8 to r11 */
	static const ZydisRegister clobbered[] = {
		ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_R8,
		ZYDIS_REGISTER_R9,  ZYDIS_REGISTER_R10, ZYDIS_REGISTER_R11,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(clobbered); i++)
		register_forget(path, clobbered[i]);
}

/* Records what @insn loads and follows what it does to registers. */
static void interpret(struct walk *walk, struct path *path, const struct insn *insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned int count = insn_operands(&walk->decoder, insn, operands);
	bool moves = insn->decoded.mnemonic == ZYDIS_MNEMONIC_MOV ||
		     insn->decoded.mnemonic == ZYDIS_MNEMONIC_LEA;
	uint64_t address, value = 0;
	bool is_known;

	for (unsigned int i = 0; i < count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    operands[i].mem.type == ZYDIS_MEMOP_TYPE_MEM &&
		    operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ &&
		    operand_address(walk, path, insn, &operands[i].mem, &address))
			record_load(walk, address, operands[i].size / 8);
	is_known = moves && count >= 2 && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		   moved_value(walk, path, insn, &operands[1], &value);
	for (unsigned int i = 0; i < count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			register_forget(path, operands[i].reg.value);
	if (is_known)
		register_set(path, operands[0].reg.value, value);
	if (insn->decoded.mnemonic == ZYDIS_MNEMONIC_CALL)
		forget_call_clobbered(path);
}

/* Where the path goes on after @insn; false where it ends. */
static bool advance(struct walk *walk, struct path *path, const struct insn *insn)
{
	uint64_t target;

	if (insn_is_direct_jmp(insn))
		return insn_branch_target(insn, &path->address);
	if (insn_is_jcc(insn) && insn_branch_target(insn, &target) &&
	    walk->pending_end < MOST_PATHS) {
		walk->pending[walk->pending_end] = *path;
		walk->pending[walk->pending_end++].address = target;
	}
	path->address = insn_end(insn);
	return !insn_is_control_flow(insn) || insn_is_jcc(insn) ||
	       insn->decoded.mnemonic == ZYDIS_MNEMONIC_CALL;
}

GArray *function_loads(const struct elf_image *image, const struct memory *memory,
		       uint64_t load_bias, uint64_t function)
{
	struct walk walk = {
		.image = image,
		.memory = memory,
		.load_bias = load_bias,
		.seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
		.loads = g_array_new(FALSE, FALSE, sizeof(struct load)),
	};
	struct insn insn;

	insn_decoder_init(&walk.decoder);
	walk.pending[walk.pending_end++].address = function;
	while (walk.pending_first < walk.pending_end) {
		struct path path = walk.pending[walk.pending_first++];

		do {
			if (g_hash_table_size(walk.seen) == MOST_INSTRUCTIONS ||
			    !insn_decode(&walk.decoder, image, path.address, &insn) ||
			    !g_hash_table_add(walk.seen,
					      g_memdup2(&path.address, sizeof(path.address))))
				break;
			interpret(&walk, &path, &insn);
		} while (advance(&walk, &path, &insn));
	}
	g_hash_table_unref(walk.seen);
	return walk.loads;
}

/* Whether some load covers the word at @address. */
static bool is_loaded(const GArray *loads, uint64_t address)
{
	for (guint i = 0; i < loads->len; i++) {
		const struct load *load = &g_array_index(loads, struct load, i);

		if (load->size >= WORD && address >= load->address &&
		    address - load->address <= load->size - WORD &&
		    (address - load->address) % WORD == 0)
			return true;
	}
	return false;
}

/* The start of the first run of exactly or at least @words adjacent words, in the order of the
 * loads. */
static bool first_run(const GArray *loads, unsigned int words, uint64_t *address)
{
	for (guint i = 0; i < loads->len; i++) {
		const struct load *load = &g_array_index(loads, struct load, i);
		uint64_t start = load->address;
		unsigned int run = 1;

		if (load->size < WORD)
			continue;
		/* A pair may be loaded from its end: Debian's PyObject_Malloc loads the function
		 * first. */
		for (unsigned int back = 1; back < words && is_loaded(loads, start - WORD); back++)
			start -= WORD;
		while (run < words && is_loaded(loads, start + (uint64_t)run * WORD))
			run++;
		if (run == words) {
			*address = start;
			return true;
		}
	}
	return false;
}

bool loads_first_word(const GArray *loads, uint64_t *address)
{
	return first_run(loads, 1, address);
}

bool loads_first_pair(const GArray *loads, uint64_t *address)
{
	return first_run(loads, 2, address);
}

bool loads_first_triple(const GArray *loads, uint64_t *address)
{
	return first_run(loads, 3, address);
}
