// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cache file is text: a line "pyleak sites VERSION BUILD-ID COUNT", a line "OFFSET REGISTER
 * CHOICE PLACE" for each site, and a line with the SHA-256 of all before it. Probing a wrong place
 * corrupts the target, and a build id can be forged, so neither the file's owner nor its checksum
 * is enough: each function that a cached site lies in is disassembled and must give the same sites.
 */
#include "cpython/sites.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* Of the format of the file and of what counts as a site: raise it when either changes. */
	CACHE_VERSION = 2,
	/* Interpreters have a few hundred sites at most (3.13: 272). */
	MAX_SITES = 65536,
	MAX_FILE_SIZE = 2 << 20,
	CHECKSUM_LENGTH = 64, /* hexadecimal digits of SHA-256 */
	WRITABLE_BY_OTHERS = S_IWGRP | S_IWOTH,
};

/* Others must not be able to put files in the folder, or change the one at hand. */
static bool is_ours(int fd, mode_t type)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == type &&
	       status.st_uid == geteuid() && !(status.st_mode & WRITABLE_BY_OTHERS);
}

/* Opens the folder, makes it if need be. -1 when it cannot be trusted or had. */
static int folder_open(const char *folder)
{
	if (g_mkdir_with_parents(folder, 0755) != 0)
		return -1;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !is_ours(fd, S_IFDIR)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int default_folder_open(void)
{
	/* Set by systemd for a unit with CacheDirectory=; a list, of which the first is ours. */
	g_auto(GStrv) given = g_strsplit(g_getenv("CACHE_DIRECTORY") ?: "", ":", 2);
	int fd = given[0] && *given[0] == '/' ? folder_open(given[0]) : -1;

	if (fd < 0 && geteuid() == 0)
		fd = folder_open("/var/cache/pyleak");
	if (fd >= 0)
		return fd;
	g_autofree char *folder = g_build_filename(g_get_user_cache_dir(), "pyleak", NULL);
	return folder_open(folder);
}

static char *cache_file_name(const struct elf_image *image)
{
	return g_strdup_printf("sites-%s-v%d", elf_image_build_id(image), CACHE_VERSION);
}

static char *header_line(const struct elf_image *image, guint count)
{
	return g_strdup_printf("pyleak sites %d %s %u\n", CACHE_VERSION, elf_image_build_id(image),
			       count);
}

/* All of a small file, NUL-terminated, to g_free(); NULL when it is not ours, too large or cannot
 * be read. */
static char *file_read(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (is_ours(fd, S_IFREG) && fstat(fd, &status) == 0 && status.st_size <= MAX_FILE_SIZE) {
		text = g_malloc0((size_t)status.st_size + 1);
		if (read(fd, text, (size_t)status.st_size) != status.st_size)
			g_clear_pointer(&text, g_free);
	}
	close(fd);
	return text;
}

/* The length of what the checksum at the end of @text covers, 0 when it does not match. */
static size_t checked_length(const char *text)
{
	size_t length = strlen(text);

	if (length < CHECKSUM_LENGTH + 1 || text[length - 1] != '\n')
		return 0;
	length -= CHECKSUM_LENGTH + 1;
	g_autofree char *sum =
		g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
	return strncmp(sum, text + length, CHECKSUM_LENGTH) == 0 ? length : 0;
}

/* The sites that @text lists, or NULL when it is damaged or of another image. */
static GArray *sites_parse(const struct elf_image *image, char *text)
{
	g_autoptr(GArray) sites = g_array_new(false, true, sizeof(struct allocation_site));
	size_t length = checked_length(text);
	uint64_t last = 0;

	text[length] = '\0';
	g_auto(GStrv) lines = g_strsplit(text, "\n", MAX_SITES + 3);
	guint count = g_strv_length(lines);
	if (count < 3) /* the first line, a site, and what follows the last newline */
		return NULL;
	g_autofree char *header = header_line(image, count - 2);
	if (!g_str_has_prefix(text, header))
		return NULL;
	for (guint i = 1; i < count - 1; i++) {
		struct allocation_site site;
		uint32_t choice;

		if (sscanf(lines[i], "%" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNd64, &site.offset,
			   &site.pt_regs_offset, &choice, &site.place) != 4 ||
		    site.offset <= last)
			return NULL;
		site.choice = choice; /* whatever it is: see has_site() */
		last = site.offset;
		g_array_append_val(sites, site);
	}
	return g_steal_pointer(&sites);
}

static bool site_function(struct elf_image *image, const struct allocation_site *site,
			  struct elf_range *function)
{
	uint64_t address;

	return elf_image_offset_to_address(image, site->offset, &address) &&
	       elf_image_function_at(image, address, function);
}

static bool has_site(const GArray *sites, const struct allocation_site *wanted)
{
	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);
		if (site->offset == wanted->offset &&
		    site->pt_regs_offset == wanted->pt_regs_offset &&
		    site->choice == wanted->choice && site->place == wanted->place)
			return true;
	}
	return false;
}

/* Whether the functions that hold the sites have these sites and no others. */
static bool sites_are_of_image(struct elf_image *image, const GArray *sites)
{
	g_autoptr(GArray) found = g_array_new(false, true, sizeof(struct allocation_site));
	struct elf_range function, previous = { 0, 0 };
	guint total = 0;

	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);

		if (!site_function(image, site, &function))
			return false;
		if (function.start != previous.start || i == 0) {
			g_array_set_size(found, 0);
			allocation_sites_in_function(image, &function, found);
			total += found->len;
			previous = function;
		}
		if (!has_site(found, site))
			return false;
	}
	return total == sites->len;
}

static GArray *cache_load(int folder, const char *name, struct elf_image *image)
{
	g_autofree char *text = file_read(folder, name);
	if (!text)
		return NULL;
	g_autoptr(GArray) sites = sites_parse(image, text);
	return sites && sites_are_of_image(image, sites) ? g_steal_pointer(&sites) : NULL;
}

static char *sites_format(const struct elf_image *image, const GArray *sites)
{
	g_autofree char *header = header_line(image, sites->len);
	GString *text = g_string_new(header);

	for (guint i = 0; i < sites->len; i++) {
		const struct allocation_site *site =
			&g_array_index(sites, struct allocation_site, i);
		g_string_append_printf(text, "%" PRIu64 " %" PRIu32 " %d %" PRId64 "\n",
				       site->offset, site->pt_regs_offset, site->choice,
				       site->place);
	}
	g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
							   (const guchar *)text->str, text->len);
	g_string_append_printf(text, "%s\n", sum);
	return g_string_free(text, false);
}

/* Another pyleak sees the old file or the whole new one. A cache that cannot be written is none. */
static void cache_store(int folder, const char *name, const struct elf_image *image,
			const GArray *sites)
{
	g_autofree char *text = sites_format(image, sites);
	g_autofree char *temporary = g_strdup_printf("%s.%d.tmp", name, getpid());
	size_t length = strlen(text);

	unlinkat(folder, temporary, 0); /* of an earlier process with this id that was killed */
	int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd < 0)
		return;
	bool written = write(fd, text, length) == (ssize_t)length;
	written = close(fd) == 0 && written;
	if (!written || renameat(folder, temporary, folder, name) != 0)
		unlinkat(folder, temporary, 0);
}

GArray *allocation_sites_cached(struct elf_image *image, const char *cache_folder, GError **error)
{
	if (*elf_image_build_id(image) == '\0')
		return allocation_sites_find(image, error);
	g_autofree char *name = cache_file_name(image);
	int folder = cache_folder ? folder_open(cache_folder) : default_folder_open();
	if (folder < 0)
		return allocation_sites_find(image, error);
	GArray *sites = cache_load(folder, name, image);
	if (!sites) {
		sites = allocation_sites_find(image, error);
		if (sites)
			cache_store(folder, name, image, sites);
	}
	close(folder);
	return sites;
}
