// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbolize/merge.h"

#include <string.h>

/*
 * Functions that only run bytecode or make a call that bytecode asks for, by how their names begin.
 * Python/ceval.c, Objects/call.c, methodobject.c, descrobject.c, genobject.c, typeobject.c,
 * Python/pythonrun.c of CPython 2.7 to 3.14.
 */
static const char *const machinery[] = {
	"_PyEval_",
	"PyEval_EvalCode",
	"PyEval_EvalFrame",
	"PyEval_CallObject",
	"_TAIL_CALL_",
	"_PyFunction_Vectorcall",
	"_PyFunction_FastCall",
	"function_call",
	"function_code_fastcall",
	"fast_function",
	"call_function",
	"ext_do_call",
	"do_call",
	"object_vacall",
	"PyObject_Vectorcall",
	"_PyObject_Vectorcall",
	"PyObject_Call",
	"_PyObject_Call",
	"_PyObject_FastCall",
	"_PyObject_MakeTpCall",
	"PyVectorcall_",
	"_PyVectorcall_",
	"_PyStack_",
	"vectorcall_",
	"cfunction_",
	"PyCFunction_Call",
	"_PyCFunction_",
	"_PyMethodDef_",
	"_PyMethodDescr_",
	"method_vectorcall",
	"method_call",
	"methoddescr_call",
	"instancemethod_call",
	"classmethoddescr_call",
	"gen_send_ex",
	"gen_iternext",
	"type_call",
	"slot_tp_",
	"run_mod",
	"run_eval_code_obj",
};

static const char *const allocators[] = {
	"PyMem_",	    "_PyMem_",
	"PyObject_Malloc",  "PyObject_Calloc",
	"PyObject_Realloc", "_PyObject_Malloc",
	"_PyObject_Calloc", "_PyObject_Realloc",
	"pymalloc_",	    "_PyObject_GC_",
	"_PyObject_New",    "gc_alloc",
	"_PyObject_Debug",  "allocate_from_new_pool",
};

static const char *const loops[] = { "_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault.cold" };
/* 2.7 has no other name for it; later it calls the loop. */
static const char old_loop[] = "PyEval_EvalFrameEx";

static bool begins_with_any(const char *name, const char *const *beginnings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (g_str_has_prefix(name, beginnings[i]))
			return true;
	return false;
}

static bool is_machinery(const struct native_line *line)
{
	return line->interpreter && line->named &&
	       begins_with_any(line->frame.function, machinery, G_N_ELEMENTS(machinery));
}

static bool is_named_loop(const struct merge *merge, uint32_t index)
{
	const struct native_line *line = &merge->native[index];
	const char *name = line->frame.function;

	if (!line->interpreter || !line->named)
		return false;
	if (!strcmp(name, loops[0]) || !strcmp(name, loops[1]))
		return true;
	if (strcmp(name, old_loop))
		return false;
	/* Anything but 2.7: the loop itself is the frame that it has called. */
	for (uint32_t i = 0; i < merge->native_count; i++)
		if (merge->native[i].named && !strcmp(merge->native[i].frame.function, loops[0]))
			return false;
	return true;
}

/* Whether the native frame is the loop that ran Python run @run. */
static bool is_loop(const struct merge *merge, uint32_t index, uint32_t run)
{
	const struct native_line *line = &merge->native[index];

	if (run >= merge->run_count)
		return false;
	if (merge->runs[run].address)
		return merge->runs[run].address >= line->sp && merge->runs[run].address < line->cfa;
	return is_named_loop(merge, index);
}

/* The index of the native frame that runs the innermost Python frame; native_count: not there. */
static uint32_t innermost_loop(const struct merge *merge)
{
	uint32_t i = 0;

	while (i < merge->native_count && !is_loop(merge, i, 0))
		i++;
	return i;
}

bool merge_reaches_python(const struct merge *merge)
{
	return innermost_loop(merge) < merge->native_count;
}

static void add_python(const struct merge *merge, uint32_t run, GArray *frames)
{
	uint32_t begin = run ? merge->runs[run - 1].end : 0, end = merge->runs[run].end;

	if (end > begin)
		g_array_append_vals(frames, &merge->python[begin], end - begin);
}

static void add_python_from(const struct merge *merge, uint32_t run, GArray *frames)
{
	for (; run < merge->run_count; run++)
		add_python(merge, run, frames);
}

/*
 * How many native frames are below the Python frame, as far as can be told. Where the loop has not
 * been found: leading ones of the interpreter, and the foreign ones that follow.
 */
static uint32_t leaf_count(const struct merge *merge)
{
	uint32_t count = innermost_loop(merge), i = 0;

	if (!merge->run_count || count < merge->native_count)
		return count;
	while (i < count && merge->native[i].interpreter)
		i++;
	while (i < count && !merge->native[i].interpreter)
		i++;
	return i;
}

bool merge_is_foreign(const struct merge *merge)
{
	uint32_t count = leaf_count(merge);

	for (uint32_t i = 0; i < count; i++)
		if (!merge->native[i].interpreter)
			return true;
	return false;
}

static bool is_of_interest(const struct native_line *line)
{
	if (!line->interpreter)
		return true;
	return line->named && !is_machinery(line) &&
	       !begins_with_any(line->frame.function, allocators, G_N_ELEMENTS(allocators));
}

static void merge_leaf(const struct merge *merge, GArray *frames)
{
	uint32_t count = leaf_count(merge);

	/*
	 * An object that the interpreter itself makes for a line of Python: the line says it all,
	 * and its objects, made in several functions, stay one site.
	 */
	if (merge->family == FAMILY_PYMALLOC && !merge_is_foreign(merge) && merge->run_count)
		count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (is_of_interest(&merge->native[i]))
			g_array_append_val(frames, merge->native[i].frame);
	add_python_from(merge, 0, frames);
}

static void merge_full(const struct merge *merge, GArray *frames)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < merge->native_count; i++) {
		const struct native_line *line = &merge->native[i];

		if (is_loop(merge, i, run))
			add_python(merge, run++, frames);
		else if (!is_machinery(line))
			g_array_append_val(frames, line->frame);
	}
	/* Unwinding ended early, or met a loop that it did not know. */
	add_python_from(merge, run, frames);
}

void merge_stacks(const struct merge *merge, GArray *frames)
{
	if (merge->mode == NATIVE_FULL)
		merge_full(merge, frames);
	else if (merge->mode == NATIVE_LEAF)
		merge_leaf(merge, frames);
	else
		add_python_from(merge, 0, frames);
}
