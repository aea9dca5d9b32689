# SPDX-License-Identifier: GPL-2.0-or-later
"""Children of traced processes: each is a target of its own, and nothing of them is left behind."""
import json
import os
import re
import signal
import time
from collections import Counter

import jsonschema
import pyleak

BLOCKS = 2000


def of(reports, pid):
    return [report for report in reports if report["pid"] == pid]


def first_report_of(tracer, pid):
    return tracer.wait_for_report(lambda report: report["pid"] == pid)


def test_a_forked_child_is_traced_exactly_and_without_what_it_inherited():
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        target.ask("inherit")
        child = target.ask("fork", str(BLOCKS))
        report = first_report_of(tracer, child)
        target.ask("go", str(child))
        line = target.line("worker")
        report = tracer.wait_for_report(
            lambda each: each["pid"] == child and each.by_line(target.script).get(line, [0])[0] >= BLOCKS)
        assert report["parent_pid"] == target.pid
        assert report["target"]["pid"] == child
        assert report["target"]["cmdline"][-1].endswith("prefork.py")
        assert report.by_line(target.script)[line] == [BLOCKS, BLOCKS * 80]
        assert target.line("inherited") not in report.by_line(target.script)
        parent = of(tracer.reports, target.pid)[-1]
        assert parent["parent_pid"] is None
        assert line not in parent.by_line(target.script)
        tracer.finish()
        assert report.lost() == {}


def test_children_that_were_there_before_are_traced_too():
    with pyleak.Target("prefork.py") as target:
        child = target.ask("fork", str(BLOCKS))
        with pyleak.attach(target) as tracer:
            first_report_of(tracer, child)
            target.ask("go", str(child))
            line = target.line("worker")
            tracer.wait_for_report(
                lambda each: each["pid"] == child and each.by_line(target.script).get(line) == [BLOCKS, BLOCKS * 80])
            tracer.finish()


def test_a_child_that_runs_python_by_exec_is_traced_and_one_that_runs_something_else_is_not():
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        target.ask("run", "/bin/sleep", "0.6")
        child = target.ask("spawn")
        report = first_report_of(tracer, child)
        assert report["target"]["cmdline"][-1] == "import time; time.sleep(600)"
        tracer.finish()
        assert {report["pid"] for report in tracer.reports} == {target.pid, child}
        os.kill(child, signal.SIGKILL)


def test_a_child_that_exits_gets_one_last_report_and_the_trace_goes_on():
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        child = target.ask("fork")
        first_report_of(tracer, child)
        target.ask("stop", str(child))
        tracer.wait_for_report(lambda each: each["pid"] == child and each["last"])
        for _ in range(3):
            assert tracer.wait_for_report()["pid"] == target.pid
        tracer.finish()
        assert tracer.end["reason"] == "signal"


def test_the_trace_outlives_the_parent_as_long_as_a_child_lives():
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        child = target.ask("fork")
        first_report_of(tracer, child)
        target.process.kill()
        target.process.wait()
        tracer.wait_for_report(lambda each: each["pid"] == target.pid and each["last"])
        assert not first_report_of(tracer, child)["last"]
        os.kill(child, signal.SIGKILL)
        tracer.finish(None)
        assert tracer.end["reason"] == "target_exited"


def test_no_breakpoint_is_left_in_a_child():
    """A fork copies the parent's breakpoints: they go when its probes go, whoever holds them then."""
    with pyleak.Target("prefork.py") as target:
        with pyleak.attach(target) as tracer:
            children = [target.ask("fork", "1000") for _ in range(4)]
            assert len(pyleak.breakpoints(children[-1])) > 100
            first_report_of(tracer, children[0])
            tracer.finish()
        for pid in [target.pid, *children]:
            assert not pyleak.breakpoints(pid)
        for pid in children:
            target.ask("go", str(pid))
            target.ask("stop", str(pid))


def test_no_breakpoint_is_left_in_a_child_when_pyleak_is_killed():
    with pyleak.Target("prefork.py") as target:
        with pyleak.attach(target) as tracer:
            child = target.ask("fork", "1000")
            first_report_of(tracer, child)
            tracer.process.kill()
            tracer.process.wait()
        pyleak.wait_until(lambda: not pyleak.breakpoints(target.pid) and not pyleak.breakpoints(child))
        target.ask("go", str(child))


def test_merged_workers_are_summed_to_the_block():
    """A server and its workers, each with leaks of its own size: one report, one site, the sum of all."""
    blocks = [BLOCKS, BLOCKS // 2, 3 * BLOCKS]
    with pyleak.Target("prefork.py") as target, pyleak.attach(target, "--merge-children") as tracer:
        workers = [target.ask("fork", str(count)) for count in blocks]
        everybody = sorted([target.pid, *workers])
        tracer.wait_for_report(lambda each: each.get("pids") == everybody)
        target.ask("inherit")
        for pid in workers:
            target.ask("go", str(pid))
        line, inherited = target.line("worker"), target.line("inherited")
        report = tracer.wait_for_report(
            lambda each: each.by_line(target.script).get(line, [0])[0] >= sum(blocks))
        assert report["pid"] == target.pid
        assert report.by_line(target.script)[line] == [sum(blocks), sum(blocks) * 80]
        assert len(report.sites_at(target.script, line)) == 1
        # What only the server does is there as well.
        assert report.by_line(target.script)[inherited][0] == 20000
        assert not any(site["estimated"] for site in report["sites"])
        # What a worker held leaves with it; the others' stays.
        target.ask("stop", str(workers[2]))
        report = tracer.wait_for_report(lambda each: len(each["pids"]) == 3)
        assert report.by_line(target.script)[line] == [sum(blocks[:2]), sum(blocks[:2]) * 80]
        assert report["workers_exited"] == 1
        jsonschema.validate(report, json.loads((pyleak.TOP / "docs" / "report.schema.json").read_text()))
        last = tracer.finish()
        assert last.lost() == {}
        assert {each["pid"] for each in tracer.reports} == {target.pid}
        seqs = [each["seq"] for each in tracer.reports]
        assert seqs == list(range(1, len(seqs) + 1))


def test_without_merging_every_worker_has_a_report_of_its_own():
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        child = target.ask("fork")
        first_report_of(tracer, child)
        assert all("pids" not in report for report in tracer.reports)


def test_a_merged_text_report_says_of_how_many_processes_it_is():
    with pyleak.Target("prefork.py") as target:
        for _ in range(2):
            target.ask("fork")
        shown = pyleak.run("-p", target.pid, "--merge-children", "-d", "1.5")
        assert shown.returncode == 0, shown.stderr
        titles = re.findall(r"^pyleak \S+   pid (.*?)   python", shown.stdout, re.M)
        assert titles == ["%d and 2 more" % target.pid]


def test_a_worker_that_ended_before_pyleak_had_a_moment_is_counted():
    """Stopped, pyleak is as short of processor time as can be."""
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        tracer.process.send_signal(signal.SIGSTOP)
        try:
            workers = target.ask("churn", "1", "2.4", "1.3")  # the first lives for half of it: 1.2 s
        finally:
            tracer.process.send_signal(signal.SIGCONT)
        tracer.wait_for_report()
        tracer.finish()
        assert workers == 2 and {report["pid"] for report in tracer.reports} == {target.pid}
        assert "missed processes: 1 ended" in tracer.stderr


def test_a_further_worker_takes_little_memory():
    """Its interpreter's file, which is 7 MB, is read to plan its probes and then given back."""
    with pyleak.Target("prefork.py") as target, pyleak.attach(target) as tracer:
        first_report_of(tracer, target.ask("fork"))
        before = resources(tracer)[1]
        for _ in range(4):
            first_report_of(tracer, target.ask("fork"))
        assert resources(tracer)[1] < before + 4 * 2 * 1024
        tracer.finish()


def descriptors(pid):
    """How many a process has open. Each file counts from the second time on: a library stays open once it has been met."""
    found = []
    for entry in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, entry)))
        except FileNotFoundError:  # closed between listing and reading
            continue
    return len(found) - len({path for path in found if path.startswith("/")})


def resources(tracer):
    """What pyleak holds: descriptors, threads, child processes, resident KiB."""
    keeper = pyleak.read("/proc/%d/task/%d/children" % (tracer.pid, tracer.pid)).split()
    status = pyleak.read("/proc/%d/status" % tracer.pid)
    return Counter({
        "keepers": len(keeper),
        "descriptors": descriptors(tracer.pid),
        "threads": int(re.search(r"Threads:\s*(\d+)", status).group(1)),
        "keeper threads": len(os.listdir("/proc/%s/task" % keeper[0])),
        "keeper descriptors": len(os.listdir("/proc/%s/fd" % keeper[0])),
    }), int(re.search(r"VmRSS:\s*(\d+)", status).group(1))


def test_workers_that_come_and_go_are_all_traced_and_leave_nothing_behind():
    with pyleak.Target("prefork.py") as target, pyleak.Tracer("-p", target.pid, "-i", "1") as tracer:
        tracer.wait_for_report()
        target.ask("churn", "3", "1", "5")
        tracer.wait_for_report(lambda each: each["pid"] == target.pid)
        # A thread for each family, the main one, GLib's for signals, and one that removes probes now and then.
        pyleak.wait_until(lambda: resources(tracer)[0]["threads"] <= 5)
        before, rss_before = resources(tracer)
        objects = len(pyleak.bpf_objects_of(tracer.pid))
        began = len(tracer.reports)
        workers = target.ask("churn", "4", "2", "18")
        deadline = time.time() + pyleak.PATIENCE
        while True:
            tracer.wait_for_report(lambda each: each["pid"] == target.pid)
            after, rss = resources(tracer)
            if after <= before or time.time() > deadline:
                break
        assert after <= before
        assert len(pyleak.bpf_objects_of(tracer.pid)) == objects
        assert rss < rss_before + 10 * 1024
        tracer.finish()
        seen = {report["pid"] for report in tracer.reports[began:]} - {target.pid}
        # The youngest were stopped when churn() ended, maybe before they had settled.
        assert workers >= 16
        assert len(seen) >= workers - 4
        assert all(report["tracing"]["lost"]["contexts_full"] == 0 for report in tracer.reports)
