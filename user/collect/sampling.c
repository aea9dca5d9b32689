// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/sampling.h"

#include "collect/cells.h"
#include "collect/epochs.h"
#include "collect/fingerprints.h"

/* Temporaries that were alive when a window closed are not survivors: their places are taken by
 * others before anybody looks. */
static const uint64_t SURVIVOR_AGE_NS = 300000000;
/*
 * After so long a survivor is believed: by then several looks have compared it with what it was,
 * and several windows have seen whether its place was handed out again. (tests/bench/accuracy.py)
 */
static const uint64_t YOUNG_NS = 5000000000;
struct sampling {
	struct governor *governor;
	const struct memory *memory;
	bool is_glibc;
	struct fingerprints *fingerprints;
	struct epochs *epochs[FAMILY_COUNT];
	struct observation observed[FAMILY_COUNT]; /* up to the last look */
	uint64_t began_ns, looked_ns, young_ns;
	uint64_t whole_looked_ns[FAMILY_COUNT]; /* the last look while all was seen */
	double spent_ns;
	struct cells *cells; /* during a look */
};

struct sampling *sampling_new(struct governor *governor, const struct memory *memory, bool is_glibc,
			      uint32_t most, uint64_t now_ns)
{
	struct sampling *sampling = g_new0(struct sampling, 1);

	sampling->governor = governor;
	sampling->memory = memory;
	sampling->is_glibc = is_glibc;
	sampling->fingerprints = fingerprints_new(most);
	sampling->began_ns = sampling->looked_ns = now_ns;
	for (int family = 0; family < FAMILY_COUNT; family++)
		sampling->epochs[family] = epochs_new(now_ns);
	return sampling;
}

void sampling_free(struct sampling *sampling)
{
	if (!sampling)
		return;
	for (int family = 0; family < FAMILY_COUNT; family++)
		epochs_free(sampling->epochs[family]);
	fingerprints_free(sampling->fingerprints);
	cells_free(sampling->cells);
	g_free(sampling);
}

/* The births of @burst that may be survivors, an array of const struct birth *: a place that was
 * handed out again counts only with its last block. */
static GPtrArray *last_births(const struct ended_burst *burst)
{
	g_autoptr(GHashTable) last = g_hash_table_new(g_int64_hash, g_int64_equal);
	GPtrArray *births = g_ptr_array_sized_new(burst->kept);

	for (uint32_t i = 0; i < burst->count; i++)
		g_hash_table_insert(last, (void *)&burst->births[i].key, (void *)&burst->births[i]);
	for (uint32_t i = 0; i < burst->kept; i++)
		if (g_hash_table_lookup(last, &burst->births[i].key) == &burst->births[i])
			g_ptr_array_add(births, (void *)&burst->births[i]);
	return births;
}

static void take_birth(struct sampling *sampling, const struct ended_burst *burst,
		       const struct birth *birth, const struct memory *memory)
{
	struct fingerprint_subject subject = {
		.family = burst->family,
		.is_glibc = sampling->is_glibc,
		.address = PYLEAK_KEY_ADDRESS(birth->key),
		.tag = birth->tag,
		.size = birth->size,
	};

	if (burst->family != FAMILY_PYMALLOC ||
	    fingerprints_is_as_born(sampling->fingerprints, memory, birth))
		fingerprints_take(sampling->fingerprints, memory, &subject,
				  burst_expected_ns(burst, birth));
}

/* The process goes on meanwhile, so all blocks are read in one go. */
void sampling_burst_ended(void *context, const struct ended_burst *burst)
{
	struct sampling *sampling = context;
	g_autoptr(GPtrArray) births = last_births(burst);
	g_autofree uint64_t *starts = g_new(uint64_t, births->len + 1);
	g_autofree uint8_t *bytes = g_malloc((births->len + 1) * FINGERPRINT_BYTES);
	g_autofree bool *read = g_new(bool, births->len + 1);

	for (guint i = 0; i < births->len; i++) {
		const struct birth *birth = births->pdata[i];

		starts[i] = PYLEAK_KEY_ADDRESS(birth->key) - FINGERPRINT_BEFORE;
	}
	memory_read_any(sampling->memory, starts, births->len, bytes, FINGERPRINT_BYTES, read);
	for (guint i = 0; i < births->len; i++) {
		struct piece_memory block;

		/* What ends before so many bytes is read by itself. */
		piece_memory_init(&block, sampling->memory, starts[i],
				  bytes + i * FINGERPRINT_BYTES, read[i] ? FINGERPRINT_BYTES : 0);
		take_birth(sampling, burst, births->pdata[i], &block.base);
	}
}

void sampling_begin(struct sampling *sampling, uint64_t now_ns)
{
	double spent = governor_spent_ns(sampling->governor);
	double own = (double)(now_ns - sampling->looked_ns) - (spent - sampling->spent_ns);

	for (int family = 0; family < FAMILY_COUNT; family++) {
		struct observation *known = &sampling->observed[family], observed;
		double whole;

		governor_observe(sampling->governor, family, &observed);
		/* Mappings have no fingerprints that tell which kind of window saw them. */
		whole = family == FAMILY_MMAP ? 0 : observed.whole_ns - known->whole_ns;
		epochs_add(sampling->epochs[family], now_ns, own - whole,
			   observed.observed_ns - known->observed_ns - whole,
			   observed.windows - known->windows);
		*known = observed;
		if (observed.whole_until_ns == UINT64_MAX)
			sampling->whole_looked_ns[family] = now_ns;
	}
	sampling->spent_ns = spent;
	sampling->looked_ns = now_ns;
	sampling->young_ns = CLAMP((now_ns - sampling->began_ns) / SURVIVOR_AGES, 1, YOUNG_NS);
	/* Those of a look that failed. */
	cells_free(sampling->cells);
	sampling->cells = cells_new();
}

bool sampling_is_same(struct sampling *sampling, enum family family, uint64_t address, uint64_t tag,
		      uint64_t size, uint64_t born_ns, double *window_ns)
{
	const struct observation *observed = &sampling->observed[family];
	struct fingerprint_subject subject = { family, sampling->is_glibc, address, tag, size };

	*window_ns = observed->always ? 0 : -1;
	/* Mappings are asked of /proc/PID/maps. */
	if (observed->always || family == FAMILY_MMAP)
		return true;
	/* Of a burst that is still open, or has just ended. */
	if (born_ns + SURVIVOR_AGE_NS > sampling->looked_ns)
		return true;
	/*
	 * While all is seen a block is known to be the one that it was; its fingerprint is for
	 * later. It cannot be taken any more when the window has closed since it was last looked
	 * at.
	 */
	return fingerprints_match(
		sampling->fingerprints, sampling->memory, &subject,
		born_ns >= observed->whole_since_ns &&
			born_ns < MIN(observed->whole_until_ns, sampling->whole_looked_ns[family]),
		window_ns);
}

enum survivor_age sampling_age(const struct sampling *sampling, uint64_t born_ns)
{
	uint64_t age = sampling->looked_ns - MIN(born_ns, sampling->looked_ns);

	return MIN(age / sampling->young_ns, SURVIVOR_OLD);
}

uint64_t sampling_young_ns(const struct sampling *sampling)
{
	return sampling->young_ns;
}

double sampling_count(struct sampling *sampling, enum family family,
		      const struct survivor *survivor)
{
	double weight = 1;

	if (survivor->born_ns + SURVIVOR_AGE_NS > sampling->looked_ns &&
	    !sampling->observed[family].always)
		return 0;
	if (survivor->window_ns != 0)
		weight = epochs_weight(sampling->epochs[family], survivor->born_ns,
				       survivor->window_ns);
	cells_add(sampling->cells, survivor, weight);
	return weight;
}

/* What was born late in a burst is not looked at again, so it must not count among what could have
 * survived either. */
static void drop_unkept_births(const struct sampling *sampling, struct snapshot *snapshot)
{
	for (guint i = 0; i < snapshot->contexts->len; i++) {
		struct snapshot_context *context =
			&g_array_index(snapshot->contexts, struct snapshot_context, i);

		if (snapshot->families[context->family].mode == FAMILY_MODE_SAMPLED)
			context->old_alloc_blocks *= sampling->observed[context->family].kept_share;
	}
}

void sampling_finish(struct sampling *sampling, struct snapshot *snapshot)
{
	double length = sampling->looked_ns - sampling->began_ns;

	snapshot->cells = cells_sum(sampling->cells);
	g_clear_pointer(&sampling->cells, cells_free);
	fingerprints_sweep(sampling->fingerprints);
	snapshot->lost[LOST_LIVE_FULL] += fingerprints_refused(sampling->fingerprints);
	snapshot->malloc_own_share = sampling->observed[FAMILY_MALLOC].own_share;
	for (int family = 0; family < FAMILY_COUNT; family++) {
		const struct observation *observed = &sampling->observed[family];

		if (snapshot->families[family].mode == FAMILY_MODE_OFF || observed->always)
			continue;
		snapshot->families[family].mode = FAMILY_MODE_SAMPLED;
		snapshot->families[family].observed_fraction =
			length > 0 ? MIN(observed->observed_ns / length, 1) : 0;
		snapshot->families[family].windows = observed->windows;
	}
	drop_unkept_births(sampling, snapshot);
}
