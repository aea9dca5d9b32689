// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Analyses recorded snapshots again (PYLEAK_SNAPSHOTS, or cases.py --record): what would be said of
 * them today, with no kernel and no target. `make build/tests/bench/replay`, then
 * replay [-a | -f FUNCTION] FILE...: one line for each site with the verdict leak (-a: for each of
 * the 3 first; -f: for those whose innermost function has such a name).
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "analyse/snapshot_file.h"

static void print_site(const char *name, const struct report *report, guint i)
{
	const struct site *site = &g_array_index(report->sites, struct site, i);
	const struct frame *frame =
		site->lead < site->stack.count ? &site->stack.frames[site->lead] : NULL;
	g_autofree char *file = g_path_get_basename(frame && frame->file ? frame->file : "?");

	printf("%-44s %4.0f s %2u %-9s %.3f %10" G_GINT64_FORMAT " B %7" G_GINT64_FORMAT
	       " blocks (%.0f to %.0f) grew %u/%u kept %5.2f of %5.0f s %s %s:%d of "
	       "%" G_GINT64_FORMAT "\n",
	       name, report->elapsed_s, i + 1, verdict_name(site->verdict), site->confidence,
	       site->outstanding_bytes, site->outstanding_blocks,
	       site->growth_bytes_per_s_low * report->elapsed_s,
	       site->growth_bytes_per_s_high * report->elapsed_s, site->intervals_grown,
	       site->intervals, site->retention, site->survival_age_s,
	       site->estimated ? "estimated" : "exact", file, frame ? frame->line : 0,
	       report->outstanding_bytes);
}

static bool is_wanted(const struct site *site, guint rank, const char *wanted)
{
	const char *leaf = site->stack.count ? site->stack.frames[0].function : NULL;

	if (!wanted)
		return site->verdict == VERDICT_LEAK;
	return *wanted ? leaf && strstr(leaf, wanted) : rank < 3;
}

static int replay(const char *path, const char *wanted)
{
	const struct analysis_options options = { .top = 1000, .judged = 200 };
	g_autofree char *name = g_path_get_basename(path);
	struct analysis *analysis = analysis_new(&options);
	FILE *stream = fopen(path, "re");
	struct saved_snapshot *saved;
	GError *error = NULL;

	while (stream && (saved = snapshot_read(stream, &error))) {
		const struct analysis_sources sources = { .stack = saved_snapshot_stack,
							  .context = saved };
		struct report *report = analysis_add(analysis, saved->snapshot, &sources);

		for (guint i = 0; i < report->sites->len; i++) {
			const struct site *site = &g_array_index(report->sites, struct site, i);

			if (is_wanted(site, i, wanted))
				print_site(name, report, i);
		}
		report_free(report);
		saved_snapshot_free(saved);
	}
	if (stream)
		fclose(stream);
	analysis_free(analysis);
	if (!stream || error)
		fprintf(stderr, "%s: %s\n", path, error ? error->message : "cannot be read");
	g_clear_error(&error);
	return stream ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *wanted = NULL;
	int i = 1, status = 0;

	if (argc > 1 && !strcmp(argv[1], "-a")) {
		wanted = "";
		i = 2;
	} else if (argc > 2 && !strcmp(argv[1], "-f")) {
		wanted = argv[2];
		i = 3;
	}
	for (; i < argc; i++)
		status |= replay(argv[i], wanted);
	return status;
}
