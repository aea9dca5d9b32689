// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "proc/procfs.h"
#include "proc/root_path.h"
#include "proc/stat.h"

static bool read_stat(pid_t pid, struct process_stat *stat, GError **error)
{
	g_autofree char *text = procfs_read(pid, "stat", NULL, error);

	if (!text)
		return false;
	if (!process_stat_parse(text, stat)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED,
			    "cannot make sense of /proc/%d/stat", pid);
		return false;
	}
	return true;
}

__attribute__((format(printf, 3, 4))) static bool refuse(GError **error, enum pyleak_error code,
							 const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, PYLEAK_ERROR, code, message);
	return false;
}

/* pidfd_open(2) takes processes only; a thread's id gives EINVAL or, in later kernels, ENOENT. */
static bool open_pidfd(struct process *process, GError **error)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d", process->pid);

	process->pidfd = pidfd_open(process->pid, 0);
	if (process->pidfd >= 0)
		return true;
	int code = errno;
	if ((code == EINVAL || code == ENOENT) && process->pid > 0) {
		if (access(folder, F_OK) == 0)
			return refuse(error, PYLEAK_ERROR_NO_TARGET,
				      "%d is a thread, not a process: see Tgid in /proc/%d/status "
				      "for its process",
				      process->pid, process->pid);
	}
	procfs_set_error(process->pid, code == EINVAL ? ESRCH : code, error);
	return false;
}

static bool check_state(pid_t pid, const struct process_stat *stat, GError **error)
{
	if (stat->kernel_thread)
		return refuse(error, PYLEAK_ERROR_NO_TARGET,
			      "process %d is a kernel thread, not a program: give the pid of a "
			      "Python process",
			      pid);
	if (stat->state == 'Z' || stat->state == 'X')
		return refuse(error, PYLEAK_ERROR_NO_TARGET,
			      "process %d has exited (a zombie, its parent has yet to notice): "
			      "nothing to trace",
			      pid);
	return true;
}

/* The kernel runs 32-bit programs beside ours; their registers, frames and files are another
 * matter. */
static bool check_class(pid_t pid, GError **error)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/exe", pid);
	unsigned char ident[EI_NIDENT];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		procfs_set_error(pid, errno, error);
		return false;
	}
	ssize_t length = pread(fd, ident, sizeof(ident), 0);
	close(fd);
	if (length != sizeof(ident) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return refuse(error, PYLEAK_ERROR_UNSUPPORTED,
			      "the program of process %d is not an ELF file", pid);
	if (ident[EI_CLASS] != ELFCLASS64)
		return refuse(error, PYLEAK_ERROR_UNSUPPORTED,
			      "process %d is a 32-bit program: pyleak traces 64-bit ones only",
			      pid);
	return true;
}

static char **split_arguments(const char *text, size_t length)
{
	GPtrArray *arguments = g_ptr_array_new();

	/* Usually each ends in a NUL; the last does not where the process has rewritten its title.
	 */
	for (size_t start = 0; start < length;) {
		size_t size = strnlen(text + start, length - start);
		g_ptr_array_add(arguments, g_strndup(text + start, size));
		start += size + 1;
	}
	g_ptr_array_add(arguments, NULL);
	return (char **)g_ptr_array_free(arguments, false);
}

static char *without_deleted(char *path)
{
	if (g_str_has_suffix(path, " (deleted)"))
		path[strlen(path) - strlen(" (deleted)")] = '\0';
	return path;
}

/* A link of /proc/PID as the process itself would see it. */
static char *read_link_inside(pid_t pid, const char *name, GError **error)
{
	g_autofree char *root = procfs_read_link(pid, "root", NULL);
	char *path = procfs_read_link(pid, name, error);

	return root && path ? root_path_inside(root, path) : path;
}

static bool look(struct process *process, GError **error)
{
	struct process_stat stat;
	size_t length;

	if (!open_pidfd(process, error) || !read_stat(process->pid, &stat, error) ||
	    !check_state(process->pid, &stat, error))
		return false;
	process->start_time = stat.start_time;
	process->exe = read_link_inside(process->pid, "exe", error);
	if (!process->exe)
		return false;
	without_deleted(process->exe);
	if (!check_class(process->pid, error))
		return false;
	g_autofree char *cmdline = procfs_read(process->pid, "cmdline", &length, error);
	if (!cmdline)
		return false;
	process->cmdline = split_arguments(cmdline, length);
	process_memory_init(&process->memory, process->pid);
	/* The pid cannot have passed to another process as long as the pidfd's is alive: all of the
	 * above is of one process. */
	if (!process_is_alive(process)) {
		procfs_set_error(process->pid, ESRCH, error);
		return false;
	}
	return true;
}

struct process *process_open(pid_t pid, GError **error)
{
	struct process *process = g_new0(struct process, 1);

	process->pid = pid;
	process->pidfd = -1;
	if (!look(process, error)) {
		process_free(process);
		return NULL;
	}
	return process;
}

void process_free(struct process *process)
{
	if (!process)
		return;
	if (process->pidfd >= 0)
		close(process->pidfd);
	g_strfreev(process->cmdline);
	g_free(process->exe);
	g_free(process);
}

bool process_is_alive(const struct process *process)
{
	struct pollfd poller = { .fd = process->pidfd, .events = POLLIN };

	return poll(&poller, 1, 0) == 0;
}

static uint64_t fold(uint64_t hash, uint64_t value)
{
	/* FNV-1a's prime, and a rotation so that high bits count too. */
	hash = (hash ^ value) * 0x100000001b3ull;
	return hash << 31 | hash >> 33;
}

uint64_t process_image_token(const struct process *process)
{
	g_autofree char *exe = g_strdup_printf("/proc/%d/exe", process->pid);
	uint64_t token = 0xcbf29ce484222325ull;
	struct process_stat fields;
	struct stat status;

	if (!read_stat(process->pid, &fields, NULL) || fields.start_stack == 0 ||
	    stat(exe, &status) < 0 || !process_is_alive(process))
		return 0;
	token = fold(token, status.st_dev);
	token = fold(token, status.st_ino);
	/* Random at each exec, unless the kernel's address randomisation is off. */
	token = fold(token, fields.start_stack);
	token = fold(token, fields.start_code);
	return token ? token : 1;
}

bool process_usage_of(pid_t pid, uint64_t start_time, struct process_usage *usage)
{
	g_autofree char *memory = procfs_read(pid, "statm", NULL, NULL);
	char *next;
	struct process_stat stat;
	uint64_t resident, shared;
	clockid_t clock;

	/* statm: total size, then resident pages, then those of files and shared memory. stat has
	 * the times in ticks of 10 ms; the process's clock has nanoseconds. */
	if (!memory || !read_stat(pid, &stat, NULL) || clock_getcpuclockid(pid, &clock) != 0)
		return false;
	g_ascii_strtoull(memory, &next, 10);
	resident = g_ascii_strtoull(next, &next, 10);
	shared = g_ascii_strtoull(next, NULL, 10);
	usage->rss_bytes = resident * sysconf(_SC_PAGESIZE);
	usage->private_bytes = (resident - MIN(shared, resident)) * sysconf(_SC_PAGESIZE);
	usage->cpu_ns = clock_ns(clock);
	usage->threads = stat.threads;
	return usage->cpu_ns && stat.start_time == start_time && stat.state != 'Z' &&
	       stat.state != 'X';
}

bool process_usage_read(const struct process *process, struct process_usage *usage)
{
	return process_usage_of(process->pid, process->start_time, usage) &&
	       process_is_alive(process);
}

enum match { MATCH_NONE, MATCH_INODE, MATCH_EXACT };

/* Whether @path leads to the file behind @mapping. */
static enum match matches(const char *path, const struct mapping *mapping)
{
	struct stat status;

	if (stat(path, &status) < 0 || status.st_ino != mapping->inode)
		return MATCH_NONE;
	return major(status.st_dev) == mapping->device_major &&
			       minor(status.st_dev) == mapping->device_minor
		       ? MATCH_EXACT
		       : MATCH_INODE;
}

char *process_mapping_path(const struct process *process, const struct mapping *mapping)
{
	g_autofree char *named = g_strdup_printf("/proc/%d/root%s", process->pid, mapping->path);
	g_autofree char *mapped = g_strdup_printf("/proc/%d/map_files/%" G_GINT64_MODIFIER
						  "x-%" G_GINT64_MODIFIER "x",
						  process->pid, mapping->start, mapping->end);
	g_autofree char *exe = g_strdup_printf("/proc/%d/exe", process->pid);
	enum match match = MATCH_NONE;
	struct stat status;

	if (*mapping->path == '/' && !mapping->deleted)
		match = matches(named, mapping);
	if (match == MATCH_EXACT)
		return g_steal_pointer(&named);
	/* Not access(), which asks on behalf of the real user: one that is not root has no
	 * capabilities there. */
	if (stat(mapped, &status) == 0)
		return g_steal_pointer(&mapped);
	/* map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; without, a deleted program can
	 * still be had. */
	if (matches(exe, mapping) == MATCH_EXACT)
		return g_steal_pointer(&exe);
	/* On btrfs and overlayfs stat() and maps name different devices. */
	return match == MATCH_INODE ? g_steal_pointer(&named) : g_steal_pointer(&mapped);
}

char *process_working_folder(const struct process *process)
{
	return read_link_inside(process->pid, "cwd", NULL);
}

char *process_root_path(const struct process *process, const char *path)
{
	g_autofree char *root = g_strdup_printf("/proc/%d/root", process->pid);
	g_autofree char *cwd = g_strdup_printf("/proc/%d/cwd", process->pid);

	return root_path_resolve(root, cwd, path);
}

int process_open_file(const struct process *process, const char *path, int flags)
{
	g_autofree char *root = g_strdup_printf("/proc/%d/root", process->pid);
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | (unsigned int)flags,
		.resolve = RESOLVE_IN_ROOT,
	};
	int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (folder < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
	close(folder);
	return fd;
}
