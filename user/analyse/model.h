/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a report says, independent of how it is written. analyse/ makes it, report/ writes it, a
 * saved one can be read back. All times are seconds unless the name says otherwise; all sizes
 * bytes. Everything reachable from a struct report is owned by it and freed by report_free();
 * strings marked interned are not.
 */
#ifndef PYLEAK_ANALYSE_MODEL_H
#define PYLEAK_ANALYSE_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "bpf/abi.h"
#include "collect/snapshot.h"
#include "symbolize/stack.h"

enum verdict { VERDICT_LEAK, VERDICT_GROWING, VERDICT_STEADY, VERDICT_SHRINKING };
enum group_by { GROUP_BY_STACK, GROUP_BY_LINE, GROUP_BY_FUNCTION, GROUP_BY_FILE, GROUP_BY_MODULE };
enum sort_by { SORT_BY_GROWTH, SORT_BY_BYTES, SORT_BY_BLOCKS, SORT_BY_RATE };

struct site {
	uint64_t id; /* stable within a run and between runs of the same program: a hash of names,
			not addresses */
	enum family family; /* of most of its bytes */
	enum verdict verdict;
	double confidence; /* 0 to 1, in the verdict */
	bool estimated;	   /* sampled, not exact */
	int64_t outstanding_bytes, outstanding_blocks;
	int64_t growth_bytes; /* since attach */
	int64_t interval_growth_bytes;
	double growth_bytes_per_s, growth_bytes_per_s_low,
		growth_bytes_per_s_high;     /* over the whole trace; 95 % interval */
	double oldest_age_s;		     /* 0 when there is no block */
	uint32_t intervals_grown, intervals; /* of how many observed intervals the site grew */
	double survival; /* of the blocks allocated survival_age_s ago or earlier, the fraction
			    still there; -1 unknown */
	double survival_age_s;
	double retention; /* of the blocks outstanding survival_age_s ago, the fraction still there;
			     -1 unknown */
	struct stack stack; /* borrowed frames' strings are interned; the array is owned */
	uint32_t lead; /* index of the frame to highlight: the first that is the user's own code; 0
			  if none */
	char *source;  /* text of the leading frame's line, white space trimmed, or NULL */
};

struct family_report {
	enum family_mode mode;
	double observed_fraction; /* of the time (sampled) or 1 (exact) */
	uint64_t windows, allocs, frees;
};

struct report {
	uint64_t seq;	 /* 1 for the first */
	int64_t time_us; /* since the epoch, UTC */
	int32_t pid;
	bool last;
	double elapsed_s, interval_s;
	uint64_t rss_bytes;
	int64_t rss_growth_bytes; /* since attach */
	uint32_t threads;
	double overhead_pct; /* what tracing cost the target over the interval, estimated */
	struct family_report families[FAMILY_COUNT];
	uint64_t lost[LOST_COUNT];
	double coverage; /* of pymalloc blocks that became live, the fraction seen; -1 unknown */
	uint64_t coverage_blocks; /* how many blocks that figure is of */
	int64_t outstanding_bytes, outstanding_blocks, growth_bytes;
	double growth_bytes_per_s;
	uint32_t sites_total; /* before --top cut the list */
	GArray *sites;	      /* of struct site, ranked */
	GPtrArray *notes;     /* of char *: sentences for people about this report ("target exited;
				 figures of 0.4 s before") */
};

struct report_target {
	int32_t pid;
	char **cmdline;
	char *exe;
	char *python_version;
	bool shared, stripped;
	char *allocator; /* "pymalloc", ... for people */
};

struct report_header {
	char *version, *host, *kernel;
	int64_t started_us;
	GPtrArray *targets;			 /* of struct report_target * */
	GPtrArray *option_names, *option_values; /* of char *, pairs, JSON values as text ("10",
						    "true", "\"text\"") */
};

struct report_end {
	int64_t time_us;
	const char *reason; /* "duration", "count", "signal", "target_exited" */
};

const char *family_name(enum family family);	     /* "pymalloc", "malloc", "mmap" */
const char *family_mode_name(enum family_mode mode); /* "exact", "sampled", "off" */
const char *verdict_name(enum verdict verdict);	     /* "leak", "growing", "steady", "shrinking" */
const char *lost_reason_name(enum lost_reason reason);	   /* "live_full", ...: keys in JSON */
const char *lost_reason_sentence(enum lost_reason reason); /* for people, after a count */

void report_free(struct report *report);
void report_header_free(struct report_header *header);

#endif
