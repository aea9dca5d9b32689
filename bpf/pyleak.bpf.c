// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel side, one object: each header holds one part of it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "bpf/abi.h"
#include "bpf/maps.h"
#include "bpf/registers.h"
#include "bpf/namespace.h"
#include "bpf/thread.h"
#include "bpf/python_stack.h"
#include "bpf/code_identity.h"
#include "bpf/native_stack.h"
#include "bpf/accounting.h"
#include "bpf/pymalloc.h"
#include "bpf/malloc.h"
#include "bpf/mmap.h"
#include "bpf/lifecycle.h"

char LICENSE[] SEC("license") = "GPL";
