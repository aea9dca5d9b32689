// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening processes: who they are, who is refused and why, and the way to their files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "base/error.h"
#include "proc/process.h"

typedef struct process process;
typedef struct maps maps;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(process, process_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(maps, maps_free)

/* Starts @argv and returns when its exec has succeeded (the pipe closes by it); -1 and errno when
 * it has not. */
static pid_t spawn(char *const argv[])
{
	int failed[2], code = 0;

	assert_int_equal(pipe2(failed, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		execv(argv[0], argv);
		code = errno;
		_exit(write(failed[1], &code, sizeof(code)) < 0);
	}
	close(failed[1]);
	ssize_t length = read(failed[0], &code, sizeof(code));
	close(failed[0]);
	if (length == 0)
		return child;
	waitpid(child, NULL, 0);
	errno = code;
	return -1;
}

static pid_t spawn_sleeper(void)
{
	/* Stops itself: "sleep 1000" would not take an empty argument. */
	char *argv[] = { "/bin/sh", "-c", "kill -STOP $$", "", NULL };
	pid_t child = spawn(argv);
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", child);
	g_autofree char *cmdline = NULL;
	gsize length = 0;

	assert_true(child > 0);
	/* The pipe closes some steps before the new program has its arguments. */
	for (int i = 0; i < 10000 && length == 0; i++) {
		g_clear_pointer(&cmdline, g_free);
		assert_true(g_file_get_contents(path, &cmdline, &length, NULL));
		g_usleep(length ? 0 : 1000);
	}
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void assert_refused(pid_t pid, enum pyleak_error code, const char *word)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *number = g_strdup_printf("%d", pid);

	assert_null(process_open(pid, &error));
	assert_true(g_error_matches(error, PYLEAK_ERROR, code));
	assert_non_null(strstr(error->message, number));
	assert_non_null(strstr(error->message, word));
	assert_null(strchr(error->message, '\n'));
}

static void a_process_is_opened_with_its_identity(void **state)
{
	(void)state;
	g_autoptr(GError) error = NULL;
	pid_t child = spawn_sleeper();
	g_autoptr(process) process = process_open(child, &error);
	g_autofree char *shell = realpath("/bin/sh", NULL);
	uint64_t ticks_now = 0;
	struct timespec now;

	assert_non_null(process);
	assert_int_equal(process->pid, child);
	assert_string_equal(process->exe, shell);
	assert_int_equal(g_strv_length(process->cmdline), 4);
	assert_string_equal(process->cmdline[1], "-c");
	assert_string_equal(process->cmdline[3], "");
	clock_gettime(CLOCK_BOOTTIME, &now);
	ticks_now = now.tv_sec * sysconf(_SC_CLK_TCK);
	assert_in_range(process->start_time, ticks_now - 60 * sysconf(_SC_CLK_TCK),
			ticks_now + 2 * sysconf(_SC_CLK_TCK));
	assert_true(process_is_alive(process));
	end(child);
	assert_false(process_is_alive(process));
}

static void pids_of_nobody_are_refused(void **state)
{
	(void)state;
	pid_t child = spawn_sleeper();

	end(child);
	assert_refused(child, PYLEAK_ERROR_NO_TARGET, "no process");
	assert_refused(0, PYLEAK_ERROR_NO_TARGET, "no process");
	assert_refused(-1, PYLEAK_ERROR_NO_TARGET, "no process");
	assert_refused(INT_MAX, PYLEAK_ERROR_NO_TARGET, "no process");
}

static void a_zombie_is_refused_and_not_alive(void **state)
{
	(void)state;
	pid_t child = spawn_sleeper();
	g_autoptr(process) process = process_open(child, NULL);
	siginfo_t info;

	assert_non_null(process);
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
	assert_false(process_is_alive(process));
	assert_int_equal(process_image_token(process), 0);
	assert_refused(child, PYLEAK_ERROR_NO_TARGET, "zombie");
	waitpid(child, NULL, 0);
}

static void *report_tid_and_wait(void *pipe_end)
{
	pid_t tid = syscall(SYS_gettid);

	if (write(*(int *)pipe_end, &tid, sizeof(tid)) == sizeof(tid))
		pause();
	return NULL;
}

/* A thread of a child, so that no test thread is left behind. */
static void a_thread_is_refused_as_such_and_counted(void **state)
{
	(void)state;
	int ends[2];
	pid_t tid;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		pthread_t thread;
		pthread_create(&thread, NULL, report_tid_and_wait, &ends[1]);
		pthread_join(thread, NULL);
		_exit(0);
	}
	assert_int_equal(read(ends[0], &tid, sizeof(tid)), sizeof(tid));
	assert_refused(tid, PYLEAK_ERROR_NO_TARGET, "thread");
	g_autoptr(process) process = process_open(child, NULL);
	struct process_usage usage;
	assert_non_null(process);
	assert_true(process_usage_read(process, &usage));
	/* A sanitizer may add threads of its own. */
	assert_true(usage.threads >= 2);
	end(child);
	close(ends[0]);
	close(ends[1]);
}

/* A 32-bit program of one system call: pause() again and again. */
static int write_32_bit_program(void)
{
	static const uint8_t code[] = { 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7 };
	struct {
		Elf32_Ehdr header;
		Elf32_Phdr segment;
		uint8_t code[sizeof(code)];
	} file = {
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32,
					 ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf32_Ehdr),
			    .e_ehsize = sizeof(Elf32_Ehdr),
			    .e_phentsize = sizeof(Elf32_Phdr),
			    .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD,
			     .p_vaddr = 0x8048000,
			     .p_filesz = sizeof(file),
			     .p_memsz = sizeof(file),
			     .p_flags = PF_R | PF_X,
			     .p_align = 0x1000 },
	};
	int fd = memfd_create("pyleak-32-bit", MFD_CLOEXEC);

	memcpy(file.code, code, sizeof(code));
	file.header.e_entry = 0x8048000 + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	return fd;
}

static void a_32_bit_process_is_not_supported(void **state)
{
	(void)state;
	int fd = write_32_bit_program();
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	char *argv[] = { path, NULL };
	pid_t child = spawn(argv);

	/* A kernel without 32-bit programs has no such process to refuse. */
	if (child < 0) {
		assert_int_equal(errno, ENOEXEC);
	} else {
		assert_refused(child, PYLEAK_ERROR_UNSUPPORTED, "32-bit");
		end(child);
	}
	close(fd);
}

/* Runs as a child: 0 when init's files are refused to an ordinary user with the right error. */
static int try_as_ordinary_user(void)
{
	g_autoptr(GError) error = NULL;

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 2;
	g_autoptr(process) process = process_open(1, &error);
	if (process || !g_error_matches(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED))
		return 3;
	return strstr(error->message, "root") ? 0 : 4;
}

static void without_permission_it_says_to_be_root(void **state)
{
	(void)state;
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(try_as_ordinary_user());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void exec_changes_the_image_token_and_nothing_else_does(void **state)
{
	(void)state;
	/* The shell waits for a line, then becomes another program under the same pid. */
	int to_child[2], from_child[2];
	char byte;

	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(to_child[0], 0);
		dup2(from_child[1], 1);
		close(to_child[1]);
		execl("/bin/sh", "sh", "-c", "echo; read x; exec /bin/cat", NULL);
		_exit(1);
	}
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	g_autoptr(process) process = process_open(child, NULL);
	assert_non_null(process);
	uint64_t before = process_image_token(process);
	assert_int_not_equal(before, 0);
	assert_int_equal(process_image_token(process), before);
	assert_int_equal(write(to_child[1], "\nx", 2), 2);
	/* cat repeats the x: the exec is behind it. */
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	uint64_t after = process_image_token(process);
	assert_int_not_equal(after, 0);
	assert_int_not_equal(after, before);
	end(child);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

static void usage_grows_with_memory_and_work(void **state)
{
	(void)state;
	enum { SIZE = 32 << 20 };
	g_autoptr(process) process = process_open(getpid(), NULL);
	struct process_usage before, after;
	struct timespec time;

	assert_non_null(process);
	assert_true(process_usage_read(process, &before));
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	memset(memory, 1, SIZE);
	assert_true(process_usage_read(process, &after));
	munmap(memory, SIZE);
	assert_true(after.rss_bytes >= before.rss_bytes + SIZE - (1 << 20));
	assert_true(after.cpu_ns > before.cpu_ns);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	uint64_t now = time.tv_sec * 1000000000ull + time.tv_nsec;
	assert_true(after.cpu_ns <= now && now - after.cpu_ns < 1000000000ull);
}

/* What is mapped from a file in @folder, and which path leads to it. */
static char *path_to_mapped(const char *memory)
{
	g_autoptr(process) process = process_open(getpid(), NULL);
	g_autoptr(maps) maps = maps_read(getpid(), NULL);

	assert_non_null(process);
	assert_non_null(maps);
	return process_mapping_path(process, maps_find(maps, (uint64_t)memory));
}

/* Whoever lacks the capability for map_files is led there all the same, never to another file. */
static void assert_leads_to(const char *path, const char *expected)
{
	g_autofree char *content = NULL;

	if (g_file_get_contents(path, &content, NULL, NULL)) {
		assert_string_equal(content, expected);
	} else {
		assert_int_not_equal(geteuid(), 0);
		assert_non_null(strstr(path, "/map_files/"));
	}
}

static void a_mapped_file_is_found_also_when_deleted_or_replaced(void **state)
{
	(void)state;
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(folder, "lib.so", NULL);

	assert_true(g_file_set_contents(file, "old", -1, NULL));
	int fd = open(file, O_RDONLY);
	char *memory = mmap(NULL, 3, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	close(fd);
	g_autofree char *plain = path_to_mapped(memory);
	g_autofree char *expected = g_strdup_printf("/proc/%d/root%s", getpid(), file);
	assert_string_equal(plain, expected);

	g_unlink(file);
	g_autofree char *deleted = path_to_mapped(memory);
	assert_leads_to(deleted, "old");

	/* An upgrade: another file under the same name. */
	assert_true(g_file_set_contents(file, "new", -1, NULL));
	g_autofree char *replaced = path_to_mapped(memory);
	assert_leads_to(replaced, "old");
	munmap(memory, 3);
	g_unlink(file);
	g_rmdir(folder);
}

static void a_deleted_program_loses_only_the_mark_in_its_name(void **state)
{
	(void)state;
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *copy = g_build_filename(folder, "sleep", NULL);
	g_autofree char *content = NULL;
	size_t length;
	char *argv[] = { copy, "1000", NULL };

	assert_true(g_file_get_contents("/bin/sleep", &content, &length, NULL));
	assert_true(g_file_set_contents_full(copy, content, length, G_FILE_SET_CONTENTS_NONE, 0700,
					     NULL));
	pid_t child = spawn(argv);
	assert_true(child > 0);
	g_unlink(copy);
	g_rmdir(folder);
	g_autoptr(process) process = process_open(child, NULL);
	assert_non_null(process);
	assert_string_equal(process->exe, copy);
	end(child);
}

static void paths_are_opened_through_the_root_and_folder_of_the_process(void **state)
{
	(void)state;
	g_autoptr(process) process = process_open(getpid(), NULL);
	g_autofree char *here = g_get_current_dir();
	struct stat direct, through;

	assert_non_null(process);
	g_autofree char *absolute = process_root_path(process, here);
	assert_int_equal(stat(here, &direct), 0);
	assert_int_equal(stat(absolute, &through), 0);
	assert_int_equal(direct.st_ino, through.st_ino);
	g_autofree char *relative = process_root_path(process, "..");
	assert_int_equal(stat("..", &direct), 0);
	assert_int_equal(stat(relative, &through), 0);
	assert_int_equal(direct.st_ino, through.st_ino);
}

static void files_are_opened_in_the_root_of_the_process(void **state)
{
	(void)state;
	g_autofree char *folder = g_dir_make_tmp("pyleak-XXXXXX", NULL);
	g_autofree char *link = g_build_filename(folder, "link", NULL);
	g_autoptr(process) process = process_open(getpid(), NULL);
	struct stat opened, expected;
	int fd;

	assert_int_equal(symlink("/etc/passwd", link), 0);
	fd = process_open_file(process, link, O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &opened), 0);
	assert_int_equal(stat("/etc/passwd", &expected), 0);
	assert_int_equal(opened.st_ino, expected.st_ino);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	/* A link of /proc would lead anywhere. */
	assert_int_equal(process_open_file(process, "/proc/self/root/etc/passwd", 0), -1);
	assert_int_equal(process_open_file(process, "/no/such/file", 0), -1);
	unlink(link);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_opened_with_its_identity),
		cmocka_unit_test(pids_of_nobody_are_refused),
		cmocka_unit_test(a_zombie_is_refused_and_not_alive),
		cmocka_unit_test(a_thread_is_refused_as_such_and_counted),
		cmocka_unit_test(a_32_bit_process_is_not_supported),
		cmocka_unit_test(without_permission_it_says_to_be_root),
		cmocka_unit_test(exec_changes_the_image_token_and_nothing_else_does),
		cmocka_unit_test(usage_grows_with_memory_and_work),
		cmocka_unit_test(a_mapped_file_is_found_also_when_deleted_or_replaced),
		cmocka_unit_test(a_deleted_program_loses_only_the_mark_in_its_name),
		cmocka_unit_test(paths_are_opened_through_the_root_and_folder_of_the_process),
		cmocka_unit_test(files_are_opened_in_the_root_of_the_process),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
