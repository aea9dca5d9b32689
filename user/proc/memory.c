// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/memory.h"

#include <glib.h>
#include <string.h>
#include <sys/uio.h>

static bool process_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct process_memory *process = (const struct process_memory *)memory;
	struct iovec local = { .iov_base = buffer, .iov_len = length };
	struct iovec remote = { .iov_base = (void *)address, .iov_len = length };

	return process_vm_readv(process->pid, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

void process_memory_init(struct process_memory *memory, pid_t pid)
{
	memory->base.read = process_read;
	memory->pid = pid;
}

static bool image_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct image_memory *image = (const struct image_memory *)memory;

	if (address < image->start || address - image->start > image->length ||
	    length > image->length - (address - image->start))
		return false;
	memcpy(buffer, image->bytes + (address - image->start), length);
	return true;
}

void image_memory_init(struct image_memory *memory, uint64_t start, const void *bytes,
		       size_t length)
{
	memory->base.read = image_read;
	memory->start = start;
	memory->bytes = bytes;
	memory->length = length;
}

bool memory_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	if (length == 0)
		return true;
	if (length - 1 > UINT64_MAX - address)
		return false;
	return memory->read(memory, address, buffer, length);
}

bool memory_read_u32(const struct memory *memory, uint64_t address, uint32_t *value)
{
	return memory_read(memory, address, value, sizeof(*value));
}

bool memory_read_u64(const struct memory *memory, uint64_t address, uint64_t *value)
{
	return memory_read(memory, address, value, sizeof(*value));
}

/*
 * The string may end just before memory that cannot be read: pieces stop at page boundaries, and
 * where one fails, ever smaller ones are tried (a recorded image may end in the middle of a page).
 */
char *memory_read_string(const struct memory *memory, uint64_t address, size_t limit)
{
	enum { PAGE = 4096 };
	char piece[256];
	size_t size = sizeof(piece);
	g_autoptr(GString) text = g_string_new(NULL);

	while (text->len < limit) {
		size_t length = MIN(MIN(size, limit - text->len), PAGE - address % PAGE);
		if (!memory_read(memory, address, piece, length)) {
			if (length == 1)
				return NULL;
			size = length / 2;
			continue;
		}
		size_t used = strnlen(piece, length);
		g_string_append_len(text, piece, used);
		if (used < length)
			break;
		address += length;
	}
	return g_string_free(g_steal_pointer(&text), false);
}
