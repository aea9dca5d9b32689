# SPDX-License-Identifier: GPL-2.0-or-later
"""What was freed is gone from the report, whichever way it was freed."""
import pytest

import pyleak

# The dictionaries and lists of the interpreter's own free lists may leave this many blocks on a line.
CYCLE_SLACK = 80


def differences(report, target, expected):
    seen = report.by_line(target.script)
    return {
        name: "left %s, reported %s" % (counts, seen.get(target.line(name), [0, 0]))
        for name, counts in expected.items()
        if seen.get(target.line(name), [0, 0]) != counts
    }


def test_freed_objects_are_not_outstanding(python):
    with pyleak.Target("churn.py", python) as target, pyleak.attach(target) as tracer:
        expected = target.ask("run")
        report = tracer.finish()
        cycles = report.by_line(target.script).get(target.line("cycles"), [0, 0])
        assert cycles[0] <= CYCLE_SLACK
        del expected["cycles"]
        assert not differences(report, target, expected)


@pytest.mark.parametrize("python", [p for p in pyleak.INTERPRETERS if p.version >= (3, 6)], ids=repr)
def test_a_churning_service_holds_what_its_interpreter_says(python):
    """Hundreds of thousands of blocks die and are handed out again; what is left agrees with sys.getallocatedblocks()."""
    with pyleak.Target("churn.py", python) as target, pyleak.attach(target) as tracer:
        more = sum(target.ask("requests", "4000") for _ in range(2))
        report = tracer.finish()
    allocations = sum(family["allocs"] for family in report["tracing"]["families"])
    assert allocations > 20 * 8000
    assert more > 1500
    # The protocol and the collector's own tables make for a few.
    assert report["totals"]["outstanding_blocks"] == pytest.approx(more, abs=100)


def test_freed_malloc_blocks_are_not_outstanding(python):
    with pyleak.Target("churn.py", python) as target, pyleak.attach(target) as tracer:
        expected = target.ask("native")
        assert not differences(tracer.finish(), target, expected)


def test_anonymous_mappings_follow_munmap_and_mremap(some_python):
    with pyleak.Target("churn.py", some_python) as target, pyleak.attach(target) as tracer:
        expected = target.ask("mappings")
        report = tracer.finish()
        assert not differences(report, target, expected)
        families = {site["family"] for site in report.sites_at(target.script, target.line("mmap"))}
        assert families == {"mmap"}


@pytest.mark.parametrize("rounds", [3])
def test_frees_are_seen_from_one_report_to_the_next(rounds):
    """Outstanding memory goes up by the same amount each round and is never counted twice across reports."""
    with pyleak.Target("churn.py") as target, pyleak.attach(target) as tracer:
        for number in range(1, rounds + 1):
            target.ask("native")
            line = target.line("malloc_released")
            report = tracer.wait_for_report(lambda each: each.by_line(target.script).get(line, [0])[0] >= 250 * number)
            assert report.by_line(target.script)[line] == [250 * number, 250 * 900 * number]
        tracer.finish()
