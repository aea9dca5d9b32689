// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/command.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "cpython/interpreter.h"
#include "elf/image.h"
#include "proc/process.h"

/* A program that has run this long since its last exec and has not mapped an interpreter is none.
 */
static const double PATIENCE_SECONDS = 10;
enum { FINISH_POLLS = 50, FINISH_POLL_US = 100000 };

static void run_child(char **argv)
{
	sigset_t none;

	/* Ignored signals and the mask survive exec: the program gets what pyleak was started with.
	 */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* What pyleak was given to trace with is not the program's. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Whether code of an object that exports malloc is mapped: libc, or what is preloaded instead. */
static bool malloc_is_mapped(const struct process *process, const struct maps *maps)
{
	bool found = false;

	for (size_t i = 0; i < maps->count && !found; i++) {
		const struct mapping *mapping = &maps->items[i];
		g_autofree char *path = NULL, *name = g_path_get_basename(mapping->path);
		struct elf_image *image;
		struct elf_symbol symbol;

		/* The cheap test first: this is asked after every mmap of the program's start. */
		if (!(mapping->flags & MAPPING_EXEC) || !mapping->inode ||
		    !(g_str_has_prefix(name, "libc.") || g_str_has_prefix(name, "libc-") ||
		      g_str_has_prefix(name, "ld-musl")))
			continue;
		path = process_mapping_path(process, mapping);
		image = path ? elf_image_open(path, NULL) : NULL;
		found = image && elf_image_exports(image, "malloc", &symbol);
		elf_image_free(image);
	}
	return found;
}

static bool is_ready(pid_t pid)
{
	struct process *process = process_open(pid, NULL);
	struct maps *maps = process ? maps_read(pid, NULL) : NULL;
	struct interpreter *interpreter = NULL;

	if (maps && malloc_is_mapped(process, maps))
		interpreter = interpreter_discover(process, NULL);
	interpreter_free(interpreter);
	maps_free(maps);
	process_free(process);
	return interpreter;
}

static bool stopped_after_mmap(pid_t pid)
{
	struct user_regs_struct registers;

	return !ptrace(PTRACE_GETREGS, pid, NULL, &registers) && registers.orig_rax == SYS_mmap;
}

/* Runs the held program from one system call to the next until is_ready(). */
static bool run_until_ready(pid_t pid, const char *name, GError **error)
{
	int64_t deadline = g_get_monotonic_time() + PATIENCE_SECONDS * 1e6;
	int signal = 0, status;

	while (!ptrace(PTRACE_SYSCALL, pid, NULL, signal) && waitpid(pid, &status, 0) == pid) {
		signal = 0;
		if (!WIFSTOPPED(status)) {
			if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
				g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
					    "cannot start %s: no such program", name);
			else if (WIFEXITED(status) && WEXITSTATUS(status) == 126)
				g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
					    "cannot start %s: it is not executable", name);
			else
				g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
					    "%s ended before it ran Python: give a Python program",
					    name);
			return false;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8))
			deadline = g_get_monotonic_time() + PATIENCE_SECONDS * 1e6;
		else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (stopped_after_mmap(pid) && is_ready(pid))
				return true;
		} else if (WSTOPSIG(status) != SIGTRAP)
			signal = WSTOPSIG(status);
		if (g_get_monotonic_time() > deadline)
			break;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
		    "%s is not a Python program; give one that is", name);
	return false;
}

pid_t command_start(char **argv, GError **error)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	pid_t pid = fork();
	int status;

	if (!pid)
		run_child(argv);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, options)) {
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_FAILED, "cannot start %s: %s",
			    argv[0], g_strerror(errno));
		return -1;
	}
	return run_until_ready(pid, argv[0], error) ? pid : -1;
}

void command_release(pid_t pid)
{
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

void command_finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != 0)
		return;
	kill(pid, SIGTERM);
	for (int i = 0; i < FINISH_POLLS; i++) {
		if (waitpid(pid, &status, WNOHANG) != 0)
			return;
		g_usleep(FINISH_POLL_US);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}
