// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/find_image.h"

#include <string.h>

#include "base/error.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool image_is_python(const struct elf_image *image)
{
	struct elf_symbol symbol;

	/* The stable-ABI stub libpython3.so exports neither. */
	return elf_image_exports(image, "_PyRuntime", &symbol) ||
	       (elf_image_exports(image, "_PyThreadState_Current", &symbol) &&
		elf_image_exports(image, "PyInterpreterState_Head", &symbol));
}

static bool is_pypy(const char *path)
{
	const char *name = base_name(path);

	return g_str_has_prefix(name, "libpypy") || g_str_has_prefix(name, "pypy");
}

/* A file of the process that may hold an interpreter: one called libpython, or the executable. */
static bool is_candidate(const struct process *process, const struct mapping *mapping,
			 bool is_library)
{
	if (!(mapping->flags & MAPPING_EXEC) || !mapping->inode || mapping->path[0] != '/')
		return false;
	return is_library ? g_str_has_prefix(base_name(mapping->path), "libpython")
			  : strcmp(mapping->path, process->exe) == 0;
}

/* Opens the file behind @mapping. NULL without @error: it holds no interpreter. */
static struct elf_image *open_if_python(const struct process *process,
					const struct mapping *mapping, char **path,
					uint64_t *load_bias, GError **error)
{
	g_autofree char *opened = process_mapping_path(process, mapping);
	struct elf_image *image = elf_image_open(opened, error);

	if (!image)
		return NULL;
	if (!image_is_python(image) ||
	    !elf_image_load_bias(image, mapping->start, mapping->offset, load_bias)) {
		elf_image_free(image);
		return NULL;
	}
	*path = g_steal_pointer(&opened);
	return image;
}

static bool refuse_pypy(const struct process *process, const struct maps *maps, GError **error)
{
	bool found = is_pypy(process->exe);

	for (size_t i = 0; i < maps->count && !found; i++)
		found = (maps->items[i].flags & MAPPING_EXEC) && is_pypy(maps->items[i].path);
	if (found)
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_UNSUPPORTED,
			    "process %d (%s) runs PyPy, which pyleak cannot trace; run the program "
			    "on CPython",
			    process->pid, process->exe);
	return found;
}

static void say_not_found(const struct process *process, GError **error)
{
	if (!process_is_alive(process))
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
			    "process %d has exited; give the pid of a running one", process->pid);
	else
		g_set_error(error, PYLEAK_ERROR, PYLEAK_ERROR_NO_TARGET,
			    "process %d (%s) is not a Python process; give the pid of one",
			    process->pid, process->exe);
}

struct elf_image *find_image(const struct process *process, const struct maps *maps, char **path,
			     uint64_t *load_bias, GError **error)
{
	if (refuse_pypy(process, maps, error))
		return NULL;
	/* Libraries first: an executable that loads libpython may re-export its symbols. */
	for (int library = 1; library >= 0; library--) {
		for (size_t i = 0; i < maps->count; i++) {
			g_autoptr(GError) why = NULL;
			struct elf_image *image;

			if (!is_candidate(process, &maps->items[i], library))
				continue;
			image = open_if_python(process, &maps->items[i], path, load_bias, &why);
			if (image)
				return image;
			if (why && process_is_alive(process)) {
				g_propagate_error(error, g_steal_pointer(&why));
				return NULL;
			}
		}
	}
	say_not_found(process, error);
	return NULL;
}
