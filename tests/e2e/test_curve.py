# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory curve tells a leak from fragmentation; truth is what the allocators and the kernel say themselves."""
import re
import signal
import time

import pytest

import pyleak

MIB = 1 << 20
OBJECTS = 300000  # of 144 bytes
SOME = [pyleak.DEBIAN, pyleak.interpreter("pyenv-3.8"), pyleak.interpreter("pyenv-3.12")]


def kilobytes(pid, name):
    return int(re.search(r"^%s:\s+(\d+) kB$" % name, pyleak.read("/proc/%d/status" % pid), re.M).group(1)) << 10


def trace(target, *options, **more):
    return pyleak.Tracer("-p", target.pid, "-i", "0.7", *options, **more)


def after(target, tracer, seconds):
    """The report that is first so many seconds from now."""
    until = tracer.reports[-1]["elapsed_s"] + seconds
    return tracer.wait_for_report(lambda each: each["elapsed_s"] >= until)


@pytest.mark.parametrize("python", SOME, ids=repr)
def test_fragmented_pools_are_no_leak(python):
    with pyleak.Target("curve.py", python) as target, trace(target) as tracer:
        before = tracer.wait_for_report()
        target.ask("fill", str(OBJECTS))
        after(target, tracer, 1)
        target.ask("thin", "100")
        tracer.wait_for_report(lambda each: each["memory"]["trend"] == "fragmented")
        after(target, tracer, 1)
        truth, private = target.ask("pymalloc"), kilobytes(target.pid, "RssAnon")
        report = tracer.finish()
    memory = report["memory"]
    print(truth, memory["sentence"])
    assert memory["pymalloc_held_bytes"] == truth["held"]
    # What asking for the truth takes and leaves itself: a few pools.
    assert memory["pymalloc_used_bytes"] == pytest.approx(truth["used"], abs=MIB / 4)
    # Pools that were never used are no fragmentation: those of one arena, and what finishing an arena leaves.
    free = truth["available"] + truth["unused_pools"]
    assert free - 1.3 * MIB <= memory["pymalloc_free_bytes"] <= free + MIB / 4
    assert memory["private_bytes"] == pytest.approx(private, abs=MIB)
    assert memory["in_use_bytes"] + memory["fragmentation_bytes"] == memory["private_bytes"]
    assert memory["fragmentation_bytes"] > 0.8 * OBJECTS * 144
    assert memory["in_use_bytes"] < before["memory"]["in_use_bytes"] + 6 * MIB
    assert memory["trend"] == "fragmented" and memory["sentence"].endswith("fragmentation, not a leak.")
    assert not [site for site in report["sites"] if site["verdict"] == "leak"]
    peak = max(point["in_use_bytes"] for point in memory["curve"])
    assert peak >= before["memory"]["in_use_bytes"] + 0.9 * OBJECTS * 144


@pytest.mark.parametrize("python", SOME[:1], ids=repr)
def test_a_leak_beside_fragments_is_growth(python):
    with pyleak.Target("curve.py", python) as target:
        target.ask("fill", str(OBJECTS))
        target.ask("thin", "100")
        with trace(target) as tracer:
            target.ask("leak", "20000")
            first = target.ask("status")
            tracer.wait_for_report(lambda each: each["memory"]["trend"] == "growing")
            after(target, tracer, 5)
            report, last = tracer.finish(), target.ask("status")
    memory, curve = report["memory"], report["memory"]["curve"]
    leaked = last["leaked"] - first["leaked"]
    traced = curve[-1]["traced_growth_bytes"] - curve[0]["traced_growth_bytes"]
    print("leaked %.1f MB, in use %+.1f MB, traced %+.1f MB: %s" % (
        leaked / 1e6, (curve[-1]["in_use_bytes"] - curve[0]["in_use_bytes"]) / 1e6, traced / 1e6, memory["sentence"]))
    assert memory["trend"] == "growing" and "not fragmentation" in memory["sentence"]
    # The holes left before are filled first, so resident memory hardly grows: the heap in use shows it all the same.
    assert memory["in_use_growth_bytes_per_s"] == pytest.approx(20000 * 144, rel=0.25)
    assert report["process"]["rss_growth_bytes"] < leaked / 2
    assert traced == pytest.approx(leaked, rel=0.5)


def test_free_chunks_of_malloc_are_seen_in_every_arena():
    with pyleak.Target("curve.py") as target, trace(target) as tracer:
        tracer.wait_for_report()
        target.ask("fill_chunks", "40000")
        target.ask("thin_chunks", "4")
        # The heaps are walked through again when that costs little.
        report = tracer.wait_for_report(lambda each: (each["memory"]["malloc_free_bytes"] or 0) > 30 * MIB)
        truth = target.ask("malloc")
        tracer.finish()
    memory = report["memory"]
    print(truth, memory)
    assert memory["malloc_whole"]
    assert memory["malloc_free_bytes"] == pytest.approx(truth["free"], rel=0.02)
    assert memory["malloc_held_bytes"] == pytest.approx(truth["held"], rel=0.02)
    assert memory["fragmentation_bytes"] == memory["malloc_free_bytes"] + memory["pymalloc_free_bytes"]


def test_a_large_free_goes_back_and_is_called_falling():
    with pyleak.Target("curve.py") as target:
        target.ask("buffers", "120")
        with trace(target) as tracer:
            first = tracer.wait_for_report()
            target.ask("drop_buffers", "4")
            tracer.wait_for_report(lambda each: each["memory"]["trend"] == "shrinking")
            pyleak.wait_until(lambda: target.ask("status")["buffers"] == 0, timeout=60)
            after(target, tracer, 1)
            rss, report = kilobytes(target.pid, "VmRSS"), tracer.finish()
    memory = report["memory"]
    assert first["memory"]["in_use_bytes"] > 100 * MIB
    assert memory["in_use_bytes"] < 20 * MIB
    assert memory["rss_bytes"] == pytest.approx(rss, abs=MIB)
    assert memory["fragmentation_bytes"] < 4 * MIB
    assert re.match("Memory in use (falls|fell)", memory["sentence"])


def test_without_pymalloc_its_figures_are_not_known():
    with pyleak.Target("curve.py", environment={"PYTHONMALLOC": "malloc"}) as target, trace(target) as tracer:
        memory = tracer.wait_for_report()["memory"]
        tracer.finish()
    assert memory["pymalloc_held_bytes"] is None and memory["pymalloc_free_bytes"] is None
    assert memory["malloc_free_bytes"] > 0


def test_looking_at_memory_that_was_never_touched_touches_nothing():
    with pyleak.Target("curve.py") as target:
        target.ask("untouched", str(2 << 30))
        before = kilobytes(target.pid, "VmPTE"), kilobytes(target.pid, "VmRSS")
        with trace(target) as tracer:
            after(target, tracer if tracer.wait_for_report() else None, 2)
            tracer.finish()
        now = kilobytes(target.pid, "VmPTE"), kilobytes(target.pid, "VmRSS")
    # 2 GiB seen page by page would be 4 MiB of page tables.
    assert now[0] - before[0] <= MIB / 4
    assert now[1] - before[1] <= 2 * MIB


@pytest.mark.parametrize("locale, block", [("C.UTF-8", "\u2588"), ("C", "#")])
def test_the_last_report_ends_with_a_plot_in_the_readers_characters(locale, block):
    with pyleak.Target("curve.py") as target:
        with pyleak.Tracer("-p", target.pid, "-i", "1", json_output=False,
                           env={"PATH": "/usr/bin:/bin", "LC_ALL": locale}) as tracer:
            target.ask("fill", "50000")
            begin = time.monotonic()
            pyleak.wait_until(lambda: time.monotonic() - begin > 4, pause=0.1)
            tracer.process.send_signal(signal.SIGINT)
            text = "".join(iter(lambda: tracer.output.get(pyleak.PATIENCE)[1] or "", ""))
            assert tracer.process.wait(pyleak.PATIENCE) == 0
    last = text[text.rindex("RSS ", 0, text.rindex("nothing lost")):]
    plot = last[last.index("nothing lost"):]
    assert text.count("bottom row: traced") == 1
    assert len([line for line in plot.splitlines() if block * 20 in line]) >= 2
    assert all(len(line) <= 80 for line in plot.splitlines())
    assert "\033" not in text
    if locale == "C":
        assert plot.isascii()
    assert re.search(r"^in use [\d.]+ MiB.*   held but unused ", text, re.M)
