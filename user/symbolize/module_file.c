// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/module_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <gelf.h>
#include <elfutils/libdwelf.h>
#include <glib.h>
#include <zlib.h>

#include "elf/debug_file.h"

enum {
	MAX_VDSO = 64 << 10,
	CRC_BUFFER = 64 << 10,
	/* From DWARF's sections to what they take with all that is made of them: 21 MiB of the 10
	   MiB in pyenv's libpython3.8. */
	DWARF_GROWS = 2,
};

struct module_file {
	const struct process *process;
	struct mapping first; /* its path is owned */
	char *open_path;      /* as pyleak can open it */
	const char *name;
	uint64_t size;
	uint64_t *debug_bytes_left;
	uint64_t debug_bytes; /* taken of these */
	enum { LINES_UNKNOWN, LINES_READ, LINES_REFUSED } lines;
	char *bytes; /* of the vDSO */
};

struct module_file *module_file_new(const struct process *process, const struct mapping *first,
				    uint64_t *debug_bytes_left)
{
	struct module_file *file = g_new0(struct module_file, 1);
	g_autofree char *name = g_path_get_basename(first->path);

	file->process = process;
	file->first = *first;
	file->first.path = g_strdup(first->path);
	file->open_path = process_mapping_path(process, first);
	file->name = g_intern_string(name);
	file->debug_bytes_left = debug_bytes_left;
	return file;
}

void module_file_free(struct module_file *file)
{
	if (!file)
		return;
	*file->debug_bytes_left += file->debug_bytes;
	g_free(file->first.path);
	g_free(file->open_path);
	g_free(file->bytes);
	g_free(file);
}

const char *module_file_name(const struct module_file *file)
{
	return file->name;
}

uint64_t module_file_start(const struct module_file *file)
{
	return file->first.start;
}

uint64_t module_file_size(const struct module_file *file)
{
	return file->size;
}

static void open_memory(struct module_file *file, Elf **elf)
{
	uint64_t size = file->first.end - file->first.start;

	if (file->bytes || size > MAX_VDSO)
		return;
	file->bytes = g_malloc(size);
	if (!memory_read(&file->process->memory.base, file->first.start, file->bytes, size))
		return;
	file->size = size;
	*elf = elf_memory(file->bytes, size);
}

int module_file_open(struct module_file *file, Elf **elf)
{
	struct stat status;
	int fd;

	*elf = NULL;
	elf_version(EV_CURRENT);
	if (*file->first.path != '/') {
		open_memory(file, elf);
		return -1;
	}
	fd = open(file->open_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	/* Read, not mapped: a file that is cut short while it is mapped kills its reader. */
	if (!fstat(fd, &status) && S_ISREG(status.st_mode))
		*elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!*elf) {
		close(fd);
		return -1;
	}
	file->size = status.st_size;
	return fd;
}

static void take_debug_bytes(struct module_file *file, uint64_t size)
{
	*file->debug_bytes_left -= size;
	file->debug_bytes += size;
}

static uint64_t dwarf_bytes(Elf *elf)
{
	uint64_t bytes = 0;
	size_t names;
	Elf_Scn *section = NULL;

	if (elf_getshdrstrndx(elf, &names))
		return 0;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(section, &header)
					   ? elf_strptr(elf, names, header.sh_name)
					   : NULL;

		if (name &&
		    (g_str_has_prefix(name, ".debug_") || g_str_has_prefix(name, ".zdebug_")))
			bytes += header.sh_size;
	}
	return bytes;
}

bool module_file_has_room_for_lines(struct module_file *file, Elf *elf)
{
	uint64_t bytes;

	if (file->lines != LINES_UNKNOWN)
		return file->lines == LINES_READ;
	bytes = MIN(dwarf_bytes(elf), file->size) * DWARF_GROWS;
	/* Half at most: one large library, the interpreter mostly, must not keep others out. */
	file->lines = bytes > *file->debug_bytes_left / 2 ? LINES_REFUSED : LINES_READ;
	if (file->lines == LINES_READ)
		take_debug_bytes(file, bytes);
	return file->lines == LINES_READ;
}

bool module_file_lacks_room(const struct module_file *file)
{
	return file->lines == LINES_REFUSED;
}

static bool has_crc(int fd, uint32_t crc)
{
	g_autofree uint8_t *buffer = g_malloc(CRC_BUFFER);
	uLong sum = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, buffer, CRC_BUFFER, at)) > 0) {
		sum = crc32(sum, buffer, got);
		at += got;
	}
	return !got && sum == crc;
}

static bool has_build_id(int fd, const uint8_t *build_id, size_t size)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *found = NULL;
	ssize_t found_size = elf ? dwelf_elf_gnu_build_id(elf, &found) : -1;
	bool same = found_size > 0 && (size_t)found_size == size && !memcmp(found, build_id, size);

	elf_end(elf);
	return same;
}

int module_file_open_debug(struct module_file *file, const uint8_t *build_id, size_t build_id_size,
			   const char *link, uint32_t crc)
{
	g_autoptr(GPtrArray) paths =
		debug_file_candidates(file->first.path, build_id, build_id_size, link);

	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *path = process_root_path(file->process, paths->pdata[i]);
		uint64_t size = 0;
		int fd = debug_file_copy(path, *file->debug_bytes_left, &size);

		if (fd < 0 && size)
			file->lines = LINES_REFUSED;
		if (fd < 0)
			continue;
		if (build_id_size ? has_build_id(fd, build_id, build_id_size) : has_crc(fd, crc)) {
			take_debug_bytes(file, size);
			return fd;
		}
		close(fd);
	}
	return -1;
}
