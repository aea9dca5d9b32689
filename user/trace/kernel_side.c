// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/kernel_side.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "pyleak.skel.h"
#include "base/capabilities.h"
#include "base/error.h"
#include "trace/link_keeper.h"
#include "trace/uprobe_link.h"

enum {
	LIFECYCLE_LINKS = 3,
};

struct shared_map {
	void *memory;
	size_t length;
};

struct kernel_side {
	struct pyleak_bpf *skeleton;
	struct bpf_link *lifecycle_links[LIFECYCLE_LINKS];
	struct link_keeper *keeper;
	struct shared_map contexts, targets, dead_blocks, births;
	uint32_t birth_logs; /* bit per log that is taken */
	struct memory_plan plan;
};

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static bool map_shared(struct shared_map *shared, const struct bpf_map *map, bool writable,
		       GError **error)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t length = (size_t)(bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);

	length = (length + page - 1) / page * page;
	shared->memory = mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ,
			      MAP_SHARED, bpf_map__fd(map), 0);
	if (shared->memory == MAP_FAILED) {
		shared->memory = NULL;
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot map a BPF map: %s",
			    g_strerror(errno));
		return false;
	}
	shared->length = length;
	return true;
}

static void unmap_shared(struct shared_map *shared)
{
	if (shared->memory)
		munmap(shared->memory, shared->length);
}

static bool check_host(GError **error)
{
	g_autofree char *missing = capabilities_missing(capabilities_effective());

	if (missing) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "not permitted: missing %s; run with sudo", missing);
		return false;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "this kernel has no BTF (/sys/kernel/btf/vmlinux): boot one built with "
			    "CONFIG_DEBUG_INFO_BTF");
		return false;
	}
	return true;
}

static void size_maps(struct kernel_side *kernel)
{
	struct pyleak_bpf *skeleton = kernel->skeleton;
	const struct memory_plan *plan = &kernel->plan;

	bpf_map__set_max_entries(skeleton->maps.live, plan->live_blocks);
	bpf_map__set_max_entries(skeleton->maps.targets, PYLEAK_MAX_TARGETS);
	bpf_map__set_max_entries(skeleton->maps.context_ids, plan->contexts);
	bpf_map__set_max_entries(skeleton->maps.contexts, plan->contexts);
	bpf_map__set_max_entries(skeleton->maps.free_contexts, plan->contexts);
	bpf_map__set_max_entries(skeleton->maps.events, plan->event_bytes);
	skeleton->rodata->max_contexts = plan->contexts;
}

static void set_attach_types(struct pyleak_bpf *skeleton)
{
	struct bpf_program *const programs[] = {
		skeleton->progs.pymalloc_site, skeleton->progs.malloc_entry,
		skeleton->progs.malloc_return, skeleton->progs.malloc_free,
		skeleton->progs.mmap_site,     skeleton->progs.calibrate,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
		bpf_program__set_expected_attach_type(
			programs[i], (enum bpf_attach_type)UPROBE_MULTI_ATTACH_TYPE);
}

static bool load(struct kernel_side *kernel, GError **error)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int result;

	/* Kernels before 5.11 count maps against it; later ones do not care, nor do we whether it
	 * works. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	kernel->skeleton = pyleak_bpf__open();
	if (!kernel->skeleton) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot open the BPF object: %s", g_strerror(errno));
		return false;
	}
	size_maps(kernel);
	set_attach_types(kernel->skeleton);
	result = pyleak_bpf__load(kernel->skeleton);
	if (result == -EPERM)
		g_set_error(
			error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			"not permitted to load BPF programs: run with sudo, and check that neither "
			"a locked down kernel nor a container's seccomp profile forbids bpf()");
	else if (result == -ENOSYS)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "no system call bpf() here: in a container, use a seccomp profile that "
			    "allows it to CAP_BPF");
	else if (result == -ENOMEM)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "no memory for the BPF maps: give a smaller --max-memory");
	else if (result)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "this kernel refuses pyleak's BPF programs (%s): Linux 6.6 or later is "
			    "needed",
			    g_strerror(-result));
	return !result;
}

static bool attach_lifecycle(struct kernel_side *kernel, GError **error)
{
	struct bpf_program *const programs[LIFECYCLE_LINKS] = {
		kernel->skeleton->progs.process_exec,
		kernel->skeleton->progs.process_fork,
		kernel->skeleton->progs.process_exit,
	};

	for (int i = 0; i < LIFECYCLE_LINKS; i++) {
		kernel->lifecycle_links[i] = bpf_program__attach(programs[i]);
		if (kernel->lifecycle_links[i])
			continue;
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "cannot watch for fork, exec and exit: run as root, or with CAP_BPF "
			    "and CAP_PERFMON");
		return false;
	}
	return true;
}

/* Pids are from here on what this process takes them for, whatever pid namespace it is in. */
static bool learn_namespace(struct kernel_side *kernel, GError **error)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	if (!bpf_prog_test_run_opts(bpf_program__fd(kernel->skeleton->progs.learn_namespace),
				    &options))
		return true;
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
		    "cannot tell which pid namespace this is: Linux 6.6 or later is needed");
	return false;
}

struct kernel_side *kernel_side_new(const struct memory_plan *plan, GError **error)
{
	struct kernel_side *kernel;

	if (!check_host(error))
		return NULL;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print_nothing);
	kernel = g_new0(struct kernel_side, 1);
	kernel->plan = *plan;
	if (!load(kernel, error))
		goto fail;
	if (!learn_namespace(kernel, error) || !attach_lifecycle(kernel, error))
		goto fail;
	if (!map_shared(&kernel->contexts, kernel->skeleton->maps.contexts, false, error) ||
	    !map_shared(&kernel->targets, kernel->skeleton->maps.targets, true, error) ||
	    !map_shared(&kernel->dead_blocks, kernel->skeleton->maps.dead_blocks, true, error) ||
	    !map_shared(&kernel->births, kernel->skeleton->maps.births, false, error))
		goto fail;
	/* What libbpf needed to load is a few MB of heap: neither process has to keep it. */
	malloc_trim(0);
	kernel->keeper = link_keeper_new(error);
	if (!kernel->keeper)
		goto fail;
	return kernel;
fail:
	kernel_side_free(kernel);
	return NULL;
}

void kernel_side_free(struct kernel_side *kernel)
{
	if (!kernel)
		return;
	link_keeper_free(kernel->keeper);
	unmap_shared(&kernel->contexts);
	unmap_shared(&kernel->targets);
	unmap_shared(&kernel->dead_blocks);
	unmap_shared(&kernel->births);
	for (int i = 0; i < LIFECYCLE_LINKS; i++)
		bpf_link__destroy(kernel->lifecycle_links[i]);
	pyleak_bpf__destroy(kernel->skeleton);
	g_free(kernel);
}

struct link_keeper *kernel_side_keeper(const struct kernel_side *kernel)
{
	return kernel->keeper;
}

int kernel_side_program_fd(const struct kernel_side *kernel, enum kernel_program program)
{
	const struct bpf_program *const programs[PROGRAM_COUNT] = {
		[PROGRAM_PYMALLOC] = kernel->skeleton->progs.pymalloc_site,
		[PROGRAM_MALLOC_ENTRY] = kernel->skeleton->progs.malloc_entry,
		[PROGRAM_MALLOC_RETURN] = kernel->skeleton->progs.malloc_return,
		[PROGRAM_MALLOC_FREE] = kernel->skeleton->progs.malloc_free,
		[PROGRAM_MMAP] = kernel->skeleton->progs.mmap_site,
		[PROGRAM_CALIBRATE] = kernel->skeleton->progs.calibrate,
	};

	return bpf_program__fd(programs[program]);
}

int kernel_side_events_fd(const struct kernel_side *kernel)
{
	return bpf_map__fd(kernel->skeleton->maps.events);
}

int kernel_side_lifecycle_fd(const struct kernel_side *kernel)
{
	return bpf_map__fd(kernel->skeleton->maps.lifecycle_events);
}

int kernel_side_live_fd(const struct kernel_side *kernel)
{
	return bpf_map__fd(kernel->skeleton->maps.live);
}

uint32_t kernel_side_live_capacity(const struct kernel_side *kernel)
{
	return kernel->plan.live_blocks;
}

const struct traced_context *kernel_side_contexts(const struct kernel_side *kernel)
{
	return kernel->contexts.memory;
}

uint32_t kernel_side_context_count(const struct kernel_side *kernel)
{
	/* The counter may run past the table where threads raced for the last id. */
	return MIN(kernel->skeleton->bss->last_context, kernel->plan.contexts - 1);
}

uint32_t kernel_side_acquire_birth_log(struct kernel_side *kernel)
{
	uint32_t taken = __atomic_load_n(&kernel->birth_logs, __ATOMIC_RELAXED);

	for (;;) {
		uint32_t log = __builtin_ctz(~taken);

		if (log >= PYLEAK_BIRTH_LOGS)
			return 0;
		if (__atomic_compare_exchange_n(&kernel->birth_logs, &taken, taken | 1u << log,
						false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return log + 1;
	}
}

void kernel_side_release_birth_log(struct kernel_side *kernel, uint32_t log)
{
	if (log)
		__atomic_fetch_and(&kernel->birth_logs, ~(1u << (log - 1)), __ATOMIC_RELEASE);
}

uint32_t kernel_side_free_birth_logs(const struct kernel_side *kernel)
{
	return PYLEAK_BIRTH_LOGS -
	       __builtin_popcount(__atomic_load_n(&kernel->birth_logs, __ATOMIC_RELAXED));
}

const struct birth *kernel_side_births(const struct kernel_side *kernel, uint32_t log)
{
	return (const struct birth *)kernel->births.memory + (size_t)(log - 1) * PYLEAK_BIRTHS;
}

void kernel_side_seal_context(const struct kernel_side *kernel, uint32_t id)
{
	uint64_t hash =
		id <= kernel_side_context_count(kernel) ? kernel_side_contexts(kernel)[id].hash : 0;
	int fd = bpf_map__fd(kernel->skeleton->maps.context_ids);
	uint32_t current;

	if (hash && !bpf_map_lookup_elem(fd, &hash, &current) && current == id)
		bpf_map_delete_elem(fd, &hash);
}

struct target *kernel_side_target(const struct kernel_side *kernel, uint32_t index)
{
	return (struct target *)kernel->targets.memory + index;
}

bool kernel_side_target_publish(const struct kernel_side *kernel, uint32_t tgid, uint32_t index)
{
	return !bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.target_index), &tgid, &index,
				    BPF_ANY);
}

void kernel_side_target_withdraw(const struct kernel_side *kernel, uint32_t tgid)
{
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.target_index), &tgid);
}

bool kernel_side_follow(const struct kernel_side *kernel, uint32_t tgid)
{
	uint32_t yes = 1;

	return !bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.followed), &tgid, &yes,
				    BPF_ANY);
}

void kernel_side_unfollow(const struct kernel_side *kernel, uint32_t tgid)
{
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.followed), &tgid);
}

void kernel_side_watch_every_exec(const struct kernel_side *kernel)
{
	kernel->skeleton->bss->watch_every_exec = 1;
}

uint64_t kernel_side_lifecycle_lost(const struct kernel_side *kernel)
{
	return kernel->skeleton->bss->lifecycle_lost;
}

void kernel_side_free_context(const struct kernel_side *kernel, uint32_t id)
{
	static const struct traced_context nothing;

	kernel_side_seal_context(kernel, id);
	if (!bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.contexts), &id, &nothing,
				 BPF_ANY))
		bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.free_contexts), NULL, &id,
				    BPF_ANY);
}

const struct memory_plan *kernel_side_plan(const struct kernel_side *kernel)
{
	return &kernel->plan;
}

int kernel_side_retire(const struct kernel_side *kernel, const struct dead_block *dead,
		       uint32_t count, bool erase)
{
	struct {
		uint32_t count, retired, erase;
	} request = { .count = count, .erase = erase };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof(request));

	if (count > PYLEAK_RETIRE_BATCH)
		return -1;
	memcpy(kernel->dead_blocks.memory, dead, count * sizeof(*dead));
	options.ctx_out = NULL;
	if (bpf_prog_test_run_opts(bpf_program__fd(kernel->skeleton->progs.retire_blocks),
				   &options))
		return -1;
	return request.retired;
}
