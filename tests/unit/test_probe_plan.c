// SPDX-License-Identifier: GPL-2.0-or-later
/* What would be probed in real processes: interpreters of the matrix, and other allocators. */
#include "tests/unit/python_child.h"

#include <unistd.h>

#include "trace/malloc_functions.h"
#include "trace/probe_plan.h"
#include "trace/uprobe_link.h"

/* A child that waits, and the plan for it. */
struct planned {
	struct child child;
	struct process *process;
	struct interpreter *interpreter;
	struct probe_plan *plan;
	struct maps *maps;
};

static struct planned plan(const char *program, const char *variable)
{
	const char *argv[] = { program, "-c", "import sys; sys.stdin.read(1)", NULL };
	const char *environment[] = { variable, NULL };
	struct planned planned = { .child = child_start(argv, environment) };
	g_autoptr(GError) error = NULL;

	child_wait_until_it_reads(&planned.child);
	planned.process = process_open(planned.child.pid, &error);
	if (planned.process)
		planned.interpreter = interpreter_discover(planned.process, &error);
	if (planned.interpreter)
		planned.plan = probe_plan_new(planned.process, planned.interpreter, &error);
	if (!planned.plan)
		fail_msg("%s: %s", program, error->message);
	planned.maps = maps_read(planned.child.pid, NULL);
	return planned;
}

static void plan_end(struct planned *planned)
{
	maps_free(planned->maps);
	probe_plan_free(planned->plan);
	interpreter_free(planned->interpreter);
	process_free(planned->process);
	child_stop(&planned->child);
}

static guint probes_of(const struct probe_plan *plan, enum kernel_program program)
{
	guint count = 0;

	for (guint i = 0; i < plan->groups->len; i++) {
		const struct probe_group *group = plan->groups->pdata[i];

		if (group->program == program)
			count += group->probes->len;
	}
	return count;
}

static bool is_in_code(const struct planned *planned, const struct address_range *range,
		       const char *name)
{
	bool found = range->start < range->end;

	for (size_t i = 0; i < planned->maps->count; i++) {
		const struct mapping *mapping = &planned->maps->items[i];

		if (mapping->flags & MAPPING_EXEC && strstr(mapping->path, name) &&
		    (mapping->start < range->start || mapping->end > range->end))
			found = false;
	}
	return found;
}

/* What holds for every plan: links can be made of it, and in this order. */
static void assert_sane(const struct planned *planned)
{
	const struct probe_plan *plan = planned->plan;
	guint sites[FAMILY_COUNT] = { 0 };
	bool allocations = false;

	for (guint i = 0; i < plan->groups->len; i++) {
		const struct probe_group *group = plan->groups->pdata[i];
		g_autoptr(GHashTable) offsets = g_hash_table_new(g_int64_hash, g_int64_equal);

		assert_true(group->probes->len > 0);
		assert_int_equal(access(group->path, R_OK), 0);
		assert_int_equal(group->at_return, group->program == PROGRAM_MALLOC_RETURN);
		for (guint k = 0; k < group->probes->len; k++)
			assert_true(g_hash_table_add(
				offsets, &g_array_index(group->probes, struct uprobe, k).offset));
		if (!group->at_return)
			sites[group->family] += group->probes->len;
		/* An entry without its return would leave its call open. */
		if (group->program == PROGRAM_MALLOC_ENTRY) {
			const struct probe_group *before = plan->groups->pdata[i - 1];

			assert_int_equal(before->program, PROGRAM_MALLOC_RETURN);
			assert_string_equal(before->path, group->path);
			assert_int_equal(before->probes->len, group->probes->len);
		}
		if (group->program == PROGRAM_PYMALLOC)
			allocations = true;
		if (group->program == PROGRAM_MALLOC_FREE)
			assert_false(allocations);
	}
	for (int family = 0; family < FAMILY_COUNT; family++)
		assert_int_equal(plan->sites[family], sites[family]);
}

static void assert_no_slow_probe(const struct planned *planned)
{
	assert_int_equal(planned->plan->slow_probes, 0);
}

/*
 * glibc 2.36 (nm -D libc.so.6): malloc, calloc, realloc, posix_memalign, valloc, pvalloc, and
 * memalign, of which aligned_alloc is another name; reallocarray goes on to realloc. free, of which
 * cfree was one.
 */
static void glibc_is_planned_whole_for_every_interpreter(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		struct test_python python = test_python(i);
		struct planned planned = plan(python.program, NULL);
		const struct probe_plan *plan = planned.plan;

		assert_sane(&planned);
		assert_no_slow_probe(&planned);
		assert_true(plan->malloc_is_glibc);
		assert_int_equal(plan->allocator_count, 1);
		assert_true(is_in_code(&planned, &plan->allocators[0], "/libc.so.6"));
		assert_int_equal(probes_of(plan, PROGRAM_MALLOC_ENTRY), 7);
		assert_int_equal(probes_of(plan, PROGRAM_MALLOC_FREE), 1);
		assert_int_equal(plan->sites[FAMILY_MALLOC], 8);
		/* mmap (and mmap64, its other name), munmap, mremap. */
		assert_int_equal(plan->sites[FAMILY_MMAP], 3);
		assert_null(plan->unseen_mmap);
		plan_end(&planned);
	}
}

static void every_interpreter_has_allocation_sites_and_its_code_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_PYTHONS; i++) {
		struct test_python python = test_python(i);
		struct planned planned = plan(python.program, NULL);
		const struct probe_plan *plan = planned.plan;
		/* Optimised and inlined in Debian's, one to three copies in pyenv's. */
		guint least = python.library ? 1 : 100, most = python.library ? 3 : 200;
		g_autofree char *name =
			g_path_get_basename(python.library ? python.library : python.program);

		assert_in_range(plan->sites[FAMILY_PYMALLOC], least, most);
		assert_int_equal(probes_of(plan, PROGRAM_PYMALLOC), plan->sites[FAMILY_PYMALLOC]);
		assert_true(is_in_code(&planned, &plan->interpreter, name));
		if (planned.interpreter->layout.arena_alloc) {
			assert_true(plan->arena_alloc.start >= plan->interpreter.start);
			assert_true(plan->arena_alloc.end <= plan->interpreter.end);
			assert_true(plan->arena_alloc.end > plan->arena_alloc.start);
		}
		plan_end(&planned);
	}
}

static void without_an_interpreter_only_libc_is_planned(void **state)
{
	struct planned planned = plan(test_python(TEST_PYTHONS - 1).program, NULL);
	struct probe_plan *plan = probe_plan_new(planned.process, NULL, NULL);

	(void)state;
	assert_non_null(plan);
	assert_int_equal(plan->sites[FAMILY_PYMALLOC], 0);
	assert_int_equal(plan->sites[FAMILY_MALLOC], 8);
	assert_true(plan->interpreter.end == 0);
	probe_plan_free(plan);
	probe_plan_free(NULL);
	plan_end(&planned);
}

/* Packages libjemalloc2, libtcmalloc-minimal4 and libmimalloc2.0 of the tests' dependencies. */
static void preloaded_allocators_are_planned_beside_libc(void **state)
{
	static const struct {
		const char *library;
		guint least; /* entries of its own at least: what it exports of malloc_functions */
		bool hides_mmap; /* exports a mmap of its own that cannot be probed */
	} allocators[] = {
		{ "libjemalloc.so.2", 7, false },
		{ "libtcmalloc_minimal.so.4", 7, true },
		{ "libmimalloc.so.2", 7, false },
	};

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(allocators); i++) {
		g_autofree char *path =
			g_strconcat("/usr/lib/x86_64-linux-gnu/", allocators[i].library, NULL);
		g_autofree char *preload = g_strconcat("LD_PRELOAD=", path, NULL);
		struct planned planned;
		bool known = false;

		if (access(path, R_OK))
			fail_msg("%s is missing: scripts/dependencies install check", path);
		planned = plan(test_python(TEST_PYTHONS - 1).program, preload);
		assert_sane(&planned);
		assert_false(planned.plan->malloc_is_glibc);
		assert_int_equal(planned.plan->allocator_count, 2);
		assert_true(probes_of(planned.plan, PROGRAM_MALLOC_ENTRY) >=
			    7 + allocators[i].least);
		assert_true(probes_of(planned.plan, PROGRAM_MALLOC_FREE) > 1);
		for (guint k = 0; k < planned.plan->allocator_count; k++)
			known |= is_in_code(&planned, &planned.plan->allocators[k],
					    allocators[i].library);
		assert_true(known);
		assert_int_equal(planned.plan->unseen_mmap != NULL, allocators[i].hides_mmap);
		if (allocators[i].hides_mmap)
			assert_true(
				g_str_has_prefix(planned.plan->unseen_mmap, allocators[i].library));
		plan_end(&planned);
	}
}

static void a_fork_takes_over_the_plan_and_opens_files_through_itself(void **state)
{
	struct planned planned = plan("/usr/bin/python3.11", NULL);
	struct probe_plan *copy = probe_plan_copy(planned.plan, planned.child.pid, 1 << 30);
	g_autofree char *prefix = g_strdup_printf("/proc/%d/", 1 << 30);

	(void)state;
	assert_int_equal(copy->groups->len, planned.plan->groups->len);
	assert_memory_equal(copy->sites, planned.plan->sites, sizeof(copy->sites));
	for (guint i = 0; i < copy->groups->len; i++) {
		const struct probe_group *theirs = planned.plan->groups->pdata[i];
		const struct probe_group *ours = copy->groups->pdata[i];

		assert_true(g_str_has_prefix(ours->path, prefix));
		assert_string_equal(strchr(ours->path + strlen("/proc/"), '/'),
				    strchr(theirs->path + strlen("/proc/"), '/'));
		assert_int_equal(ours->probes->len, theirs->probes->len);
		assert_int_equal(ours->program, theirs->program);
	}
	plan_end(&planned);
	probe_plan_free(copy);
}

static void a_process_that_is_gone_has_no_plan(void **state)
{
	struct planned planned = plan(test_python(TEST_PYTHONS - 1).program, NULL);
	g_autoptr(GError) error = NULL;

	(void)state;
	child_stop(&planned.child);
	assert_null(probe_plan_new(planned.process, planned.interpreter, &error));
	assert_non_null(error);
	maps_free(planned.maps);
	probe_plan_free(planned.plan);
	interpreter_free(planned.interpreter);
	process_free(planned.process);
}

static void malloc_functions_are_listed_once_and_with_their_arguments(void **state)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

	(void)state;
	for (size_t i = 0; i < malloc_function_count; i++) {
		const struct malloc_function_facts *facts = &malloc_functions[i];

		assert_true(g_hash_table_add(names, (void *)facts->name));
		assert_true(facts->program == PROGRAM_MALLOC_ENTRY ||
			    facts->program == PROGRAM_MALLOC_FREE);
		assert_true(facts->arguments != 0);
	}
	assert_true(g_hash_table_contains(names, "malloc"));
	assert_true(g_hash_table_contains(names, "free"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc_is_planned_whole_for_every_interpreter),
		cmocka_unit_test(every_interpreter_has_allocation_sites_and_its_code_is_known),
		cmocka_unit_test(without_an_interpreter_only_libc_is_planned),
		cmocka_unit_test(preloaded_allocators_are_planned_beside_libc),
		cmocka_unit_test(a_fork_takes_over_the_plan_and_opens_files_through_itself),
		cmocka_unit_test(a_process_that_is_gone_has_no_plan),
		cmocka_unit_test(malloc_functions_are_listed_once_and_with_their_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
