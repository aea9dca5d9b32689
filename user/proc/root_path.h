/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths inside another root folder. A link in a container that leads to "/etc/x" means the
 * container's /etc/x, but the kernel follows it to ours when we open /proc/PID/root/link: so links
 * are followed here, one by one.
 */
#ifndef PYLEAK_PROC_ROOT_PATH_H
#define PYLEAK_PROC_ROOT_PATH_H

#include <stdbool.h>
#include <glib.h>

/*
 * What @path means to a process whose root is at @root and whose working directory is at @cwd (both
 * absolute, as we can open them, without a slash at the end). Links are followed, ".." does not
 * leave @root; what does not exist is kept as it is, and so are links after the 40th. g_free() the
 * result.
 */
char *root_path_resolve(const char *root, const char *cwd, const char *path);

/*
 * @path as a process sees it whose root is @root, both as the kernel shows them to us: without the
 * root in front. A path outside of it (of a file opened before chroot(2)) stays as it is. Takes
 * @path, g_free() the result.
 */
char *root_path_inside(const char *root, char *path);

#endif
