# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL of pyleak at any moment: no probe stays, and the target, which checks its own results, is unharmed."""
import os
import random
import signal
import time

import pytest

import pyleak

KILLS = 50


def test_breakpoints_are_visible_while_tracing_and_gone_after(some_python):
    """Proves that the look at the target's text sees probes: otherwise the test below could not fail."""
    with pyleak.Target("busy.py", some_python) as target:
        assert pyleak.breakpoints(target.pid) == []
        with pyleak.attach(target) as tracer:
            assert len(pyleak.breakpoints(target.pid)) >= 10
            held = pyleak.bpf_objects_of(tracer.pid)
            assert {kind for kind, _ in held} == {"prog", "link", "map"}
            assert pyleak.bpf_objects_left(held) == held
            tracer.finish()
        assert pyleak.breakpoints(target.pid) == []
        # The kernel frees maps a little later, after a grace period.
        pyleak.wait_until_gone(target.pid, held)


@pytest.mark.parametrize("part", range(2))
def test_sigkill_at_any_moment_leaves_no_probe_and_no_harm(part):
    """50 times, half on each kind of build: at any moment of attaching, and in between once probes stand."""
    python = [pyleak.DEBIAN, pyleak.interpreter("pyenv-3.12")][part]
    chance = random.Random(20240 + part)
    armed, slowest = 0, 0
    with pyleak.Target("busy.py", python) as target:
        before = target.ask("status")["rounds"]
        for number in range(KILLS // 2):
            with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.1") as tracer:
                if number % 2:
                    pyleak.wait_until(lambda: pyleak.breakpoints(target.pid))
                time.sleep(chance.uniform(0, 0.3 if number % 2 else 1.2))
                held = pyleak.bpf_objects_of(tracer.pid)
                armed += bool(pyleak.breakpoints(target.pid))
                assert tracer.process.poll() is None
                tracer.process.kill()
                tracer.process.wait()
            slowest = max(slowest, pyleak.wait_until_gone(target.pid, held))
        after = target.ask("status")
        assert after["errors"] == 0
        assert after["rounds"] > before
        assert target.process.poll() is None
    print("%s: %d of %d while probes stood; gone after %.2f s at most" % (python, armed, KILLS // 2, slowest))
    assert armed >= KILLS // 2 // 2


def test_attaching_twenty_times_changes_no_result():
    with pyleak.Target("busy.py") as target:
        for _ in range(20):
            with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.1", "-n", "1") as tracer:
                tracer.finish(None)
        assert target.ask("status")["errors"] == 0
        assert not pyleak.breakpoints(target.pid)


def test_two_tracers_of_one_target_do_not_disturb_each_other():
    with pyleak.Target("leaks.py") as target, pyleak.attach(target) as first:
        with pyleak.attach(target) as second:
            target.ask("leak")
            line = target.line("slotted")
            counts = [each.finish().by_line(target.script)[line] for each in (second, first)]
    assert counts[0] == counts[1] == [2000, 2000 * 48]


def test_a_killed_keeper_ends_the_trace_in_one_line_and_leaves_no_probe():
    """The small process that holds the probes is gone: nothing is traced any more, and that is said."""
    with pyleak.Target("busy.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.2") as tracer:
            tracer.wait_for_report(lambda report: True)
            children = pyleak.read("/proc/%d/task/%d/children" % (tracer.pid, tracer.pid)).split()
            assert len(children) == 1
            os.kill(int(children[0]), signal.SIGKILL)
            assert tracer.process.wait(pyleak.PATIENCE) == 1
            pyleak.wait_until(lambda: not pyleak.breakpoints(target.pid))
        assert target.ask("status")["errors"] == 0


def processors_of_threads(pid):
    """Where each thread of the process may run, and where it runs or ran last."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        fields = pyleak.read("/proc/%d/task/%s/stat" % (pid, task)).rsplit(")", 1)[1].split()
        found.append((os.sched_getaffinity(int(task)), int(fields[36])))
    return found


def test_breakpoints_are_written_where_the_target_runs_and_only_where_pyleak_may():
    first, *others = sorted(os.sched_getaffinity(0))
    assert others, "this needs two processors"
    with pyleak.Target("loads.py") as target:
        target.ask("load", "busy")
        for task in os.listdir("/proc/%d/task" % target.pid):
            os.sched_setaffinity(int(task), {others[-1]})
        for allowed, expected in ((None, others[-1]), ({first}, first)):
            with pyleak.Tracer(
                    "-p", target.pid, "-i", "0.5",
                    preexec_fn=allowed and (lambda: os.sched_setaffinity(0, {first}))) as tracer:
                tracer.wait_for_report(lambda each: each["tracing"]["families"][0]["windows"] >= 3)
                keeper, = pyleak.read("/proc/%d/task/%d/children" % (tracer.pid, tracer.pid)).split()
                threads = processors_of_threads(int(keeper))
                tracer.finish()
            print("%s: %s" % (allowed, threads))
            assert any(on == expected for _, on in threads)
            assert any(may == {expected} for may, _ in threads)
            if allowed:
                assert all(may == allowed for may, _ in threads)
