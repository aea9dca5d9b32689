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

#include "analyse/curve.h"
#include "bpf/abi.h"
#include "collect/snapshot.h"
#include "symbolize/stack.h"

enum verdict { VERDICT_LEAK, VERDICT_GROWING, VERDICT_STEADY, VERDICT_SHRINKING };
enum group_by { GROUP_BY_STACK, GROUP_BY_LINE, GROUP_BY_FUNCTION, GROUP_BY_FILE, GROUP_BY_MODULE };
struct report_target;

enum sort_by { SORT_BY_GROWTH, SORT_BY_BYTES, SORT_BY_BLOCKS, SORT_BY_RATE };

/* What some of a site's blocks are. */
struct site_type {
	char *name; /* "dict", "app.models.Order", "list items": cpython/block_class.h; owned */
	int64_t blocks, bytes;
};

struct site {
	uint64_t id; /* stable within a run and between runs of the same program: a hash of names,
			not addresses */
	enum family family; /* of most of its bytes */
	enum verdict verdict;
	double confidence; /* 0 to 1, in the verdict */
	bool estimated;	   /* sampled, not exact */
	bool with_memory;  /* a leak by help of the memory in use: verdict.h */
	bool judged;	   /* else there are sums and a stack only: the site ranks too low */
	int64_t outstanding_bytes, outstanding_blocks;
	int64_t alloc_bytes, alloc_blocks; /* all that was allocated since attach, freed or not */
	int64_t growth_bytes;		   /* since attach */
	int64_t interval_growth_bytes;
	double growth_bytes_per_s, growth_bytes_per_s_low,
		growth_bytes_per_s_high; /* over the whole trace; 95 % interval */
	double oldest_age_s;		 /* 0 when there is no block */
	/* Of what all sites hold; and of what the sites that grow gained for good (rank.h's
	 * growth), so that what was loaded once has no part in it. 0 to 1; -1: there is nothing. */
	/* The growth since attach, but at most twice that of the later half, less where only
	 * young blocks hold it, of estimates the lower end: what SORT_BY_GROWTH goes by. */
	int64_t sure_growth_bytes;
	double outstanding_share, growth_share;
	uint32_t stacks;		     /* that were summed up, families apart */
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
	GArray *types; /* of struct site_type, most bytes first: of the outstanding blocks as far as
			  they could be looked into; NULL: none could */
};

struct family_report {
	enum family_mode mode;
	double observed_fraction; /* of the time (sampled) or 1 (exact) */
	uint64_t windows, allocs, frees;
};

struct report {
	uint64_t seq; /* 1 for the first */
	enum group_by group_by;
	int64_t time_us; /* since the epoch, UTC */
	int32_t pid;
	int32_t parent_pid; /* of a process that is traced as the child of another; 0: it is not */
	struct report_target *target; /* of a process that came later than the header; or NULL */
	bool host;		      /* of one among all Python processes of the host: */
	bool watched_only;	      /* it is not traced, for its memory does not grow (enough) */
	double trend_bytes_per_s;     /* lasting growth of its memory of late; 0: there is none */
	bool last;
	bool exited; /* the process has, or runs another program by now */
	double elapsed_s, interval_s;
	uint64_t rss_bytes;
	int64_t rss_growth_bytes; /* since attach */
	struct memory_use memory;
	struct curve_summary curve; /* of the whole trace */
	GArray *curve_points;	    /* of struct curve_point */
	uint32_t threads;
	double overhead_pct; /* what tracing cost the target over the interval, estimated */
	double budget_scale; /* part of the budget that the host has time for, 0 to 1 */
	struct family_report families[FAMILY_COUNT];
	uint64_t lost[LOST_COUNT];
	double coverage; /* of pymalloc blocks that became live, the fraction seen; -1 unknown */
	uint64_t coverage_blocks; /* how many blocks that figure is of */
	double heap_fraction;	  /* of pymalloc's pools that are remembered: heap_index.h */
	uint64_t missed_events;	  /* forks, execs and exits of all processes that were not told */
	int64_t outstanding_bytes, outstanding_blocks, growth_bytes;
	double growth_bytes_per_s;
	double lasting_growth_bytes; /* of all sites that grow: growth_share is of this */
	/* With --merge-children, where these are sums over identical processes: of int32_t, their
	 * pids in order; how many such have exited since. NULL: of pid alone. */
	GArray *pids;
	uint64_t workers_exited;
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
	/* proc/container.h; all may be missing */
	char *cgroup, *container;
	int32_t namespace_pid; /* its pid as the process itself sees it; 0: not known */
};

struct report_header {
	char *version, *host, *kernel;
	int64_t started_us;
	GPtrArray *targets;			 /* of struct report_target * */
	GPtrArray *option_names, *option_values; /* of char *, pairs, JSON values as text ("10",
						    "true", "\"text\"") */
};

/* All of the host's Python processes at once. */
struct report_overview {
	const GPtrArray *reports; /* of struct report *: one on each */
	double elapsed_s;
	uint32_t traced;
	double cpu_pct;		/* pyleak's own CPU time of late, of the machine's */
	uint64_t missed_events; /* forks and execs that were not told */
};

struct report_end {
	int64_t time_us;
	const char *reason; /* "duration", "count", "signal", "target_exited" */
};

const char *family_name(enum family family);	     /* "pymalloc", "malloc", "mmap" */
const char *family_mode_name(enum family_mode mode); /* "exact", "sampled", "off" */
const char *group_by_name(enum group_by group_by);   /* "stack", "line", ... */
const char *verdict_name(enum verdict verdict);	     /* "leak", "growing", "steady", "shrinking" */
const char *lost_reason_name(enum lost_reason reason);	   /* "live_full", ...: keys in JSON */
const char *lost_reason_sentence(enum lost_reason reason); /* for people, after a count */

void report_free(struct report *report);
/*
 * @report with its first @top sites only. It borrows everything from @report, which must outlive
 * it; free with report_head_free().
 */
struct report *report_head(const struct report *report, uint32_t top);
void report_head_free(struct report *head);
struct report_target *report_target_copy(const struct report_target *target);
void report_target_free(void *target); /* fits GDestroyNotify; NULL is allowed */
void report_header_free(struct report_header *header);

#endif
