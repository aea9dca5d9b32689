# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps very many blocks that were allocated from very many stacks: "fill PER_STACK SIDE" makes SIDE * SIDE stacks."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import target

BYTE = b"x"
KEPT = []


def many_functions(side):
    """side leaf functions, each with a line that allocates, and side callers, each with a line that calls."""
    lines = []
    for number in range(side):
        lines.append("def leaf_%d(kept, start, count):" % number)
        lines.append("    for i in range(start, start + count):")
        lines.append("        kept[i] = BYTE * 16")
        lines.append("def caller_%d(leaf, kept, start, count):" % number)
        lines.append("    leaf(kept, start, count)")
    names = {"BYTE": BYTE}
    exec(compile("\n".join(lines) + "\n", "<scale>", "exec"), names)
    return (
        [names["leaf_%d" % number] for number in range(side)],
        [names["caller_%d" % number] for number in range(side)],
        names,
    )


def fill(per_stack, side):
    per_stack, side = int(per_stack), int(side)
    leaves, callers, names = many_functions(side)
    kept = [None] * (per_stack * side * side)
    KEPT.append((kept, names))
    start = 0
    for caller in callers:
        for leaf in leaves:
            caller(leaf, kept, start, per_stack)
            start += per_stack
    return {"blocks": start, "block_bytes": blocks.block(sys.getsizeof(kept[0])), "stacks": side * side}


if __name__ == "__main__":
    target.serve(fill=fill)
