// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/workers.h"

#include <string.h>

#include "analyse/history.h"
#include "analyse/merge_reports.h"

/* What is remembered of a lot from round to round. */
struct lot {
	uint64_t seq, round; /* of the last round with a report */
	int32_t pid;	     /* the report went under it */
	uint64_t exited;
	struct report past; /* what was seen and missed in those that have exited */
	/* Of this round: */
	GPtrArray *running, *ended; /* of struct report *, owned */
};

struct workers {
	enum sort_by sort_by;
	uint64_t round;
	GHashTable *lots; /* struct lot by who they are */
	GArray *replaced;
};

static void free_report(void *report)
{
	report_free(report);
}

static struct lot *lot_new(void)
{
	struct lot *lot = g_new0(struct lot, 1);

	lot->running = g_ptr_array_new_with_free_func(free_report);
	lot->ended = g_ptr_array_new_with_free_func(free_report);
	return lot;
}

static void lot_free(void *data)
{
	struct lot *lot = data;

	g_ptr_array_unref(lot->running);
	g_ptr_array_unref(lot->ended);
	g_free(lot);
}

struct workers *workers_new(enum sort_by sort_by)
{
	struct workers *workers = g_new0(struct workers, 1);

	workers->sort_by = sort_by;
	workers->lots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, lot_free);
	workers->replaced = g_array_new(FALSE, FALSE, sizeof(int32_t));
	return workers;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	g_hash_table_unref(workers->lots);
	g_array_unref(workers->replaced);
	g_free(workers);
}

const GArray *workers_replaced(const struct workers *workers)
{
	return workers->replaced;
}

/* With its length, so that words are told apart whatever is in them. */
static void add_word(GString *name, const char *word)
{
	word = word ? word : "";
	g_string_append_printf(name, "%zu:%s", strlen(word), word);
}

/* Who the process is, the same for all of its lot. */
static char *lot_name(const struct report *report, const struct report_target *target)
{
	GString *name = g_string_new(NULL);

	if (!target) {
		g_string_printf(name, "%d", report->pid);
		return g_string_free(name, FALSE);
	}
	add_word(name, target->exe);
	add_word(name, target->python_version);
	add_word(name, target->container);
	for (char **word = target->cmdline; word && *word; word++) {
		if (strstr(*word, "multiprocessing.spawn"))
			g_string_append_printf(name, "spawned by %d", report->parent_pid);
		else
			add_word(name, *word);
	}
	return g_string_free(name, FALSE);
}

static bool has_pid(const GPtrArray *reports, int32_t pid)
{
	for (guint i = 0; i < reports->len; i++)
		if (((const struct report *)reports->pdata[i])->pid == pid)
			return true;
	return false;
}

/* Puts the one first that the others are children of. */
static void put_lead_first(GPtrArray *reports)
{
	guint lead = 0;

	for (guint i = 1; i < reports->len; i++) {
		const struct report *best = reports->pdata[lead], *report = reports->pdata[i];
		bool best_is_child = has_pid(reports, best->parent_pid);
		bool is_child = has_pid(reports, report->parent_pid);

		if (is_child != best_is_child ? best_is_child : report->pid < best->pid)
			lead = i;
	}
	if (reports->len) {
		void *first = reports->pdata[0];

		reports->pdata[0] = reports->pdata[lead];
		reports->pdata[lead] = first;
	}
}

static void add_past(struct report *to, const struct report *from)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		to->families[i].windows += from->families[i].windows;
		to->families[i].allocs += from->families[i].allocs;
		to->families[i].frees += from->families[i].frees;
	}
	for (size_t i = 0; i < LOST_COUNT; i++)
		to->lost[i] += from->lost[i];
}

static void remember_ended(struct lot *lot)
{
	for (guint i = 0; i < lot->ended->len; i++)
		add_past(&lot->past, lot->ended->pdata[i]);
	lot->exited += lot->ended->len;
}

static void say_ended(const struct lot *lot, struct report *report)
{
	int64_t bytes = 0;

	for (guint i = 0; i < lot->ended->len; i++)
		bytes = saturating_add(
			bytes, ((const struct report *)lot->ended->pdata[i])->outstanding_bytes);
	if (lot->ended->len)
		g_ptr_array_add(report->notes,
				g_strdup_printf("%u of these processes exited since the report "
						"before, and gave back %.1f MiB",
						lot->ended->len, bytes / 1048576.0));
}

/* The report of this round; takes what there is of it. */
static struct report *lot_report(struct lot *lot, enum sort_by sort_by)
{
	bool running = lot->running->len;
	GPtrArray *shown = running ? lot->running : lot->ended;
	struct report *report;

	put_lead_first(shown);
	if (running)
		remember_ended(lot);
	if (shown->len == 1 && !lot->exited) {
		report = g_ptr_array_steal_index(shown, 0);
	} else {
		report = merge_reports(shown, sort_by);
		add_past(report, &lot->past);
		if (running)
			say_ended(lot, report);
	}
	report->workers_exited = lot->exited;
	if (!running)
		remember_ended(lot);
	report->seq = ++lot->seq;
	g_ptr_array_set_size(lot->running, 0);
	g_ptr_array_set_size(lot->ended, 0);
	return report;
}

/* Sorts the @reports of a round by lot; those with a report in this round, in their order. */
static GPtrArray *sort_into_lots(struct workers *workers, GPtrArray *reports,
				 const GPtrArray *targets)
{
	GPtrArray *lots = g_ptr_array_new();

	for (guint i = 0; i < targets->len; i++) {
		struct report *report = g_ptr_array_steal_index(reports, 0);
		g_autofree char *name = lot_name(report, targets->pdata[i]);
		struct lot *lot = g_hash_table_lookup(workers->lots, name);

		if (!lot) {
			lot = lot_new();
			g_hash_table_insert(workers->lots, g_steal_pointer(&name), lot);
		}
		if (lot->round != workers->round)
			g_ptr_array_add(lots, lot);
		lot->round = workers->round;
		g_ptr_array_add(report->exited ? lot->ended : lot->running, report);
	}
	return lots;
}

/* Of workers that all end at once there are others a moment later: a round is waited for them. */
static gboolean is_over(void *name, void *data, void *context)
{
	const struct lot *lot = data;

	(void)name;
	return lot->round + 1 < *(const uint64_t *)context;
}

void workers_merge(struct workers *workers, GPtrArray *reports, const GPtrArray *targets)
{
	g_autoptr(GPtrArray) lots = NULL;

	workers->round++;
	g_array_set_size(workers->replaced, 0);
	lots = sort_into_lots(workers, reports, targets);
	for (guint i = 0; i < lots->len; i++) {
		struct lot *lot = lots->pdata[i];
		struct report *report = lot_report(lot, workers->sort_by);

		if (lot->pid && lot->pid != report->pid)
			g_array_append_val(workers->replaced, lot->pid);
		lot->pid = report->pid;
		g_ptr_array_add(reports, report);
	}
	g_hash_table_foreach_remove(workers->lots, is_over, &workers->round);
}
