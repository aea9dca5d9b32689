# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that leak a known number of blocks and bytes on known lines: the report must say the same."""
import functools
import os

import pytest

import pyleak

ALIGNMENT = 16  # of pymalloc blocks, in all interpreters here: oracles/blocks.py measures it
# What the C extension and the interpreter's own objects leave on each marked line; see targets/leaks.py.
NATIVE = sorted(name for name in pyleak.marks(str(pyleak.TARGETS / "leaks.py")) if name.startswith("ext_"))
OBJECTS = ["bytes", "largest_small", "smallest_large", "strings", "tuples", "floats", "integers", "slotted",
           "dicts", "lists", "sets", "megabytes", "append"]


def kinds(python):
    """2.7 carves floats out of blocks of its own, 41 at a time, and so many that no count can be foretold."""
    return OBJECTS if python.version >= (3,) else [kind for kind in OBJECTS if kind != "floats"]


CASES = [pytest.param(python, kind, id="%s-%s" % (python, kind))
         for python in pyleak.INTERPRETERS for kind in kinds(python)]


@functools.lru_cache(maxsize=None)
def leak_and_report(python):
    """One traced run of leaks.py: what it leaked, and the last report."""
    with pyleak.Target("leaks.py", python) as target, pyleak.attach(target) as tracer:
        truth = target.ask("leak", *(["numpy"] if python.numpy else []))
        report = tracer.finish()
        return truth, report, target.script


def compare(python, names):
    truth, report, script = leak_and_report(python)
    seen = report.by_line(script)
    marks = pyleak.marks(script)
    wrong = {}
    for name in names:
        expected = [truth["expected"][name]["blocks"], truth["expected"][name]["bytes"]]
        found = seen.get(marks[name], [0, 0])
        if found != expected:
            wrong[name] = "leaked %s, reported %s blocks, bytes" % (expected, found)
    assert not wrong, wrong


@pytest.mark.parametrize("python, kind", CASES)
def test_objects_are_counted_to_the_block(python, kind):
    compare(python, [kind])


def test_native_allocations_are_counted_to_the_byte(python):
    compare(python, NATIVE)


@pytest.mark.parametrize("python", [p for p in pyleak.INTERPRETERS if p.numpy], ids=repr)
def test_numpy_arrays_are_counted_with_their_data(python):
    compare(python, ["arrays", "large_arrays"])


def test_lines_agree_with_tracemalloc(python):
    """A second, identical run inside which tracemalloc counts: blocks by line, and bytes rounded as pymalloc rounds."""
    if python.version < (3, 6):
        compare(python, kinds(python))  # no tracemalloc there: by construction only
        return
    with pyleak.Target("leaks.py", python) as twin:
        oracle = twin.ask("oracle")
    _, report, script = leak_and_report(python)
    seen = report.by_line(script)
    marks = pyleak.marks(script)
    wrong = {}
    for name in OBJECTS + ["instances", "instance_dicts"]:
        sizes = oracle.get(str(marks[name]), [])
        blocks = sum(count for _, count in sizes)
        octets = sum(count * (size if size > 512 else -(-size // ALIGNMENT) * ALIGNMENT) for size, count in sizes)
        found = seen.get(marks[name], [0, 0])
        if found != [blocks, octets]:
            wrong[name] = "tracemalloc %s, reported %s" % ([blocks, octets], found)
    assert not wrong, wrong


def test_no_allocation_site_is_missed(python):
    _, report, _ = leak_and_report(python)
    tracing = report["tracing"]
    # The proof that every copy of the fast path is probed: pools before and after against what was seen.
    assert tracing["coverage"] >= 0.999
    assert tracing["coverage_blocks"] > 20000
    assert not report.lost()


def test_totals_agree_with_the_interpreters_own_count(python):
    truth, report, script = leak_and_report(python)
    if python.version < (3, 6):
        assert truth["allocated_blocks"] == 0  # sys.getallocatedblocks() came with 3.4
        expected = sum(truth["expected"][kind]["blocks"] for kind in kinds(python))
        assert report["totals"]["outstanding_blocks"] >= expected
        return
    # The interpreter counts its large objects too, but not what the extension (and numpy) takes from malloc.
    lines = {line for name, line in pyleak.marks(script).items() if name.startswith("ext_") or "arrays" in name}
    elsewhere = sum(counts[0] for line, counts in report.by_line(script).items() if line in lines)
    interpreters = report["totals"]["outstanding_blocks"] - elsewhere
    assert interpreters == pytest.approx(truth["allocated_blocks"], rel=0.01)
    assert report["totals"]["outstanding_blocks"] == sum(s["outstanding_blocks"] for s in report["sites"])
    assert report["totals"]["outstanding_bytes"] == sum(s["outstanding_bytes"] for s in report["sites"])


def test_arenas_are_not_the_programs_memory(python):
    """The leak takes many new arenas; none of them shows as an mmap of the program, under any line."""
    _, report, _ = leak_and_report(python)
    mapped = [site for site in report["sites"] if site["family"] == "mmap" and site["outstanding_blocks"]]
    assert not mapped


def test_a_report_that_interrupts_an_allocation_loses_no_block():
    """At the trap a block is still on its pool's free list; a report just then must not take it for dead.

    On one processor the tracer preempts the target at the end of a trap, which is when that is so.
    """
    unseen, reports = 0, 0
    for _ in range(4):
        with pyleak.Target("leaks.py") as target:
            os.sched_setaffinity(target.pid, {0})
            with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.03", "-t", "100000") as tracer:
                tracer.wait_for_report()
                os.sched_setaffinity(tracer.pid, {0})
                target.ask("leak")
                tracing = tracer.finish()["tracing"]
        unseen += round((1 - tracing["coverage"]) * tracing["coverage_blocks"])
        reports += len(tracer.reports)
    assert reports > 40
    assert unseen == 0
