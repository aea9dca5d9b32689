/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A C extension that allocates through every function of the malloc family and through mmap, with
 * numbers that the test knows. Nearly every function takes (count, size). What it keeps, it keeps
 * in static tables, so that keeping allocates nothing. Builds for Python 2.7 and 3.6 on; compile
 * with -fno-builtin, or gcc drops the malloc and free pairs.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEPT_MAX = 1 << 20, PAGE = 4096 };

static void *kept[KEPT_MAX];
static size_t kept_count;

static int keep(void *block)
{
	if (block == NULL || kept_count == KEPT_MAX)
		return -1;
	kept[kept_count++] = block;
	return 0;
}

typedef int (*allocate_one)(size_t size);

/* Parses (count, size) and calls @allocate count times. */
static PyObject *repeat(PyObject *arguments, allocate_one allocate)
{
	Py_ssize_t count, size;

	if (!PyArg_ParseTuple(arguments, "nn", &count, &size))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++)
		if (allocate((size_t)size) != 0)
			return PyErr_NoMemory();
	Py_RETURN_NONE;
}

static int by_malloc(size_t size)
{
	return keep(malloc(size));
}

static int by_calloc(size_t size)
{
	return keep(calloc(1, size));
}

static int by_realloc_null(size_t size)
{
	return keep(realloc(NULL, size));
}

static int by_realloc_grow(size_t size)
{
	void *block = malloc(16);

	for (size_t step = 32; step < size && block != NULL; step *= 2)
		block = realloc(block, step);
	return keep(realloc(block, size));
}

/* A realloc that fails leaves the old block as it was. */
static int by_realloc_fail(size_t size)
{
	volatile size_t absurd = PTRDIFF_MAX;
	void *block = malloc(size);

	if (realloc(block, absurd) != NULL)
		return -1;
	return keep(block);
}

/* glibc frees and returns NULL; others return a small block. Either way nothing is left. */
static int by_realloc_zero(size_t size)
{
	volatile size_t zero = 0;

	free(realloc(malloc(size), zero));
	return 0;
}

static int by_reallocarray(size_t size)
{
	return keep(reallocarray(NULL, 4, size / 4));
}

static int by_posix_memalign(size_t size)
{
	void *block = NULL;

	return posix_memalign(&block, 64, size) == 0 ? keep(block) : -1;
}

static int by_aligned_alloc(size_t size)
{
	return keep(aligned_alloc(64, size));
}

static int by_memalign(size_t size)
{
	return keep(memalign(128, size));
}

static int by_valloc(size_t size)
{
	return keep(valloc(size));
}

static int by_pvalloc(size_t size)
{
	return keep(pvalloc(size));
}

static int by_strdup(size_t size)
{
	char text[1024];

	if (size >= sizeof(text))
		return -1;
	memset(text, 'x', size);
	text[size] = '\0';
	return keep(strdup(text));
}

static int by_malloc_free(size_t size)
{
	void *block = malloc(size);

	memset(block, 1, size);
	free(block);
	return 0;
}

static int by_raw_malloc(size_t size)
{
#if PY_MAJOR_VERSION >= 3
	return keep(PyMem_RawMalloc(size));
#else
	return keep(malloc(size));
#endif
}

static int by_mmap(size_t size)
{
	void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return block == MAP_FAILED ? -1 : keep(block);
}

/* Keeps the first half: the second is unmapped. */
static int by_munmap_half(size_t size)
{
	char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED || munmap(block + size / 2, size / 2) != 0)
		return -1;
	return keep(block);
}

static int by_munmap(size_t size)
{
	void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return block == MAP_FAILED ? -1 : munmap(block, size);
}

/* Doubles a mapping of half the size; it may move. */
static int by_mremap(size_t size)
{
	void *block =
		mmap(NULL, size / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return -1;
	block = mremap(block, size / 2, size, MREMAP_MAYMOVE);
	return block == MAP_FAILED ? -1 : keep(block);
}

/* A file's pages are not anonymous memory. */
static int by_mmap_file(size_t size)
{
	FILE *file = tmpfile();
	void *block;

	if (file == NULL || ftruncate(fileno(file), (off_t)size) != 0)
		return -1;
	block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
	fclose(file);
	return block == MAP_FAILED ? -1 : keep(block);
}

static PyObject *ext_calloc_array(PyObject *self, PyObject *arguments)
{
	Py_ssize_t count, size;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "nn", &count, &size))
		return NULL;
	if (keep(calloc((size_t)count, (size_t)size)) != 0)
		return PyErr_NoMemory();
	Py_RETURN_NONE;
}

/* Frees the last count blocks that were kept; the size is ignored. */
static int release_last(size_t size)
{
	(void)size;
	if (kept_count == 0)
		return -1;
	free(kept[--kept_count]);
	return 0;
}

struct thread_job {
	Py_ssize_t count, size;
	int failed;
};

static void *thread_main(void *context)
{
	struct thread_job *job = context;

	for (Py_ssize_t i = 0; i < job->count; i++)
		job->failed |= by_malloc((size_t)job->size) != 0;
	return NULL;
}

/* Allocates on a thread that Python knows nothing of, and waits for it without the GIL. */
static PyObject *ext_thread(PyObject *self, PyObject *arguments)
{
	struct thread_job job = { 0, 0, 0 };
	pthread_t thread;
	int failure;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "nn", &job.count, &job.size))
		return NULL;
	failure = pthread_create(&thread, NULL, thread_main, &job);
	if (failure == 0) {
		Py_BEGIN_ALLOW_THREADS pthread_join(thread, NULL);
		Py_END_ALLOW_THREADS
	}
	if (failure != 0 || job.failed)
		return PyErr_NoMemory();
	Py_RETURN_NONE;
}

/* call(function, count): calls a Python function from C. */
static PyObject *ext_call(PyObject *self, PyObject *arguments)
{
	PyObject *function, *result;
	Py_ssize_t count;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "On", &function, &count))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++) {
		result = PyObject_CallObject(function, NULL);
		if (result == NULL)
			return NULL;
		Py_DECREF(result);
	}
	Py_RETURN_NONE;
}

#define REPEATED(name, allocate)                                                                   \
	static PyObject *ext_##name(PyObject *self, PyObject *arguments)                           \
	{                                                                                          \
		(void)self;                                                                        \
		return repeat(arguments, allocate);                                                \
	}
REPEATED(malloc, by_malloc)
REPEATED(calloc, by_calloc)
REPEATED(realloc_null, by_realloc_null)
REPEATED(realloc_grow, by_realloc_grow)
REPEATED(realloc_fail, by_realloc_fail)
REPEATED(realloc_zero, by_realloc_zero)
REPEATED(reallocarray, by_reallocarray)
REPEATED(posix_memalign, by_posix_memalign)
REPEATED(aligned_alloc, by_aligned_alloc)
REPEATED(memalign, by_memalign)
REPEATED(valloc, by_valloc)
REPEATED(pvalloc, by_pvalloc)
REPEATED(strdup, by_strdup)
REPEATED(malloc_free, by_malloc_free)
REPEATED(raw_malloc, by_raw_malloc)
REPEATED(mmap, by_mmap)
REPEATED(munmap, by_munmap)
REPEATED(munmap_half, by_munmap_half)
REPEATED(mremap, by_mremap)
REPEATED(mmap_file, by_mmap_file)
REPEATED(release, release_last)

#define METHOD(name)                                                                               \
	{                                                                                          \
#name, ext_##name, METH_VARARGS, NULL                                              \
	}
static PyMethodDef methods[] = {
	METHOD(malloc),		 METHOD(calloc),       METHOD(calloc_array),
	METHOD(realloc_null),	 METHOD(realloc_grow), METHOD(realloc_fail),
	METHOD(realloc_zero),	 METHOD(reallocarray), METHOD(posix_memalign),
	METHOD(aligned_alloc),	 METHOD(memalign),     METHOD(valloc),
	METHOD(pvalloc),	 METHOD(strdup),       METHOD(malloc_free),
	METHOD(raw_malloc),	 METHOD(mmap),	       METHOD(munmap),
	METHOD(munmap_half),	 METHOD(mremap),       METHOD(mmap_file),
	METHOD(release),	 METHOD(thread),       METHOD(call),
	{ NULL, NULL, 0, NULL },
};

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT, "leakext", NULL, -1, methods, NULL, NULL, NULL, NULL
};

PyMODINIT_FUNC PyInit_leakext(void)
{
	return PyModule_Create(&module);
}
#else
PyMODINIT_FUNC initleakext(void)
{
	Py_InitModule("leakext", methods);
}
#endif
