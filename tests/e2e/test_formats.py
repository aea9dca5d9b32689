# SPDX-License-Identifier: GPL-2.0-or-later
"""Folded stacks and pprof profiles, as `go tool pprof` reads them, against what the target itself knows that it has allocated."""
import os
import subprocess
import time

import pytest

import pyleak

GO = "/usr/lib/go-1.19/bin/go"
COUNTED = {"bytes": 2000 * 80, "slotted": 2000 * 48, "strings": 2000 * 96}


def leaked_into(path, form, *options):
    """Traces a target that leaks known amounts, to the end; what it wrote to the file, and the target."""
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", "-f", form, "-o", path, *options,
                           json_output=False) as tracer:
            wait_until_armed(target)
            target.ask("leak")
            tracer.process.send_signal(2)
            assert tracer.process.wait(pyleak.PATIENCE) == 0
        return path.read_bytes(), target


def wait_until_armed(target):
    pyleak.wait_until(lambda: len(pyleak.breakpoints(target.pid)) > 100)
    time.sleep(0.3)  # all sites are armed within 0.1 s of the first hundred; then everything is seen


def folded(text):
    """[(frames root first, bytes), ...]"""
    lines = [line.rpartition(" ") for line in text.splitlines()]
    return [(stack.split(";"), int(count)) for stack, _, count in lines]


def bytes_at(stacks, target, name):
    """Of every stack that ends in the line that leaks under a name."""
    leaf = "leak_%s (%s:%d)" % (name, target.script, target.line(name))
    return [count for frames, count in stacks if frames[-1] == leaf]


@pytest.fixture(scope="module")
def folded_leaks():
    text, target = leaked_into(pyleak.scratch() / "leaks.folded", "folded")
    return folded(text.decode()), target


@pytest.mark.parametrize("name", COUNTED)
def test_folded_stacks_hold_what_was_leaked(folded_leaks, name):
    stacks, target = folded_leaks
    assert bytes_at(stacks, target, name) == [COUNTED[name]]


def test_folded_stacks_begin_at_the_root(folded_leaks):
    stacks, target = folded_leaks
    [frames] = [frames for frames, _ in stacks if frames[-1].startswith("leak_bytes (")]
    assert frames[0].startswith("<module> (%s:" % target.script) and len(frames) > 3


def test_folded_stacks_are_not_cut_to_the_top_ten(folded_leaks):
    stacks, _ = folded_leaks
    assert len(stacks) > 20
    assert not any(frames == ["[other sites]"] for frames, _ in stacks)


def test_top_sums_the_rest_into_one_line():
    text, _ = leaked_into(pyleak.scratch() / "top.folded", "folded", "-t", "2")
    stacks = folded(text.decode())
    assert len(stacks) == 3
    assert stacks[-1][0] == ["[other sites]"] and stacks[-1][1] > 1000000


def test_a_file_always_holds_one_whole_profile():
    """Each report replaces the file: whoever reads it never sees half of one, or two."""
    path = pyleak.scratch() / "replaced.folded"
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.2", "-f", "folded", "-o", path,
                           json_output=False) as tracer:
            wait_until_armed(target)
            target.ask("leak")
            first = pyleak.wait_until(lambda: path.exists() and path.read_text())
            seen = {path.stat().st_ino}
            while len(seen) < 5:
                text = path.read_text()
                assert text.endswith("\n")
                assert bytes_at(folded(text), target, "bytes") in ([], [COUNTED["bytes"]])
                seen.add(path.stat().st_ino)
                assert tracer.process.poll() is None
            tracer.process.send_signal(2)
            assert tracer.process.wait(pyleak.PATIENCE) == 0
    assert first and not list(path.parent.glob(path.name + ".*"))


def test_standard_output_gets_the_last_profile_only():
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.2", "-f", "folded", json_output=False) as tracer:
            wait_until_armed(target)
            target.ask("leak")
            time.sleep(0.5)  # some reports that are not the last
            tracer.process.send_signal(2)
            assert tracer.process.wait(pyleak.PATIENCE) == 0
            text = "".join(iter(lambda: tracer.output.get(pyleak.PATIENCE)[1] or "", ""))
    assert bytes_at(folded(text), target, "bytes") == [COUNTED["bytes"]]


def test_grouping_and_whole_stacks_exclude_each_other():
    done = pyleak.run("-p", "1", "-f", "folded", "--group-by", "line")
    assert done.returncode == 2 and "--group-by" in done.stderr and done.stderr.count("\n") == 1


def test_a_full_disk_is_an_error_of_one_line():
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-q", "-p", target.pid, "--exact", "-i", "60", "-f", "folded", "-o", "/dev/full",
                           json_output=False) as tracer:
            wait_until_armed(target)
            target.ask("leak")
            tracer.process.send_signal(2)
            assert tracer.process.wait(pyleak.PATIENCE) == 1
            errors = tracer.errors.get(pyleak.PATIENCE)[1]
    assert "No space left" in errors


def go_pprof(path, *options):
    """What `go tool pprof` says of a profile."""
    done = subprocess.run(
        [GO, "tool", "pprof", *options, str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=pyleak.PATIENCE, env={"HOME": str(pyleak.scratch()), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def flat_by_line(text):
    """{"FUNCTION FILE:LINE": the flat column} of `pprof -top -lines`."""
    found = {}
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[1].endswith("%"):
            found[fields[5]] = fields[0]
    return found


@pytest.fixture(scope="module")
def pprof_leaks():
    path = pyleak.scratch() / "leaks.pb.gz"
    _, target = leaked_into(path, "pprof")
    return path, target


@pytest.mark.parametrize("name", COUNTED)
def test_go_tool_pprof_reads_what_was_leaked(pprof_leaks, name):
    path, target = pprof_leaks
    place = "leak_%s %s:%d" % (name, target.script, target.line(name))
    options = ["-top", "-lines", "-nodefraction=0", "-edgefraction=0", "-nodecount=10000", "-unit=B"]
    assert flat_by_line(go_pprof(path, *options))[place] == "%dB" % COUNTED[name]
    # All that was allocated on these lines was kept.
    allocated = flat_by_line(go_pprof(path, *options, "-sample_index=alloc_space"))[place]
    assert int(allocated.rstrip("B")) >= COUNTED[name]
    objects = ["-top", "-lines", "-nodefraction=0", "-edgefraction=0", "-nodecount=10000", "-sample_index=inuse_objects"]
    assert flat_by_line(go_pprof(path, *objects))[place] == "2000"


def test_a_pprof_profile_is_laid_out_as_one_of_a_go_heap(pprof_leaks):
    path, target = pprof_leaks
    raw = go_pprof(path, "-raw")
    assert "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]" in raw
    assert "PeriodType: space bytes" in raw
    assert "pid %d, %s; objects exact" % (target.pid, target.script) in go_pprof(path, "-comments")


def test_a_pprof_profile_is_not_for_a_terminal():
    parent, child = os.openpty()
    try:
        with pyleak.Target("leaks.py") as target:
            done = subprocess.run(
                [pyleak.PROGRAM, "-q", "-p", str(target.pid), "-n", "1", "-i", "0.2", "-f", "pprof"],
                stdin=subprocess.DEVNULL, stdout=child, stderr=subprocess.PIPE, text=True, timeout=pyleak.PATIENCE,
            )
            assert not pyleak.breakpoints(target.pid)
    finally:
        os.close(parent)
        os.close(child)
    assert done.returncode == 2 and "-o FILE" in done.stderr and done.stderr.count("\n") == 1
