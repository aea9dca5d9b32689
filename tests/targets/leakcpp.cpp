// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A C++ extension as people build them (-O2, no frame pointers), for native frames: leaks through
 * operator new, a template, strdup and Python objects; two native paths under one line of Python; a
 * callback into Python; a library loaded meanwhile; code without unwind information.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <cstdlib>
#include <cstring>
#include <vector>

#define KEEP_CALL __attribute__((noinline, noclone))

namespace shop
{

static std::vector<void *> kept(1 << 16, nullptr);
static size_t kept_count;

KEEP_CALL static void keep(void *block)
{
	asm volatile("" ::: "memory");
	kept[kept_count++] = block;
}

class Basket
{
public:
	KEEP_CALL int grow(size_t size);
	template <typename Item> KEEP_CALL int fill(size_t count);
};

int Basket::grow(size_t size)
{
	keep(new char[size]);
	return 1;
}

template <typename Item> int Basket::fill(size_t count)
{
	keep(new Item[count]);
	return 1;
}

KEEP_CALL static int duplicate(size_t size)
{
	std::vector<char> text(size + 1, 'x');

	text[size] = '\0';
	keep(strdup(text.data()));
	return 1;
}

/* Both are called by the same line of Python: only the second keeps. */
KEEP_CALL static int borrow(size_t size)
{
	void *block = malloc(size);

	asm volatile("" : "+r"(block));
	free(block);
	return 1;
}

KEEP_CALL static int borrow_and_leak(size_t size)
{
	volatile char room[200];
	int done = borrow(size);

	room[size % sizeof(room)] = 1;
	return done + Basket().grow(size) + room[size % sizeof(room)];
}

} // namespace shop

static shop::Basket basket;

typedef int (*leak)(size_t size);

static PyObject *repeat(PyObject *arguments, leak leak)
{
	Py_ssize_t count, size;

	if (!PyArg_ParseTuple(arguments, "nn", &count, &size))
		return NULL;
	for (Py_ssize_t i = 0; i < count; i++)
		leak((size_t)size);
	Py_RETURN_NONE;
}

static PyObject *cpp_new(PyObject *, PyObject *arguments)
{
	return repeat(arguments, [](size_t size) { return basket.grow(size); });
}

static PyObject *cpp_fill(PyObject *, PyObject *arguments)
{
	return repeat(arguments, [](size_t size) { return basket.fill<double>(size); });
}

static PyObject *cpp_strdup(PyObject *, PyObject *arguments)
{
	return repeat(arguments, shop::duplicate);
}

static PyObject *cpp_two_paths(PyObject *, PyObject *arguments)
{
	return repeat(arguments, shop::borrow_and_leak);
}

/* Python objects whose references are lost. */
extern "C" KEEP_CALL PyObject *lose_references(Py_ssize_t count)
{
	for (Py_ssize_t i = 0; i < count; i++)
		shop::keep(PyBytes_FromStringAndSize(NULL, 400));
	Py_RETURN_NONE;
}

static PyObject *cpp_objects(PyObject *, PyObject *arguments)
{
	Py_ssize_t count;

	return PyArg_ParseTuple(arguments, "n", &count) ? lose_references(count) : NULL;
}

extern "C" KEEP_CALL PyObject *call_back(PyObject *function)
{
	volatile int before = 1;
	PyObject *result = PyObject_CallFunction(function, NULL);

	return before ? result : NULL;
}

static PyObject *cpp_call(PyObject *, PyObject *arguments)
{
	PyObject *function;

	return PyArg_ParseTuple(arguments, "O", &function) ? call_back(function) : NULL;
}

/* Loads a library and leaks through its function: (path, function, count, size). */
static PyObject *cpp_load(PyObject *, PyObject *arguments)
{
	const char *path, *name;
	Py_ssize_t count, size;
	void *(*function)(size_t);
	void *library;

	if (!PyArg_ParseTuple(arguments, "ssnn", &path, &name, &count, &size))
		return NULL;
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	function = library ? (void *(*)(size_t))dlsym(library, name) : NULL;
	if (!function)
		return PyErr_Format(PyExc_OSError, "%s", dlerror());
	for (Py_ssize_t i = 0; i < count; i++)
		shop::keep(function((size_t)size));
	Py_RETURN_NONE;
}

/* Where a debugger stops. */
extern "C" KEEP_CALL void leakcpp_mark(void)
{
	asm volatile("");
}

static PyObject *cpp_mark(PyObject *, PyObject *)
{
	leakcpp_mark();
	Py_RETURN_NONE;
}

#define METHOD(name)                                                                               \
	{                                                                                          \
		#name, cpp_##name, METH_VARARGS, NULL                                              \
	}
static PyMethodDef methods[] = {
	METHOD(new),  METHOD(fill), METHOD(strdup), METHOD(two_paths), METHOD(objects),
	METHOD(call), METHOD(load), METHOD(mark),   { NULL, NULL, 0, NULL },
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "leakcpp", NULL, -1, methods,
				     NULL,		     NULL,	NULL, NULL };

PyMODINIT_FUNC PyInit_leakcpp(void)
{
	return PyModule_Create(&module);
}
