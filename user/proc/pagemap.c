// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/pagemap.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum {
	PAGE = 4096, /* x86-64 */
	REGIONS = 512,
	ENTRIES = 8192,
};

/* include/uapi/linux/fs.h of Linux 6.7; Debian 12 has the headers of 6.1. */
struct page_region {
	uint64_t start, end, categories;
};

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end;
	uint64_t vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
static const uint64_t PAGE_IS_PRESENT = 1 << 3, PAGE_IS_SWAPPED = 1 << 4, PAGE_IS_PFNZERO = 1 << 5;

/* Bits of an entry of the file: pagemap.rst. */
static const uint64_t ENTRY_PRESENT = UINT64_C(1) << 63, ENTRY_SWAPPED = UINT64_C(1) << 62;

static void add_range(GArray *ranges, guint first, struct memory_range range)
{
	struct memory_range *last = NULL;

	if (ranges->len > first)
		last = &g_array_index(ranges, struct memory_range, ranges->len - 1);
	if (last && last->end == range.start && last->resident == range.resident)
		last->end = range.end;
	else
		g_array_append_val(ranges, range);
}

bool pagemap_scan(int fd, const struct memory_range *span, GArray *ranges)
{
	struct page_region regions[REGIONS];
	guint first = ranges->len;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = span->start,
		.end = span->end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_inverted = PAGE_IS_PFNZERO,
		.category_mask = PAGE_IS_PFNZERO,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT,
	};

	while (scan.start < span->end) {
		int count = ioctl(fd, PAGEMAP_SCAN, &scan);

		if (count < 0) {
			g_array_set_size(ranges, first);
			return false;
		}
		for (int i = 0; i < count; i++)
			add_range(ranges, first,
				  (struct memory_range){ regions[i].start, regions[i].end,
							 regions[i].categories & PAGE_IS_PRESENT });
		/* It always gets on; should a kernel not, then no further. */
		if (scan.walk_end <= scan.start)
			break;
		scan.start = scan.walk_end;
	}
	return true;
}

bool pagemap_read(int fd, const struct memory_range *span, GArray *ranges)
{
	g_autofree uint64_t *entries = g_new(uint64_t, ENTRIES);
	uint64_t page = span->start / PAGE, end = span->end / PAGE;
	guint first = ranges->len;

	while (page < end) {
		size_t size = MIN(end - page, (uint64_t)ENTRIES) * sizeof(*entries);
		ssize_t count = pread(fd, entries, size, page * sizeof(*entries));

		if (count < (ssize_t)sizeof(*entries)) {
			g_array_set_size(ranges, first);
			return false;
		}
		for (size_t i = 0; i < count / sizeof(*entries); i++, page++) {
			if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED))
				add_range(ranges, first,
					  (struct memory_range){ page * PAGE, (page + 1) * PAGE,
								 entries[i] & ENTRY_PRESENT });
		}
	}
	return true;
}
