# SPDX-License-Identifier: GPL-2.0-or-later
"""Two million live traced blocks, ten thousand stacks; and what happens when the memory for that is refused."""
import pyleak

SIDE = 100  # leaf functions, and callers: SIDE * SIDE stacks
PER_STACK = 200


def test_two_million_blocks_in_ten_thousand_stacks_are_reported_right():
    """How long such a report takes is a figure of `make bench`. Who reads ten megabytes of JSON a second holds it up."""
    with pyleak.Target("scale.py") as target:
        tracer = pyleak.Tracer("-p", target.pid, "--exact", "-i", "5", "-t", "100000", "--max-memory", "1G")
        with tracer:
            tracer.wait_for_report()
            truth = target.ask("fill", str(PER_STACK), str(SIDE), timeout=180)
            tracer.wait_for_report(lambda each: each["totals"]["outstanding_blocks"] >= truth["blocks"], timeout=120)
            report = tracer.finish()
    # pymalloc's own table of arenas is a malloc that grows under some of these lines.
    mine = [site for site in report["sites"] if site["family"] == "pymalloc" and
            report.python_stack(site)[:1] and report.python_stack(site)[0][0].startswith("leaf_")]
    assert len(mine) == truth["stacks"]
    assert {site["outstanding_blocks"] for site in mine} == {PER_STACK}
    assert {site["outstanding_bytes"] for site in mine} == {PER_STACK * truth["block_bytes"]}
    # Native parts wait while a busy tracer catches up; blocks and Python's stacks do not.
    assert set(report.lost()) <= {"native_full"}


def test_a_full_map_is_said_and_the_rest_stays_right():
    with pyleak.Target("scale.py") as target:
        with pyleak.attach(target, "--max-memory", "16M") as tracer:
            truth = target.ask("fill", "1000", "20", timeout=180)
            truth_more = target.ask("fill", "500", "30", timeout=180)
            report = tracer.finish()
    full = report.lost().get("live_full", 0) + report.lost().get("contexts_full", 0)
    assert full > 0
    blocks = truth["blocks"] + truth_more["blocks"]
    mine = sum(site["outstanding_blocks"] for site in report["sites"] if report.python_stack(site)[:1] and
               report.python_stack(site)[0][1] == "<scale>")
    # Nothing is invented, and what is not shown was counted as lost.
    assert 0 < mine < blocks
    assert mine + full >= blocks


def test_a_full_map_is_said_in_text():
    with pyleak.Target("scale.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "1", "--max-memory", "16M", json_output=False) as tracer:
            pyleak.wait_until(lambda: len(pyleak.breakpoints(target.pid)) > 100)
            target.ask("fill", "1000", "30", timeout=180)
            tracer.process.send_signal(2)
            text = "".join(iter(lambda: tracer.output.get(pyleak.PATIENCE)[1] or "", ""))
            assert tracer.process.wait(pyleak.PATIENCE) == 0
    last = text[text.rindex("pid %d " % target.pid):]
    assert "full" in last and "nothing lost" not in last


def test_too_little_memory_is_refused_in_one_line():
    with pyleak.Target("scale.py") as target:
        done = pyleak.run("-q", "-p", target.pid, "--exact", "-n", "1", "-i", "0.5", "--max-memory", "1")
        assert done.returncode in (1, 2, 3) and done.stderr.count("\n") == 1
