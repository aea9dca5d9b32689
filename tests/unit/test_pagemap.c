// SPDX-License-Identifier: GPL-2.0-or-later
/* Which pages hold anything: of this very process, whose pages the test touches itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "proc/pagemap.h"

enum { PAGE = 4096, PAGES = 3000 };

static volatile char *pages_new(void)
{
	char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(madvise(pages, PAGES * PAGE, MADV_NOHUGEPAGE), 0);
	return pages;
}

static struct memory_range span_of(volatile char *pages)
{
	return (struct memory_range){ (uintptr_t)pages, (uintptr_t)pages + PAGES * PAGE, false };
}

static int open_pagemap(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void assert_ranges(const GArray *ranges, volatile char *pages, const int (*expected)[2],
			  guint count)
{
	assert_int_equal(ranges->len, count);
	for (guint i = 0; i < count; i++) {
		const struct memory_range *range = &g_array_index(ranges, struct memory_range, i);

		assert_int_equal((range->start - (uintptr_t)pages) / PAGE, expected[i][0]);
		assert_int_equal((range->end - (uintptr_t)pages) / PAGE, expected[i][1]);
		assert_true(range->resident);
	}
}

static void touched_pages_are_found_and_zeros_are_not(void **state)
{
	static const int expected[][2] = { { 0, 1 }, { 10, 13 }, { PAGES - 1, PAGES } };
	volatile char *pages = pages_new();
	struct memory_range span = span_of(pages);
	g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(struct memory_range));
	int fd = open_pagemap();

	(void)state;
	pages[0] = pages[10 * PAGE] = pages[11 * PAGE + 5] = pages[12 * PAGE] = 1;
	pages[PAGES * PAGE - 1] = 1;
	assert_int_equal(pages[500 * PAGE], 0); /* reading maps the page of zeros */
	assert_true(pagemap_scan(fd, &span, ranges));
	assert_ranges(ranges, pages, expected, G_N_ELEMENTS(expected));
	close(fd);
	munmap((void *)pages, PAGES * PAGE);
}

/* More ranges than one call returns. */
static void both_ways_see_the_same(void **state)
{
	volatile char *pages = pages_new();
	struct memory_range span = span_of(pages);
	g_autoptr(GArray) scanned = g_array_new(false, false, sizeof(struct memory_range));
	g_autoptr(GArray) read = g_array_new(false, false, sizeof(struct memory_range));
	g_autoptr(GRand) random = g_rand_new_with_seed(7);
	int fd = open_pagemap();

	(void)state;
	for (int i = 0; i < PAGES; i++)
		if (g_rand_boolean(random))
			pages[i * PAGE] = 1;
	assert_true(pagemap_scan(fd, &span, scanned));
	assert_true(pagemap_read(fd, &span, read));
	assert_true(scanned->len > 600);
	assert_int_equal(scanned->len, read->len);
	for (guint i = 0; i < read->len; i++) {
		const struct memory_range *one = &g_array_index(scanned, struct memory_range, i);
		const struct memory_range *other = &g_array_index(read, struct memory_range, i);

		assert_true(one->start == other->start && one->end == other->end &&
			    one->resident == other->resident);
	}
	close(fd);
	munmap((void *)pages, PAGES * PAGE);
}

static void what_is_no_pagemap_is_refused(void **state)
{
	struct memory_range span = { 0x10000, 0x20000, false }, kept = { 1, 2, false };
	g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(struct memory_range));
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	g_array_append_val(ranges, kept);
	assert_false(pagemap_scan(fd, &span, ranges));
	assert_false(pagemap_read(fd, &span, ranges));
	assert_int_equal(ranges->len, 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touched_pages_are_found_and_zeros_are_not),
		cmocka_unit_test(both_ways_see_the_same),
		cmocka_unit_test(what_is_no_pagemap_is_refused),
	};

	return cmocka_run_group_tests_name("pagemap", tests, NULL, NULL);
}
