// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/memory.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proc/pagemap.h"

static bool process_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct process_memory *process = (const struct process_memory *)memory;
	struct iovec local = { .iov_base = buffer, .iov_len = length };
	struct iovec remote = { .iov_base = (void *)address, .iov_len = length };

	return process_vm_readv(process->pid, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

static size_t process_read_each(const struct memory *memory, const uint64_t *addresses,
				size_t count, void *buffer, size_t length)
{
	const struct process_memory *process = (const struct process_memory *)memory;
	struct iovec remote[IOV_MAX];
	size_t done = 0;

	while (done < count) {
		size_t batch = MIN(count - done, (size_t)IOV_MAX);
		struct iovec local = { .iov_base = (char *)buffer + done * length,
				       .iov_len = batch * length };

		for (size_t i = 0; i < batch; i++)
			remote[i] = (struct iovec){ (void *)addresses[done + i], length };
		ssize_t read = process_vm_readv(process->pid, &local, 1, remote, batch, 0);
		/* It stops at the first piece that it cannot read: process_vm_readv(2). */
		done += read > 0 ? read / length : 0;
		if (read != (ssize_t)(batch * length))
			break;
	}
	return done;
}

static bool process_populated(const struct memory *memory, const GArray *spans, GArray *ranges)
{
	const struct process_memory *process = (const struct process_memory *)memory;
	g_autofree char *path = g_strdup_printf("/proc/%d/pagemap", process->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool known = fd >= 0;

	for (guint i = 0; known && i < spans->len; i++) {
		const struct memory_range *span = &g_array_index(spans, struct memory_range, i);

		known = pagemap_scan(fd, span, ranges) || pagemap_read(fd, span, ranges);
	}
	if (fd >= 0)
		close(fd);
	return known;
}

void process_memory_init(struct process_memory *memory, pid_t pid)
{
	memory->base.read = process_read;
	memory->base.read_each = process_read_each;
	memory->base.populated = process_populated;
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
	memory->base = (struct memory){ .read = image_read };
	memory->start = start;
	memory->bytes = bytes;
	memory->length = length;
}

static bool piece_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	const struct piece_memory *piece = (const struct piece_memory *)memory;

	return image_read(&piece->piece.base, address, buffer, length) ||
	       memory_read(piece->rest, address, buffer, length);
}

void piece_memory_init(struct piece_memory *memory, const struct memory *rest, uint64_t start,
		       const void *bytes, size_t length)
{
	memory->base = (struct memory){ .read = piece_read };
	memory->rest = rest;
	image_memory_init(&memory->piece, start, bytes, length);
}

bool memory_read(const struct memory *memory, uint64_t address, void *buffer, size_t length)
{
	if (length == 0)
		return true;
	if (length - 1 > UINT64_MAX - address)
		return false;
	return memory->read(memory, address, buffer, length);
}

size_t memory_read_each(const struct memory *memory, const uint64_t *addresses, size_t count,
			void *buffer, size_t length)
{
	size_t done = 0;

	if (memory->read_each && length)
		return memory->read_each(memory, addresses, count, buffer, length);
	while (done < count &&
	       memory_read(memory, addresses[done], (char *)buffer + done * length, length))
		done++;
	return done;
}

void memory_read_any(const struct memory *memory, const uint64_t *addresses, size_t count,
		     void *buffer, size_t length, bool *done)
{
	for (size_t i = 0; i < count; i++) {
		size_t read = memory_read_each(memory, addresses + i, count - i,
					       (char *)buffer + i * length, length);

		for (; read; read--)
			done[i++] = true;
		if (i < count)
			done[i] = false;
	}
}

GArray *memory_populated(const struct memory *memory, const GArray *spans)
{
	GArray *ranges = g_array_new(false, false, sizeof(struct memory_range));

	if (!memory->populated || !memory->populated(memory, spans, ranges)) {
		g_array_set_size(ranges, 0);
		if (spans->len)
			g_array_append_vals(ranges, spans->data, spans->len);
	}
	return ranges;
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
