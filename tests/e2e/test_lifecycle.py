# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that leave while they are traced, and signals to pyleak: always a last report and a clean end."""
import signal
import time

import pytest

import pyleak


def leaving(how):
    """Traces busy.py, makes it leave, and reads pyleak to its end."""
    with pyleak.Target("busy.py") as target, pyleak.attach(target) as tracer:
        reports = len(tracer.reports)
        how(target)
        tracer.finish(None)
        assert tracer.end["reason"] == "target_exited"
        assert len(tracer.reports) > reports
        return target, tracer


def test_a_target_that_exits_gets_a_last_report():
    def leave(target):
        target.ask("leave", "exit", "7")
        assert target.process.wait(pyleak.PATIENCE) == 7

    leaving(leave)


def test_a_target_that_is_killed_gets_a_last_report():
    def kill(target):
        target.process.kill()
        target.process.wait()

    leaving(kill)


def test_the_last_report_of_an_exited_target_keeps_what_was_known():
    with pyleak.Target("leaks.py") as target, pyleak.attach(target) as tracer:
        target.ask("leak")
        line = target.line("bytes")
        tracer.wait_for_report(lambda each: line in each.by_line(target.script))
        target.process.kill()
        target.process.wait()
        report = tracer.finish(None)
    assert report.by_line(target.script)[line] == [2000, 2000 * 80]


@pytest.mark.parametrize("program", [
    ["/usr/bin/sleep", "600"],
    ["/usr/bin/python3.11", "-c", "__import__('time').sleep(600)"],  # no spaces: it travels as one word
], ids=["another program", "python again"])
def test_a_target_that_execs_ends_the_trace(program):
    """The image that was traced is gone: what runs now is another program, and is left alone."""
    with pyleak.Target("busy.py") as target, pyleak.attach(target) as tracer:
        target.ask("leave", "exec", *program)
        tracer.finish(None)
        assert tracer.end["reason"] == "target_exited"
        assert target.process.poll() is None
        assert not pyleak.breakpoints(target.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_brings_a_last_report_at_once(number):
    with pyleak.Target("busy.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "600") as tracer:
            pyleak.wait_until(lambda: len(pyleak.breakpoints(target.pid)) > 100)
            time.sleep(0.5)
            started = time.time()
            tracer.finish(number)
            assert time.time() - started < 5
        assert len(tracer.reports) == 1
        assert tracer.end["reason"] == "signal"
        assert not pyleak.breakpoints(target.pid)
        assert target.ask("status")["errors"] == 0


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_attach_to_first_report_takes_under_three_seconds_plus_the_interval(cache):
    """On the interpreter with the most code to search: static, with all allocation sites inlined."""
    program = pyleak.program_without_cache() if cache == "cold" else pyleak.PROGRAM
    with pyleak.Target("busy.py") as target:
        started = time.time()
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "1", "-n", "1", program=program) as tracer:
            report = tracer.wait_for_report()
            tracer.finish(None)
    assert report.arrived - started < 3 + 1


def test_forked_children_are_not_counted_as_the_parent():
    """A child shares the parent's text and its breakpoints; what it allocates is its own."""
    with pyleak.Target("forks.py") as target, pyleak.attach(target) as tracer:
        status = target.ask("fork")
        assert status == 0
        line, kept = target.line("after_fork"), target.line("parent")
        seen = tracer.finish().by_line(target.script)
    assert seen.get(kept) == [1000, 1000 * 80]
    assert seen.get(line, [0, 0]) == [0, 0]
