// SPDX-License-Identifier: GPL-2.0-or-later
/* The cache of allocation sites: right sites from it, and never from one that is damaged, foreign
 * or forged. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "cpython/sites.h"
#include "tests/unit/python_child.h"
#include "tests/unit/tiny_program.h"

typedef GArray site_array;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(site_array, g_array_unref)

struct fixture {
	elf_image *image;
	site_array *sites; /* by a search */
	char *folder, *file;
};

static int set_up(void **state)
{
	struct fixture *fixture = g_new0(struct fixture, 1);
	struct test_python debian = test_python(TEST_PYTHONS - 1);

	fixture->image = elf_image_open(debian.program, NULL);
	assert_non_null(fixture->image);
	assert_string_not_equal(elf_image_build_id(fixture->image), "");
	fixture->sites = allocation_sites_find(fixture->image, NULL);
	assert_non_null(fixture->sites);
	fixture->folder = g_dir_make_tmp("pyleak-cache-XXXXXX", NULL);
	assert_non_null(fixture->folder);
	g_autofree char *name = g_strdup_printf("sites-%s-v2", elf_image_build_id(fixture->image));
	fixture->file = g_build_filename(fixture->folder, name, NULL);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	chmod(fixture->folder, 0700);
	g_unlink(fixture->file);
	assert_int_equal(g_rmdir(fixture->folder), 0); /* nothing else was left in it */
	elf_image_free(fixture->image);
	g_array_unref(fixture->sites);
	g_free(fixture->folder);
	g_free(fixture->file);
	g_free(fixture);
	return 0;
}

/* Asks through the cache in @folder: whatever state that is in, the sites are the right ones. */
static void assert_right_sites(const struct fixture *fixture, const char *folder)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(site_array) sites = allocation_sites_cached(fixture->image, folder, &error);

	if (!sites)
		fail_msg("%s", error->message);
	assert_int_equal(sites->len, fixture->sites->len);
	for (guint i = 0; i < sites->len; i++) {
		struct allocation_site *site = &g_array_index(sites, struct allocation_site, i);
		struct allocation_site *right =
			&g_array_index(fixture->sites, struct allocation_site, i);

		assert_int_equal(site->offset, right->offset);
		assert_int_equal(site->pt_regs_offset, right->pt_regs_offset);
		assert_int_equal(site->choice, right->choice);
		assert_int_equal(site->place, right->place);
	}
}

static char *file_text(const struct fixture *fixture)
{
	char *text = NULL;

	assert_true(g_file_get_contents(fixture->file, &text, NULL, NULL));
	return text;
}

static void file_replace(const struct fixture *fixture, const char *text, size_t length)
{
	assert_true(g_file_set_contents_full(fixture->file, text, (gssize)length,
					     G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

/* The text with its checksum made right, as only the owner of the cache could. */
static void file_forge(const struct fixture *fixture, const char *body)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, body, -1);
	g_autofree char *text = g_strconcat(body, sum, "\n", NULL);

	file_replace(fixture, text, strlen(text));
}

static ino_t file_inode(const struct fixture *fixture)
{
	struct stat status;

	assert_int_equal(lstat(fixture->file, &status), 0);
	return status.st_ino;
}

/* The file is not taken: a search replaces it by a right one. */
static void assert_replaced(const struct fixture *fixture, const char *right)
{
	assert_right_sites(fixture, fixture->folder);
	g_autofree char *text = file_text(fixture);
	assert_string_equal(text, right);
}

static void what_was_found_is_kept_and_taken_again(void **state)
{
	const struct fixture *fixture = *state;
	struct stat status;

	assert_right_sites(fixture, fixture->folder);
	assert_int_equal(stat(fixture->file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_right_sites(fixture, fixture->folder);
	assert_int_equal(file_inode(fixture), status.st_ino); /* not written anew: it was taken */
}

static void a_folder_is_made(void **state)
{
	const struct fixture *fixture = *state;
	g_autofree char *parent = g_build_filename(fixture->folder, "a", NULL);
	g_autofree char *folder = g_build_filename(parent, "b", NULL);
	g_autofree char *name = g_path_get_basename(fixture->file);
	g_autofree char *file = g_build_filename(folder, name, NULL);

	assert_right_sites(fixture, folder);
	assert_int_equal(g_unlink(file), 0);
	assert_int_equal(g_rmdir(folder), 0);
	assert_int_equal(g_rmdir(parent), 0);
}

static void truncated_files_are_searched_for_instead(void **state)
{
	const struct fixture *fixture = *state;

	assert_right_sites(fixture, fixture->folder);
	g_autofree char *right = file_text(fixture);
	size_t length = strlen(right);

	for (size_t cut = 0; cut < length; cut += cut < 8 || cut > length - 80 ? 13 : length / 5) {
		file_replace(fixture, right, cut);
		assert_replaced(fixture, right);
	}
	file_replace(fixture, right, length - 1);
	assert_replaced(fixture, right);
}

static void changed_files_are_searched_for_instead(void **state)
{
	const struct fixture *fixture = *state;

	assert_right_sites(fixture, fixture->folder);
	g_autofree char *right = file_text(fixture);
	size_t length = strlen(right);

	for (size_t at = 3; at < length; at += length / 5) {
		g_autofree char *wrong = g_strdup(right);

		wrong[at] ^= 1;
		file_replace(fixture, wrong, length);
		assert_replaced(fixture, right);
		wrong[at] = '\0';
		file_replace(fixture, wrong, length);
		assert_replaced(fixture, right);
	}
}

static void forged_files_are_searched_for_instead(void **state)
{
	const struct fixture *fixture = *state;
	const char *id = elf_image_build_id(fixture->image);
	const struct allocation_site *first =
		&g_array_index(fixture->sites, struct allocation_site, 0);
	uint64_t at = first->offset;
	unsigned int reg = first->pt_regs_offset;
	unsigned int choice = first->choice;
	int64_t place = first->place;

	assert_right_sites(fixture, fixture->folder);
	g_autofree char *right = file_text(fixture);
#define BODY(version, zeros, id, count, at, reg, choice, place)                                    \
	g_strdup_printf("pyleak sites %d %s%s %d\n%" PRIu64 " %u %u %" PRId64 "\n", version,       \
			zeros, id, count, at, reg, choice, place)
	char *bodies[] = {
		g_strdup(""),
		g_strdup_printf("pyleak sites 2 %s 0\n", id),
		BODY(2, "00", id + 2, 1, at, reg, choice, place),
		BODY(1, "", id, 1, at, reg, choice, place),
		BODY(2, "", id, 2, at, reg, choice, place),
		BODY(2, "", id, 1, at + 1, reg, choice, place),
		BODY(2, "", id, 1, at, reg == 80 ? 88 : 80, choice, place),
		BODY(2, "", id, 1, at, reg, choice + 1, place),
		BODY(2, "", id, 1, at, reg, UINT32_MAX, place),
		BODY(2, "", id, 1, at, reg, choice, place + 16),
		BODY(2, "", id, 1, (uint64_t)1, reg, choice, place),
		BODY(2, "", id, 1, UINT64_MAX, reg, choice, place),
		g_strdup_printf("pyleak sites 2 %s 1\n%" PRIu64 " %u\n", id, at, reg),
		g_strdup_printf("pyleak sites 2 %s 2\n%" PRIu64 " %u %u %" PRId64 "\n%" PRIu64
				" %u %u %" PRId64 "\n",
				id, at, reg, choice, place, at, reg, choice, place),
		g_strdup_printf("pyleak sites 2 %s 1\nnothing\n", id),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
		file_forge(fixture, bodies[i]);
		assert_replaced(fixture, right);
		g_free(bodies[i]);
	}
}

static void files_of_others_are_not_taken(void **state)
{
	const struct fixture *fixture = *state;

	assert_right_sites(fixture, fixture->folder);
	ino_t inode = file_inode(fixture);
	assert_int_equal(chmod(fixture->file, 0620), 0);
	assert_right_sites(fixture, fixture->folder);
	assert_int_not_equal(file_inode(fixture), inode);
	inode = file_inode(fixture);
	assert_int_equal(chmod(fixture->file, 0602), 0);
	assert_right_sites(fixture, fixture->folder);
	assert_int_not_equal(file_inode(fixture), inode);
}

static void what_is_no_file_is_not_taken(void **state)
{
	const struct fixture *fixture = *state;
	struct stat status;

	assert_int_equal(symlink("/etc/passwd", fixture->file), 0);
	assert_right_sites(fixture, fixture->folder);
	assert_int_equal(lstat(fixture->file, &status), 0);
	assert_true(S_ISREG(status.st_mode)); /* the link was replaced, not followed */
	g_unlink(fixture->file);
	assert_int_equal(mkfifo(fixture->file, 0600), 0);
	assert_right_sites(fixture, fixture->folder); /* and does not wait for a writer */
	g_unlink(fixture->file);
	assert_int_equal(g_mkdir(fixture->file, 0700), 0);
	assert_right_sites(fixture, fixture->folder);
	assert_int_equal(g_rmdir(fixture->file), 0);
}

static void a_folder_that_others_may_write_to_is_not_used(void **state)
{
	const struct fixture *fixture = *state;

	assert_int_equal(chmod(fixture->folder, 0777), 0);
	assert_right_sites(fixture, fixture->folder);
	assert_int_not_equal(access(fixture->file, F_OK), 0);
}

static void a_folder_that_cannot_be_had_does_no_harm(void **state)
{
	const struct fixture *fixture = *state;

	assert_right_sites(fixture, "/proc/pyleak");
	assert_right_sites(fixture, "/etc/passwd/pyleak");
	assert_right_sites(fixture, "");
}

static void an_absurdly_large_file_is_not_read(void **state)
{
	const struct fixture *fixture = *state;

	file_replace(fixture, "x", 1);
	assert_int_equal(truncate(fixture->file, (off_t)1 << 40), 0); /* sparse */
	assert_right_sites(fixture, fixture->folder);
	struct stat status;
	assert_int_equal(stat(fixture->file, &status), 0);
	assert_true(status.st_size < 1 << 20);
}

static void an_image_without_build_id_is_not_cached(void **state)
{
	const struct fixture *fixture = *state;
	g_autoptr(elf_image) image = TINY_IMAGE(0x90, 0xc3);
	g_autoptr(GError) error = NULL;

	assert_string_equal(elf_image_build_id(image), "");
	assert_null(allocation_sites_cached(image, fixture->folder, &error));
	assert_non_null(error);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(what_was_found_is_kept_and_taken_again),
		WITH_FOLDER(a_folder_is_made),
		WITH_FOLDER(truncated_files_are_searched_for_instead),
		WITH_FOLDER(changed_files_are_searched_for_instead),
		WITH_FOLDER(forged_files_are_searched_for_instead),
		WITH_FOLDER(files_of_others_are_not_taken),
		WITH_FOLDER(what_is_no_file_is_not_taken),
		WITH_FOLDER(a_folder_that_others_may_write_to_is_not_used),
		WITH_FOLDER(a_folder_that_cannot_be_had_does_no_harm),
		WITH_FOLDER(an_absurdly_large_file_is_not_read),
		WITH_FOLDER(an_image_without_build_id_is_not_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
