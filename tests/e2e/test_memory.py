# SPDX-License-Identifier: GPL-2.0-or-later
"""--max-memory: what pyleak takes itself stays within it, however large the target's heap; what that costs is said."""
import pathlib
import re

import pytest

import pyleak
from test_windows import Truth, family, growth, has_found

MIB = 1 << 20
HEAP = 700  # MiB
LIMIT = 48  # MiB: too little to remember the pools of such a heap


def map_bytes(pid):
    """Kernel memory of the BPF maps that a process has open."""
    maps = {}
    for entry in pathlib.Path("/proc/%d/fdinfo" % pid).iterdir():
        try:
            text = entry.read_text()
        except OSError:  # closed between listing and reading
            continue
        number, size = (re.search(r"^%s:\s*(\d+)$" % key, text, re.M) for key in ("map_id", "memlock"))
        if number and size:
            maps[number[1]] = int(size[1])
    return sum(maps.values())


def taken(pid):
    """Bytes that pyleak takes now: private memory, and maps."""
    status = pyleak.read("/proc/%d/status" % pid)
    return int(re.search(r"^RssAnon:\s*(\d+) kB$", status, re.M)[1]) * 1024 + map_bytes(pid)


def sampled_heap(report):
    return [note for note in report["notes"] if "one pool in" in note]


class Most:
    """The most that pyleak takes, as reports come."""

    def __init__(self, tracer):
        self.tracer, self.bytes = tracer, 0

    def __call__(self, report):
        self.bytes = max(self.bytes, taken(self.tracer.pid))
        return report


@pytest.fixture(name="heap")
def make_heap(request):
    with pyleak.Target("heap.py", getattr(request, "param", pyleak.DEBIAN)) as target:
        target.ask("fill", str(HEAP), timeout=180)
        yield target


def test_the_heap_of_a_busy_target_is_sampled_and_its_leak_is_measured_right(heap):
    heap.ask("start")
    with pyleak.Tracer("-p", heap.pid, "-i", "2", "-t", "1000", "--max-memory", "%dM" % LIMIT) as tracer:
        most = Most(tracer)
        tracer.wait_for_report()
        truth = Truth(heap)
        tracer.wait_for_report(lambda each: most(each)["elapsed_s"] >= 40, timeout=120)
        rate = truth.rate()
        report = tracer.finish()
    assert family(report, "pymalloc")["mode"] == "sampled"
    assert report["tracing"]["heap_fraction"] <= 0.5
    assert len(sampled_heap(report)) == 1
    assert has_found(report, heap, "keep")
    print("said %.0f of %.0f bytes/s, heap fraction %g, at most %.1f MiB taken" % (
        growth(report, heap, "keep"), rate, report["tracing"]["heap_fraction"], most.bytes / MIB))
    assert growth(report, heap, "keep") == pytest.approx(rate, rel=0.35)
    assert most.bytes < LIMIT * MIB


# Pools of 16 KiB, and of 4.
@pytest.mark.parametrize("heap", [pyleak.DEBIAN, pyleak.interpreter("pyenv-3.8")], indirect=True, ids=repr)
def test_exact_counts_are_exact_though_the_heap_is_sampled(heap):
    """Whether a block lives is asked of its pool, remembered or not."""
    # pyenv's interpreters carry 10 MB of debug information, which there is no room for either.
    with pyleak.attach(heap, "--max-memory", "%dM" % LIMIT) as tracer:
        filled = heap.ask("fill", "8")
        mine = [heap.script, heap.line("fill")]
        report = tracer.wait_for_report(
            lambda each: each.by_line(mine[0]).get(mine[1], [0])[0] >= filled["blocks"])
        assert report["tracing"]["heap_fraction"] <= 0.5
        assert report.by_line(mine[0])[mine[1]] == [filled["blocks"], filled["blocks"] * filled["block_bytes"]]
        thinned = heap.ask("thin")
        tracer.wait_for_report()
        assert taken(tracer.pid) < LIMIT * MIB
        report = tracer.finish()
    assert thinned["blocks"] < filled["blocks"]
    assert report.by_line(mine[0])[mine[1]] == [thinned["blocks"], thinned["blocks"] * filled["block_bytes"]]
    assert report["tracing"]["coverage"] >= 0.999
    # Of sampled pools only, and not of none.
    assert 0 < report["tracing"]["coverage_blocks"] < thinned["blocks"]
    assert not report.lost()
    assert bool([note for note in report["notes"] if "debug information" in note]) == (heap.python != pyleak.DEBIAN)


def test_a_heap_that_fits_is_remembered_whole(heap):
    with pyleak.Tracer("-p", heap.pid, "-i", "0.5") as tracer:
        report = tracer.wait_for_report()
        assert report["tracing"]["heap_fraction"] == 1
        assert not sampled_heap(report)
        assert taken(tracer.pid) < 256 * MIB
        tracer.finish()
