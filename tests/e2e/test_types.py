# SPDX-License-Identifier: GPL-2.0-or-later
"""What the blocks of a site are: names, blocks and bytes against what the program itself says of its objects."""
import functools
import json
import os
import re
import time

import pytest

import pyleak

# Names that say what a block is not.
NAMELESS = {"unknown", "raw buffer", "free list", "other types"}
RECYCLED = 2
INTERVAL = 0.5  # of reports, in pyleak.attach()


def types_by_mark(report, path):
    """{mark: {type: [blocks, bytes]}}: of each site, by the innermost frame that is on a marked line of the file."""
    found, names = {}, {line: name for name, line in pyleak.marks(path).items()}
    for site in report["sites"]:
        lines = [line for _, file, line in report.python_stack(site) if file == path and line in names]
        if not lines:
            continue
        types = found.setdefault(names[lines[0]], {})
        for each in site["types"]:
            counts = types.setdefault(each["name"], [0, 0])
            counts[0] += each["blocks"]
            counts[1] += each["bytes"]
    return found


def types_of(report, family="pymalloc"):
    """{type: blocks} of all sites of a family."""
    found = {}
    for site in report["sites"]:
        if site["family"] == family:
            for each in site["types"]:
                found[each["name"]] = found.get(each["name"], 0) + each["blocks"]
    return found


def looked_into(report, family="pymalloc"):
    """The part of a family's blocks whose types are known."""
    blocks = sum(site["outstanding_blocks"] for site in report["sites"] if site["family"] == family)
    return sum(types_of(report, family).values()) / max(blocks, 1)


def report_of_now(tracer, family="pymalloc", known=0.99):
    """The next report that began after this call and knows what nearly all blocks are: of many sites that takes some."""
    now = time.time()
    return tracer.wait_for_report(
        lambda report: report.arrived > now + 2 * INTERVAL and looked_into(report, family) > known
    )


@functools.lru_cache(maxsize=None)
def leak_and_report(python):
    """One traced run: what was leaked, kind by kind, and what that is; then a mixed heap."""
    with pyleak.Target("kinds.py", python) as target, pyleak.attach(target) as tracer:
        expected = target.ask("leak")
        leaked = report_of_now(tracer, known=0.999)
        tracked = target.ask("mixed")
        mixed = report_of_now(tracer, known=0.998)
        tracer.finish()
        return expected, leaked, tracked, mixed, target.script


def test_leaked_objects_are_named_and_counted(python):
    expected, report, _, _, script = leak_and_report(python)
    found = types_by_mark(report, script)
    wrong = {}
    for mark, types in expected.items():
        for name, (blocks, octets) in types.items():
            counts = found.get(mark, {}).get(name, [0, 0])
            # A free list may hold one or two that were made before.
            right = blocks - RECYCLED <= counts[0] <= blocks
            if not right or octets and counts[1] * blocks != counts[0] * octets:
                wrong[mark, name] = "leaked %s, reported %s" % ([blocks, octets], found.get(mark))
    assert not wrong, wrong
    assert len(expected) >= 20


def test_a_mixed_heap_is_named(python):
    _, _, tracked, report, _ = leak_and_report(python)
    found = types_of(report)
    nameless = sum(blocks for name, blocks in found.items() if name in NAMELESS)
    assert sum(found.values()) > 20000
    assert nameless < 0.05 * sum(found.values()), {name: found.get(name) for name in NAMELESS}
    # The collector's own list of the same objects. Those of earlier, recycled, are in blocks of before.
    for name, count in tracked.items():
        assert found.get(name, 0) == pytest.approx(count, rel=0.15, abs=150), name


def test_windows_name_what_grows(some_python):
    """In the default mode, while the program goes on."""
    with pyleak.Target("kinds.py", some_python) as target:
        target.ask("grow")
        with pyleak.Tracer("-p", target.pid, "-i", "1") as tracer:
            def site_of(report):
                return next((site for site in report["sites"] if any(
                    frame["function"].endswith("run") for frame in site["stack"]
                ) and [each for each in site["types"] if each["name"] == "__main__.Order"]), None)

            report = tracer.wait_for_report(site_of)
            site = site_of(report)
            orders = next(each for each in site["types"] if each["name"] == "__main__.Order")
            assert site["estimated"]
            # Each comes with a number, and up to 3.12 with its values.
            assert orders["blocks"] > 0.25 * site["outstanding_blocks"]
            assert sum(each["blocks"] for each in site["types"]) == pytest.approx(site["outstanding_blocks"], abs=5)
            # A process that is gone cannot be asked: what was known of it stays.
            target.process.kill()
            last = tracer.finish(None)
            assert site_of(last), last["sites"][:3]


@pytest.mark.parametrize("allocator", ["debug", "malloc", "malloc_debug"])
def test_other_allocators_blocks_are_named(allocator):
    python = pyleak.PLAIN
    environment = {"PYTHONMALLOC": allocator}
    family = "pymalloc" if allocator == "debug" else "malloc"
    with pyleak.Target("kinds.py", python, environment) as target, pyleak.attach(target) as tracer:
        expected = target.ask("leak")
        report = report_of_now(tracer, family)
        found = types_by_mark(report, target.script)
        for mark in ("slotted", "points", "lists", "tuples", "large_dicts"):
            for name, (blocks, _) in expected[mark].items():
                assert found[mark].get(name, [0])[0] >= blocks - RECYCLED, (mark, found[mark])


def test_the_text_report_names_types():
    python = pyleak.DEBIAN
    with pyleak.Target("kinds.py", python) as target:
        target.ask("grow")
        options = ["-p", target.pid, "-i", "2", "-n", "2"]
        short = pyleak.run(*options)
        long = pyleak.run(*options, "-v")
    assert short.returncode == long.returncode == 0
    assert re.search(r"^ +Order, .*\.", short.stdout, re.M), short.stdout
    assert re.search(r"__main__\.Order \(~?[0-9.]+ [KM]iB in ~?[0-9,]+\)", long.stdout), long.stdout


def test_recorded_snapshots_know_the_types_that_the_report_of_the_same_look_names(tmp_path):
    """Of a recording each line is one report's look; what it says of a block's type is of that look, too."""
    recording = tmp_path / "recording.ndjson"
    with pyleak.Target("kinds.py") as target:
        environment = dict(os.environ, PYLEAK_SNAPSHOTS=str(recording))
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", INTERVAL, "-t", "100000", env=environment) as tracer:
            tracer.wait_for_report()
            target.ask("leak")
            report_of_now(tracer)
            tracer.finish()
    looks = [json.loads(line) for line in recording.read_text().splitlines()]
    assert len(looks) == len(tracer.reports)
    for look, report in zip(looks, tracer.reports):
        recorded = {each["name"] for context in look["contexts"] for each in context.get("types", [])}
        assert recorded >= {each["name"] for site in report["sites"] for each in site.get("types", [])
                            if each["name"] != "other types"}
    assert "dict" in recorded
