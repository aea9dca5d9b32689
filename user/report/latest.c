// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/latest.h"

struct entry {
	struct report *report;
	struct report_target *target;
};

struct latest {
	GMutex lock;
	struct report_header *header; /* set once, before any reader; then never changed */
	GPtrArray *entries;	      /* of struct entry, by pid; replaced, never changed */
	uint64_t generation;
	int64_t beat_us;
};

static struct report_target *target_copy(const struct report_target *target, int32_t pid)
{
	struct report_target unknown = { .pid = pid };

	return report_target_copy(target ? target : &unknown);
}

static void entry_clear(void *data)
{
	struct entry *entry = data;

	report_free(entry->report);
	report_target_free(entry->target);
}

static void entry_release(void *entry)
{
	g_atomic_rc_box_release_full(entry, entry_clear);
}

static GPtrArray *entries_new(void)
{
	return g_ptr_array_new_with_free_func(entry_release);
}

struct latest *latest_new(void)
{
	struct latest *latest = g_new0(struct latest, 1);

	g_mutex_init(&latest->lock);
	latest->entries = entries_new();
	return latest;
}

void latest_free(struct latest *latest)
{
	if (!latest)
		return;
	report_header_free(latest->header);
	g_ptr_array_unref(latest->entries);
	g_mutex_clear(&latest->lock);
	g_free(latest);
}

static void copy_string(void *text, void *array)
{
	g_ptr_array_add(array, g_strdup(text));
}

void latest_set_header(struct latest *latest, const struct report_header *header)
{
	struct report_header *copy = g_new0(struct report_header, 1);

	copy->version = g_strdup(header->version);
	copy->host = g_strdup(header->host);
	copy->kernel = g_strdup(header->kernel);
	copy->started_us = header->started_us;
	copy->option_names = g_ptr_array_new();
	copy->option_values = g_ptr_array_new();
	g_ptr_array_foreach(header->option_names, copy_string, copy->option_names);
	g_ptr_array_foreach(header->option_values, copy_string, copy->option_values);
	g_mutex_lock(&latest->lock);
	g_assert(!latest->header);
	latest->header = copy;
	latest->generation++;
	g_mutex_unlock(&latest->lock);
}

static int by_pid(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;
	int32_t first = (*left)->report->pid, second = (*right)->report->pid;

	return (first > second) - (first < second);
}

/* The entries without that of @pid and with @entry (NULL: none) take the place of those before. */
static void replace(struct latest *latest, int32_t pid, struct entry *entry)
{
	GPtrArray *entries = entries_new(), *before;

	g_mutex_lock(&latest->lock);
	before = latest->entries;
	for (guint i = 0; i < before->len; i++) {
		struct entry *other = before->pdata[i];

		if (other->report->pid != pid)
			g_ptr_array_add(entries, g_atomic_rc_box_acquire(other));
	}
	if (entry)
		g_ptr_array_add(entries, entry);
	g_ptr_array_sort(entries, by_pid);
	latest->entries = entries;
	latest->generation++;
	g_mutex_unlock(&latest->lock);
	/* Frees the report that was replaced, unless a reader has it: not under the lock. */
	g_ptr_array_unref(before);
}

void latest_put(struct latest *latest, struct report *report, const struct report_target *target)
{
	struct entry *entry = g_atomic_rc_box_new0(struct entry);

	entry->report = report;
	entry->target = target_copy(target, report->pid);
	replace(latest, report->pid, entry);
}

void latest_remove(struct latest *latest, int32_t pid)
{
	replace(latest, pid, NULL);
}

void latest_beat(struct latest *latest)
{
	g_mutex_lock(&latest->lock);
	latest->beat_us = g_get_monotonic_time();
	g_mutex_unlock(&latest->lock);
}

struct latest_view *latest_view(struct latest *latest)
{
	struct latest_view *view = g_new0(struct latest_view, 1);

	g_mutex_lock(&latest->lock);
	view->entries = g_ptr_array_ref(latest->entries);
	view->generation = latest->generation;
	view->beat_us = latest->beat_us;
	if (latest->header)
		view->header = *latest->header;
	g_mutex_unlock(&latest->lock);
	view->reports = g_ptr_array_new();
	view->header.targets = g_ptr_array_new();
	for (guint i = 0; i < view->entries->len; i++) {
		const struct entry *entry = view->entries->pdata[i];

		g_ptr_array_add(view->reports, entry->report);
		g_ptr_array_add(view->header.targets, entry->target);
	}
	return view;
}

void latest_view_free(struct latest_view *view)
{
	if (!view)
		return;
	g_ptr_array_unref(view->reports);
	g_ptr_array_unref(view->header.targets);
	g_ptr_array_unref(view->entries);
	g_free(view);
}

uint64_t latest_generation(struct latest *latest)
{
	uint64_t generation;

	g_mutex_lock(&latest->lock);
	generation = latest->generation;
	g_mutex_unlock(&latest->lock);
	return generation;
}
