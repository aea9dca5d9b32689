// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/probe_plan.h"

#include <string.h>

#include "base/error.h"
#include "cpython/sites.h"
#include "elf/entry_site.h"
#include "elf/image.h"
#include "elf/return_slot.h"
#include "trace/malloc_functions.h"
#include "trace/uprobe_link.h"

/* Fallback when .eh_frame does not tell where the arena function ends: it is one call of mmap and a
 * test. */
enum { ARENA_FUNCTION_BYTES = 128 };

static void probe_group_free(void *data)
{
	struct probe_group *group = data;

	g_free(group->path);
	g_array_unref(group->probes);
	g_free(group);
}

static struct probe_group *add_group(struct probe_plan *plan, enum family family,
				     enum kernel_program program, bool at_return, const char *path,
				     GArray *probes)
{
	struct probe_group *group = g_new0(struct probe_group, 1);

	group->family = family;
	group->program = program;
	group->at_return = at_return;
	group->path = g_strdup(path);
	group->probes = g_array_ref(probes);
	g_ptr_array_add(plan->groups, group);
	return group;
}

static bool has_offset(const GArray *probes, uint64_t offset)
{
	for (guint i = 0; i < probes->len; i++)
		if (g_array_index(probes, struct uprobe, i).offset == offset)
			return true;
	return false;
}

/*
 * The site of one function. glibc's reallocarray has no cheap place where all arguments still
 * stand, and needs none: it jumps to realloc, which is probed.
 */
static void plan_function(struct probe_plan *plan, struct elf_image *image,
			  const struct malloc_function_facts *facts, GArray *entries, GArray *frees)
{
	bool allocates = facts->program == PROGRAM_MALLOC_ENTRY;
	GArray *probes = allocates ? entries : frees;
	uint32_t where[MAX_ARGUMENTS] = { 0 };
	struct elf_symbol symbol;
	struct probe_site site;
	struct uprobe probe;

	if (!elf_image_exports(image, facts->name, &symbol) ||
	    !entry_site_find_moved(image, symbol.address, facts->arguments, allocates, &site, where,
				   NULL))
		return;
	if (!site.emulated && facts->function == MALLOC_REALLOCARRAY)
		return;
	/* Aliases: memalign and aligned_alloc, free and cfree. */
	if (has_offset(probes, site.offset))
		return;
	probe = (struct uprobe){ .offset = site.offset,
				 .cookie = PYLEAK_MALLOC_COOKIE(facts->function, where[0], where[1],
								where[2]) };
	g_array_append_val(probes, probe);
	plan->slow_probes += !site.emulated;
	plan->sites[FAMILY_MALLOC]++;
}

static void plan_malloc(struct probe_plan *plan, struct elf_image *image, const char *path)
{
	g_autoptr(GArray) entries = g_array_new(false, false, sizeof(struct uprobe));
	g_autoptr(GArray) frees = g_array_new(false, false, sizeof(struct uprobe));

	for (size_t i = 0; i < malloc_function_count; i++)
		plan_function(plan, image, &malloc_functions[i], entries, frees);
	if (frees->len)
		add_group(plan, FAMILY_MALLOC, PROGRAM_MALLOC_FREE, false, path, frees);
	if (entries->len) {
		/* Returns first: an entry whose return is not probed would leave its call open. */
		add_group(plan, FAMILY_MALLOC, PROGRAM_MALLOC_RETURN, true, path, entries);
		add_group(plan, FAMILY_MALLOC, PROGRAM_MALLOC_ENTRY, false, path, entries);
	}
}

static const struct mmap_wrapper {
	const char *name;
	enum mmap_function function;
	unsigned int arguments; /* that bpf/mmap.h looks at */
} mmap_wrappers[] = {
	{ "munmap", MMAP_UNMAP, ARGUMENT_1 | ARGUMENT_2 },
	{ "mremap", MMAP_REMAP, ARGUMENT_1 | ARGUMENT_2 | ARGUMENT_3 },
	{ "mmap", MMAP_MAP, ARGUMENT_2 | ARGUMENT_3 | ARGUMENT_4 },
	{ "mmap64", MMAP_MAP, ARGUMENT_2 | ARGUMENT_3 | ARGUMENT_4 },
};

/* False where the wrapper is there and cannot be probed. */
static bool plan_wrapper(struct probe_plan *plan, struct elf_image *image, const char *path,
			 const struct mmap_wrapper *wrapper, GArray *probes)
{
	struct probe_site sites[MOST_SYSCALL_SITES];
	struct elf_symbol symbol;
	unsigned int count;

	if (!elf_image_exports(image, wrapper->name, &symbol))
		return true;
	count = syscall_sites_find(image, symbol.address, wrapper->arguments, sites, NULL);
	for (unsigned int i = 0; i < count; i++) {
		struct uprobe probe = { .offset = sites[i].offset };
		uint32_t slot = 0; /* what functions have that do not move the stack pointer */

		if (has_offset(probes, probe.offset))
			continue;
		return_slot_find(path, sites[i].address, &slot);
		probe.cookie = PYLEAK_MMAP_COOKIE(wrapper->function, slot);
		g_array_append_val(probes, probe);
		plan->sites[FAMILY_MMAP]++;
	}
	return count;
}

static void plan_mmap(struct probe_plan *plan, struct elf_image *image, const char *path)
{
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));
	bool seen = true;

	for (size_t i = 0; i < G_N_ELEMENTS(mmap_wrappers); i++)
		seen &= plan_wrapper(plan, image, path, &mmap_wrappers[i], probes);
	if (probes->len)
		add_group(plan, FAMILY_MMAP, PROGRAM_MMAP, false, path, probes);
	if (!seen && !plan->unseen_mmap)
		plan->unseen_mmap = g_path_get_basename(path);
}

/* All of the code of the file behind @mapping, from its first to its last executable mapping. */
static struct address_range code_range(const struct maps *maps, const struct mapping *mapping)
{
	struct address_range range = { mapping->start, mapping->end };

	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *other = &maps->items[i];

		if (other->inode != mapping->inode ||
		    other->device_major != mapping->device_major ||
		    other->device_minor != mapping->device_minor || !(other->flags & MAPPING_EXEC))
			continue;
		range.start = MIN(range.start, other->start);
		range.end = MAX(range.end, other->end);
	}
	return range;
}

static bool is_first_of_file(const struct maps *maps, size_t index)
{
	const struct mapping *mapping = &maps->items[index];

	for (size_t i = 0; i < index; i++)
		if (maps->items[i].inode == mapping->inode && maps->items[i].flags & MAPPING_EXEC &&
		    maps->items[i].device_major == mapping->device_major &&
		    maps->items[i].device_minor == mapping->device_minor)
			return false;
	return true;
}

/* Every mapped object that exports malloc and free, libc first or not: only the one that is bound
 * sees calls. */
static void plan_allocators(struct probe_plan *plan, const struct process *process,
			    const struct maps *maps)
{
	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->items[i];
		g_autofree char *path = NULL;
		struct elf_image *image;
		struct elf_symbol symbol;

		if (!(mapping->flags & MAPPING_EXEC) || !mapping->inode ||
		    !is_first_of_file(maps, i))
			continue;
		path = process_mapping_path(process, mapping);
		image = path ? elf_image_open(path, NULL) : NULL;
		if (!image)
			continue;
		if (elf_image_exports(image, "malloc", &symbol) &&
		    elf_image_exports(image, "free", &symbol) &&
		    plan->allocator_count < PYLEAK_MAX_ALLOCATORS) {
			plan->allocators[plan->allocator_count++] = code_range(maps, mapping);
			plan->malloc_is_glibc =
				plan->allocator_count == 1 &&
				elf_image_exports(image, "gnu_get_libc_version", &symbol);
			plan_malloc(plan, image, path);
		}
		if (elf_image_exports(image, "mmap", &symbol) &&
		    elf_image_exports(image, "munmap", &symbol))
			plan_mmap(plan, image, path);
		elf_image_free(image);
	}
}

static bool plan_pymalloc(struct probe_plan *plan, const struct interpreter *interpreter,
			  GError **error)
{
	g_autoptr(GArray) sites = allocation_sites_cached(interpreter->image, NULL, error);
	g_autoptr(GArray) probes = g_array_new(false, false, sizeof(struct uprobe));

	if (!sites)
		return false;
	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);
		struct uprobe probe = {
			.offset = site->offset,
			.cookie = PYLEAK_PYMALLOC_COOKIE(i, site->pt_regs_offset),
		};

		g_array_append_val(probes, probe);
	}
	plan->sites[FAMILY_PYMALLOC] = probes->len;
	plan->classes = allocation_site_classes(sites);
	add_group(plan, FAMILY_PYMALLOC, PROGRAM_PYMALLOC, false, interpreter->path, probes);
	return true;
}

static void plan_ranges(struct probe_plan *plan, const struct interpreter *interpreter,
			const struct maps *maps)
{
	uint64_t arena = interpreter->layout.arena_alloc;
	struct elf_range function;

	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->items[i];
		uint64_t address, bias;

		if (!(mapping->flags & MAPPING_EXEC) || !mapping->inode ||
		    !elf_image_offset_to_address(interpreter->image, mapping->offset, &address) ||
		    !elf_image_load_bias(interpreter->image, mapping->start, mapping->offset,
					 &bias) ||
		    bias != interpreter->load_bias)
			continue;
		plan->interpreter = code_range(maps, mapping);
		break;
	}
	if (!arena)
		return;
	plan->arena_alloc = (struct address_range){ arena, arena + ARENA_FUNCTION_BYTES };
	if (elf_image_function_at(interpreter->image, arena - interpreter->load_bias, &function))
		plan->arena_alloc.end = function.end + interpreter->load_bias;
}

/* Free-threaded builds keep small objects in mimalloc and have no pymalloc to be found. */
static bool has_pymalloc(const struct interpreter *interpreter)
{
	return interpreter && !interpreter->free_threaded &&
	       interpreter->allocator != ALLOCATOR_MIMALLOC;
}

struct probe_plan *probe_plan_new(const struct process *process,
				  const struct interpreter *interpreter, GError **error)
{
	struct maps *maps = maps_read(process->pid, error);
	struct probe_plan *plan;
	bool done = true;

	if (!maps)
		return NULL;
	plan = g_new0(struct probe_plan, 1);
	plan->groups = g_ptr_array_new_with_free_func(probe_group_free);
	plan_allocators(plan, process, maps);
	if (interpreter)
		plan_ranges(plan, interpreter, maps);
	if (has_pymalloc(interpreter))
		done = plan_pymalloc(plan, interpreter, error);
	maps_free(maps);
	if (!done) {
		probe_plan_free(plan);
		return NULL;
	}
	return plan;
}

struct probe_plan *probe_plan_copy(const struct probe_plan *plan, pid_t from, pid_t to)
{
	struct probe_plan *copy = g_memdup2(plan, sizeof(*plan));
	g_autofree char *prefix = g_strdup_printf("/proc/%d/", from);

	copy->unseen_mmap = g_strdup(plan->unseen_mmap);
	copy->classes = plan->classes ? g_array_ref(plan->classes) : NULL;
	copy->groups = g_ptr_array_new_with_free_func(probe_group_free);
	for (guint i = 0; i < plan->groups->len; i++) {
		const struct probe_group *group = plan->groups->pdata[i];
		g_autofree char *path = NULL;

		/* Files are opened through the process, which may go before its child. */
		if (g_str_has_prefix(group->path, prefix))
			path = g_strdup_printf("/proc/%d/%s", to, group->path + strlen(prefix));
		add_group(copy, group->family, group->program, group->at_return,
			  path ? path : group->path, group->probes);
	}
	return copy;
}

void probe_plan_free(struct probe_plan *plan)
{
	if (!plan)
		return;
	g_ptr_array_unref(plan->groups);
	g_clear_pointer(&plan->classes, g_array_unref);
	g_free(plan->unseen_mmap);
	g_free(plan);
}
