// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/sites.h"

#include "base/error.h"
#include "cpython/pools.h"
#include "cpython/value_trace.h"
#include "elf/insn.h"

enum {
	/* Instructions before the jump that are looked at. Compilers put the load, the compare and
	   the jump next to each other. */
	WINDOW = 16,
	/* Between the compare and the jump there may be some scheduled in between. */
	COMPARE_REACH = 6,
	/* Instructions after the jump. A debug build checks much before it takes the block. */
	PATH_LIMIT = 64,
	/* struct pool_header, Objects/obmalloc.c, 2.7 to 3.15 */
	POOL_COUNT = 0,
	POOL_FREEBLOCK = 8,
	POOL_NEXTPOOL = 16,
	/* usedpools has two words for each class, the first of which is the one that is read. */
	LIST_BYTES = 16,
};

/* The last instructions of a straight run of code, as a ring. */
struct window {
	struct insn insns[WINDOW];
	unsigned int next, count;
};

static struct insn *window_slot(struct window *window)
{
	return &window->insns[window->next];
}

static void window_advance(struct window *window)
{
	window->next = (window->next + 1) % WINDOW;
	window->count = MIN(window->count + 1, WINDOW);
}

/* The instruction @back places before the last one; @back < count. */
static const struct insn *window_back(const struct window *window, unsigned int back)
{
	return &window->insns[(window->next + 2 * WINDOW - 1 - back) % WINDOW];
}

static bool is_equality_jump(const struct insn *insn)
{
	return insn_is_jcc(insn) && (insn->decoded.mnemonic == ZYDIS_MNEMONIC_JZ ||
				     insn->decoded.mnemonic == ZYDIS_MNEMONIC_JNZ);
}

/* A quick look that spares most jumps the trace: a 64-bit compare of registers or memory shortly
 * before. */
static bool may_compare_pools(const struct window *window)
{
	for (unsigned int back = 1; back < MIN(window->count, COMPARE_REACH + 1U); back++) {
		const ZydisDecodedInstruction *decoded = &window_back(window, back)->decoded;
		if (decoded->mnemonic == ZYDIS_MNEMONIC_CMP)
			return decoded->operand_width == 64 &&
			       (decoded->opcode == 0x39 || decoded->opcode == 0x3b);
	}
	return false;
}

/* Follows the instructions before the jump. Returns whether it depends on P == P->nextpool, and the
 * value P. */
static bool trace_window(struct value_trace *trace, const struct window *window, uint32_t *pool)
{
	for (unsigned int back = window->count - 1; back > 0; back--) {
		if (!value_trace_step(trace, window_back(window, back)))
			return false;
	}
	if (!trace->compared)
		return false;
	uint32_t left = trace->compared_values[0], right = trace->compared_values[1];
	*pool = value_is_loaded_from(trace, right, left, POOL_NEXTPOOL) ? left : right;
	return value_is_loaded_from(trace, *pool == left ? right : left, *pool, POOL_NEXTPOOL);
}

/* What the fast path must do with the pool, seen so far: ++pool->ref.count, pool->freeblock =
 * *pool->freeblock. */
struct fast_path {
	bool counted;
	bool taken;
};

static bool is_count_plus_one(const struct value_trace *trace, uint32_t value, uint32_t pool)
{
	return trace->values[value].kind == VALUE_PLUS_ONE &&
	       value_is_loaded_from(trace, trace->values[value].base, pool, POOL_COUNT);
}

static void fast_path_note(struct fast_path *path, const struct value_trace *trace, uint32_t pool)
{
	const struct store *store = &trace->store;

	if (store->kind == STORE_NONE || store->base != pool)
		return;
	const struct value *stored = &trace->values[store->value];
	if (store->displacement == POOL_COUNT &&
	    (store->kind == STORE_INCREMENT || is_count_plus_one(trace, store->value, pool)))
		path->counted = true;
	if (store->displacement == POOL_FREEBLOCK && store->kind == STORE_VALUE &&
	    stored->kind == VALUE_LOADED && stored->displacement == 0 &&
	    value_is_loaded_from(trace, stored->base, pool, POOL_FREEBLOCK))
		path->taken = true;
}

/* Whether the code at @address, where the jump goes when P != P->nextpool, takes a block from
 * @pool. */
static bool takes_block(struct value_trace *trace, const struct elf_image *image, uint64_t address,
			uint32_t pool)
{
	struct fast_path path = { 0 };
	struct insn insn;

	for (unsigned int i = 0; i < PATH_LIMIT && !(path.counted && path.taken); i++) {
		if (!insn_decode(trace->decoder, image, address, &insn) ||
		    !value_trace_step(trace, &insn))
			return false;
		fast_path_note(&path, trace, pool);
		address = insn_end(&insn);
		/* Conditional jumps on the way belong to assertions of debug builds, and fall
		 * through when these hold. */
		if (insn_is_direct_jmp(&insn))
			insn_branch_target(&insn, &address);
		else if (insn_is_control_flow(&insn) && !insn_is_jcc(&insn))
			return false;
	}
	return path.counted && path.taken;
}

/* The register that holds @value, in struct pt_regs. */
static bool value_pt_regs_offset(const struct value_trace *trace, uint32_t value, uint32_t *offset)
{
	for (int i = 0; i < VALUE_TRACE_REGISTERS; i++) {
		if (trace->registers[i] == value)
			return insn_pt_regs_offset(ZYDIS_REGISTER_RAX + i, offset);
	}
	return false;
}

static void note_choice(const struct value_trace *trace, uint32_t pool,
			struct allocation_site *site)
{
	const struct value *value = &trace->values[pool];
	/* What a register holds that nothing is known of may point anywhere into a table. */
	bool fixed = value->base == VALUE_ZERO || trace->values[value->base].kind == VALUE_LOADED;

	site->choice = CHOICE_UNKNOWN;
	site->place = 0;
	if (value->kind == VALUE_ELEMENT)
		site->choice = CHOICE_ANY;
	else if (value->kind == VALUE_LOADED && fixed)
		site->choice = CHOICE_ONE;
	if (site->choice != CHOICE_UNKNOWN)
		site->place = value->displacement;
}

/* Whether the jump that is the last instruction of @window is an allocation site. */
static bool window_is_site(const struct window *window, const ZydisDecoder *decoder,
			   const struct elf_image *image, struct allocation_site *site)
{
	const struct insn *jump = window_back(window, 0);
	struct value_trace trace;
	uint64_t unequal = insn_end(jump);
	uint32_t pool;

	value_trace_init(&trace, decoder);
	if (!trace_window(&trace, window, &pool) ||
	    !value_pt_regs_offset(&trace, pool, &site->pt_regs_offset))
		return false;
	note_choice(&trace, pool, site);
	if (jump->decoded.mnemonic == ZYDIS_MNEMONIC_JNZ && !insn_branch_target(jump, &unequal))
		return false;
	return takes_block(&trace, image, unequal, pool) &&
	       elf_image_address_to_offset(image, jump->address, &site->offset);
}

void allocation_sites_in_function(const struct elf_image *image, const struct elf_range *range,
				  GArray *sites)
{
	size_t available = elf_image_available(image, range->start);
	size_t length = MIN(available, range->end - range->start);
	const uint8_t *bytes = elf_image_bytes(image, range->start, length);
	struct window window = { .next = 0 };
	struct allocation_site site;
	ZydisDecoder decoder;

	if (!bytes || !elf_image_is_code(image, range->start))
		return;
	insn_decoder_init(&decoder);
	for (size_t at = 0; at < length;) {
		struct insn *insn = window_slot(&window);

		/* Data, or what Zydis does not know: from here on no instruction start is certain.
		 */
		if (!insn_decode_bytes(&decoder, bytes + at, length - at, range->start + at, insn))
			return;
		at += insn->decoded.length;
		window_advance(&window);
		if (is_equality_jump(insn) && may_compare_pools(&window) &&
		    window_is_site(&window, &decoder, image, &site))
			g_array_append_val(sites, site);
		else if (insn->decoded.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
			 insn->decoded.meta.category == ZYDIS_CATEGORY_RET)
			window.count = 0; /* what follows is reached from elsewhere */
	}
}

static int compare_sites(const void *left, const void *right)
{
	const struct allocation_site *a = left, *b = right;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Sorts, and drops doubles: a hostile unwind table may name the same function many times. */
static void sort_unique(GArray *sites)
{
	guint kept = 0;

	g_array_sort(sites, compare_sites);
	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);
		if (kept == 0 ||
		    g_array_index(sites, struct allocation_site, kept - 1).offset != site->offset)
			g_array_index(sites, struct allocation_site, kept++) = *site;
	}
	g_array_set_size(sites, kept);
}

GArray *allocation_sites_find(struct elf_image *image, GError **error)
{
	g_autoptr(GArray) sites = g_array_new(false, true, sizeof(struct allocation_site));
	const GArray *functions = elf_image_functions(image);
	uint64_t done = 0;

	for (guint i = 0; i < functions->len; i++) {
		struct elf_range range = g_array_index(functions, struct elf_range, i);
		/* Sorted by start: overlapping ranges are a damaged table and would cost quadratic
		 * time. */
		if (range.start < done || range.end <= range.start)
			continue;
		allocation_sites_in_function(image, &range, sites);
		done = range.end;
	}
	if (functions->len == 0) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "the interpreter has no .eh_frame to tell where its functions begin; "
			    "use a build with unwind tables");
		return NULL;
	}
	if (sites->len == 0) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "found no copy of pymalloc's fast path in the interpreter's code; it "
			    "was built without pymalloc or "
			    "without optimisation (-O0), use an optimised build");
		return NULL;
	}
	sort_unique(sites);
	return g_steal_pointer(&sites);
}

/* The table that most of the sites choose from; false if none does. */
static bool usual_table(const GArray *sites, int64_t *place)
{
	g_autoptr(GHashTable) uses = g_hash_table_new(g_int64_hash, g_int64_equal);
	guint most = 0;

	for (guint i = 0; i < sites->len; i++) {
		struct allocation_site *site = &g_array_index(sites, struct allocation_site, i);
		guint count;

		if (site->choice != CHOICE_ANY)
			continue;
		count = GPOINTER_TO_UINT(g_hash_table_lookup(uses, &site->place)) + 1;
		g_hash_table_insert(uses, &site->place, GUINT_TO_POINTER(count));
		if (count > most) {
			most = count;
			*place = site->place;
		}
	}
	return most;
}

GArray *allocation_site_classes(const GArray *sites)
{
	GArray *classes = g_array_sized_new(false, false, sizeof(int), sites->len);
	int64_t table = 0, into;
	bool known = usual_table(sites, &table);

	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);
		int found = CLASS_UNKNOWN;

		if (known && site->choice == CHOICE_ONE &&
		    !__builtin_sub_overflow(site->place, table, &into) && into >= 0 &&
		    into < POOL_MAX_CLASSES * LIST_BYTES && into % LIST_BYTES == 0)
			found = (int)(into / LIST_BYTES);
		g_array_append_val(classes, found);
	}
	return classes;
}
