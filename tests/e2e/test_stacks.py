# SPDX-License-Identifier: GPL-2.0-or-later
"""The stacks in the report are those that sys._getframe() sees at the allocating line, frame by frame."""
import functools

import pytest

import pyleak

MAX_FRAMES = 128  # bpf/abi.h, PYLEAK_MAX_FRAMES
BLOCKS = 500  # targets/stacks.py, N
FOREIGN = """# -*- coding: utf-8 -*-
def {name}():
    for i in range(N):
        record("foreign")[i] = BYTE * 40
def entry():
    {name}()
"""
EVERYWHERE = ["nested", "generator", "decorated", "method", "property", "thread", "sorted", "map", "callback",
              "lambda", "exec", "short_lived", "foreign"]
PYTHON_3 = ["yield_from", "coroutine", "async_generator"]


@functools.lru_cache(maxsize=None)
def stacks_and_report(python):
    folder = pyleak.scratch() / ("näme-日本-" + python.name)
    folder.mkdir(exist_ok=True)
    path = folder / "größe.py"
    path.write_text(FOREIGN.format(name="größe" if python.version >= (3,) else "grosse"), encoding="utf-8")
    with pyleak.Target("stacks.py", python, {"PYTHONIOENCODING": "utf-8"}) as target, pyleak.attach(target) as tracer:
        truth = target.ask("run", str(path))
        return truth, tracer.finish()


def found_with_leaf(report, leaf):
    """[[stack, blocks], ...] of all sites whose innermost Python frame is the given one."""
    return [[report.python_stack(site), site["outstanding_blocks"]] for site in report["sites"]
            if report.python_stack(site)[:1] == [leaf]]


def check(python, name):
    truth, report = stacks_and_report(python)
    expected = truth[name]
    found = found_with_leaf(report, expected[0])
    same = [blocks for stack, blocks in found if stack == expected]
    assert same, "expected %s, found %s" % (expected, [stack for stack, _ in found])
    # All the blocks of the loop are under this one stack; the interpreter may leave a frame object there as well.
    assert BLOCKS <= sum(same) <= BLOCKS + 3


@pytest.mark.parametrize("name", EVERYWHERE)
def test_python_stack_is_complete(python, name):
    check(python, name)


@pytest.mark.parametrize("name", PYTHON_3)
@pytest.mark.parametrize("python", [p for p in pyleak.INTERPRETERS if p.version >= (3, 6)], ids=repr)
def test_coroutine_stack_is_complete(python, name):
    truth, report = stacks_and_report(python)
    assert truth[name][0] in [stack[0] for stack, _ in found_with_leaf(report, truth[name][0])]
    # A coroutine is resumed from more than one place of asyncio; the recorded stack must be among them.
    stacks = found_with_leaf(report, truth[name][0])
    assert truth[name] in [stack for stack, _ in stacks]
    assert BLOCKS <= sum(blocks for _, blocks in stacks) <= BLOCKS + 3


def test_deep_recursion_is_cut_counted_and_said(python):
    truth, report = stacks_and_report(python)
    expected = truth["recursion"]
    assert len(expected) > MAX_FRAMES
    found = found_with_leaf(report, expected[0])
    assert [stack for stack, blocks in found if blocks >= BLOCKS] == [expected[:MAX_FRAMES]]
    assert report.lost().get("stack_truncated", 0) >= BLOCKS


def test_memory_without_a_python_frame_is_shown_as_such(some_python):
    """A native thread that Python knows nothing of."""
    with pyleak.Target("stacks.py", some_python) as target, pyleak.attach(target) as tracer:
        blocks, octets = target.ask("frameless")
        report = tracer.finish()
    frameless = [site for site in report["sites"] if not report.python_stack(site)]
    assert [blocks, octets] in [[s["outstanding_blocks"], s["outstanding_bytes"]] for s in frameless]
