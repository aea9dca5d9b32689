// SPDX-License-Identifier: GPL-2.0-or-later
/* An allocator of another tool, as in-process profilers install one: passes every call on. For
 * test_allocators.c. */
#include <stddef.h>

/* Include/cpython/pymem.h, 3.5 on */
struct allocator {
	void *ctx;
	void *(*malloc)(void *ctx, size_t size);
	void *(*calloc)(void *ctx, size_t count, size_t size);
	void *(*realloc)(void *ctx, void *block, size_t size);
	void (*free)(void *ctx, void *block);
};
enum { PYMEM_DOMAIN_OBJ = 2 };
void PyMem_GetAllocator(int domain, struct allocator *allocator);
void PyMem_SetAllocator(int domain, struct allocator *allocator);

static struct allocator original;

static void *hook_malloc(void *ctx, size_t size)
{
	(void)ctx;
	return original.malloc(original.ctx, size);
}

static void *hook_calloc(void *ctx, size_t count, size_t size)
{
	(void)ctx;
	return original.calloc(original.ctx, count, size);
}

static void *hook_realloc(void *ctx, void *block, size_t size)
{
	(void)ctx;
	return original.realloc(original.ctx, block, size);
}

static void hook_free(void *ctx, void *block)
{
	(void)ctx;
	original.free(original.ctx, block);
}

void install(void)
{
	struct allocator hook = { NULL, hook_malloc, hook_calloc, hook_realloc, hook_free };

	PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &original);
	PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &hook);
}
