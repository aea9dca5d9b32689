/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers named by cookies: each probe site has its own, found by disassembly. */
#ifndef PYLEAK_BPF_REGISTERS_H
#define PYLEAK_BPF_REGISTERS_H

/*
 * A register by its offset in struct pt_regs, as cookies name it; 0 for any other offset. The
 * verifier refuses a computed pointer into the context, which is what the compiler makes of a plain
 * switch; comparing is cheaper than a copy by bpf_probe_read_kernel.
 */
static __always_inline __u64 register_at(struct pt_regs *ctx, __u64 offset)
{
	__u64 value = 0;

	switch (offset) {
#define REGISTER(name)                                                                             \
	case __builtin_offsetof(struct pt_regs, name):                                             \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                                              \
			     : "=r"(value)                                                         \
			     : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, name)));           \
		break
		REGISTER(ax);
		REGISTER(cx);
		REGISTER(dx);
		REGISTER(bx);
		REGISTER(si);
		REGISTER(di);
		REGISTER(bp);
		REGISTER(r8);
		REGISTER(r9);
		REGISTER(r10);
		REGISTER(r11);
		REGISTER(r12);
		REGISTER(r13);
		REGISTER(r14);
		REGISTER(r15);
#undef REGISTER
	}
	return value;
}

#endif
