/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names as people write them: C++, Rust (both manglings), D. Done by libiberty, as in binutils and
 * gdb. */
#ifndef PYLEAK_SYMBOLIZE_DEMANGLE_H
#define PYLEAK_SYMBOLIZE_DEMANGLE_H

/*
 * The name of a linker symbol as its source has it, interned; the symbol itself where it is not
 * mangled. What GNU ld puts after "@" (a version) is dropped, and so is what is beyond 1,000 bytes:
 * symbols are foreign.
 */
const char *demangle(const char *symbol);

#endif
