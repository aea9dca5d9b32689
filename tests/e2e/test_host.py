# SPDX-License-Identifier: GPL-2.0-or-later
"""pyleak -a: all Python processes that pass the filter are watched, those that grow are traced."""
import os
import pwd
import shutil
import signal
import subprocess
import time

import pytest

import pyleak

GROWING = str(pyleak.TARGETS / "growing.py")


@pytest.fixture
def script():
    """A program by a name of its own: tests see nothing of what else runs here."""
    path = pyleak.scratch() / ("growing-%d.py" % time.monotonic_ns())
    shutil.copy(GROWING, path)
    path.chmod(0o644)
    return str(path)


class Started:
    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], start_new_session=True)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def python(script, pace, *more):
    return Started(pyleak.DEBIAN.path, script, pace, *more)


def host(script, *options):
    return pyleak.Tracer("-a", "--match", script, "-i", "1", *options)


def test_the_one_that_grows_is_traced_and_named_and_the_others_are_left_alone(script):
    with python(script, 0) as idle, python(script, 400) as busy, python(script, 0) as other, host(script) as tracer:
        report = tracer.wait_for_report(
            lambda each: each["pid"] == busy.pid and any(site["verdict"] == "leak" for site in each["sites"]),
            timeout=180)
        assert {target["pid"] for target in tracer.header["targets"]} == {idle.pid, busy.pid, other.pid}
        assert all(target["python"]["version"].startswith("3.11") for target in tracer.header["targets"])
        assert report["state"] == "traced"
        assert 100e3 < report["process"]["trend_bytes_per_s"] < 2e6
        stack = report.python_stack(report["sites"][0])
        assert stack[0] == ["receive", script, pyleak.marks(GROWING)["receive"]]
        for each in (idle, other):
            assert not pyleak.breakpoints(each.pid)
        tracer.finish()
        for report in tracer.reports:
            if report["pid"] != busy.pid:
                assert report["state"] == "watched"
                assert report["sites"] == []
                assert report["process"]["rss_bytes"] > 1e6
                assert report["process"]["trend_bytes_per_s"] == 0
        for pid in (idle.pid, busy.pid):
            numbers = [report["seq"] for report in tracer.reports if report["pid"] == pid]
            assert numbers == list(range(1, len(numbers) + 1))
        assert not pyleak.breakpoints(busy.pid)


def test_processes_that_come_and_go_are_noticed_within_a_second(script):
    with python(script, 0) as first, host(script, "-i", "0.25") as tracer:
        tracer.wait_for_report(lambda each: each["pid"] == first.pid)
        with python(script, 0, "fork") as late:
            began = time.time()
            # By exec, and by fork.
            report = tracer.wait_for_report(lambda each: each["pid"] == late.pid)
            child = tracer.wait_for_report(lambda each: each["parent_pid"] == late.pid)
            assert child.arrived - began < 1 + 0.5
            assert report["target"]["cmdline"] == [pyleak.DEBIAN.path, script, "0", "fork"]
        ended = time.time()
        gone = {}
        while set(gone) != {late.pid, child["pid"]}:
            report = tracer.wait_for_report(lambda each: each["last"])
            gone[report["pid"]] = report.arrived
        assert max(gone.values()) - ended < 1 + 0.5
        for _ in range(3):
            assert tracer.wait_for_report()["pid"] == first.pid
        tracer.finish()


def test_a_program_that_becomes_python_by_exec_is_noticed(script):
    with host(script, "-i", "0.25") as tracer:
        shell = Started("/bin/sh", "-c", "sleep 1; exec %s %s 0" % (pyleak.DEBIAN.path, script))
        with shell:
            report = tracer.wait_for_report(lambda each: each["pid"] == shell.pid)
            assert report["target"]["exe"].endswith("python3.11")
            tracer.finish()


def test_a_traced_process_that_exits_gets_its_last_report(script):
    with host(script) as tracer:
        with python(script, 2000) as busy:
            tracer.wait_for_report(lambda each: each["pid"] == busy.pid and each["state"] == "traced")
        last = tracer.wait_for_report(lambda each: each["pid"] == busy.pid and each["last"])
        assert last["state"] == "traced"
        tracer.finish()
        assert tracer.end["reason"] == "signal"


def test_replicas_are_merged_and_the_table_has_them_all(script):
    with python(script, 0) as one, python(script, 0) as other, host(script, "--merge-children") as tracer:
        pids = sorted([one.pid, other.pid])
        report = tracer.wait_for_report(lambda each: each.get("pids") == pids)
        assert report["pid"] == pids[0] and report["state"] == "watched" and report["sites"] == []
        tracer.finish()
        shown = pyleak.run("-a", "--match", script, "--merge-children", "-d", "1")
        assert shown.returncode == 0, shown.stderr
        for pid in pids:
            assert "\n%8d  " % pid in shown.stdout, shown.stdout


def test_user_and_cgroup_choose(script):
    nobody = pwd.getpwnam("nobody")
    become = ["/usr/bin/setpriv", "--reuid", nobody.pw_uid, "--clear-groups"]
    group = pyleak.read("/proc/self/cgroup").splitlines()[0].split(":", 2)[2]
    with python(script, 0) as ours, Started(*become, pyleak.DEBIAN.path, script, 0) as theirs:
        pyleak.wait_until(lambda: "python" in os.readlink("/proc/%d/exe" % theirs.pid))
        for options, expected in [
            (["--user", "nobody"], {theirs.pid}),
            (["--user", str(os.getuid())], {ours.pid}),
            (["--cgroup", group], {ours.pid, theirs.pid}),
            (["--cgroup", group.rstrip("/") + "/no-such-group"], set()),
        ]:
            with host(script, *options, "-d", "1") as tracer:
                while tracer.next_message() is not None:
                    pass
                assert {target["pid"] for target in tracer.header["targets"]} == expected
                assert {report["pid"] for report in tracer.reports} == expected
                assert tracer.end["reason"] == "duration"


def test_the_text_begins_with_a_table_and_fits_80_columns(script):
    with python(script, 0) as idle, python(script, 2000) as busy:
        with pyleak.Tracer("-a", "--match", script, "-i", "5", "-n", "5", json_output=False) as tracer:
            lines = []
            while True:
                _, line = tracer.output.get(pyleak.PATIENCE)
                if line is None:
                    break
                lines.append(line.rstrip("\n"))
    assert all(len(line) <= 80 for line in lines)
    titles = [i for i, line in enumerate(lines) if "Python processes" in line]
    assert "2 Python processes, 1 traced" in lines[titles[-1]]
    table = [line.split() for line in lines[titles[-1]:titles[-1] + 7]]
    header = next(row for row in table if row[:1] == ["PID"])
    assert header == ["PID", "RSS", "TREND", "STATE", "PROGRAM"]
    rows = {row[0]: row for row in table if row and row[0].isdigit()}
    assert rows[str(idle.pid)][3:5] == ["-", "watched"]
    assert rows[str(busy.pid)][-2] in ("growing", "LEAK", "traced")
    assert any(line.startswith("pyleak") and "pid %d " % busy.pid in line for line in lines[titles[-1]:])
    assert not any("pid %d " % idle.pid in line for line in lines)


# More than the buffer of such events holds (256 KiB, 24 bytes each): two a child.
FORKS = 7000
FORKING = """
import os, sys, time
sys.stdin.readline()
for _ in range(%d):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
print("done", flush=True)
time.sleep(1000)
""" % FORKS


def missed_while_stopped(*options):
    """The first report after pyleak was stopped while a process that it follows forked very often."""
    forking = subprocess.Popen([pyleak.DEBIAN.path, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        words = ["-p", forking.pid] if "-p" in options else ["-a", "--match", "sys.stdin.readline"]
        with pyleak.Tracer(*words, "-i", "1") as tracer:
            before = tracer.wait_for_report(lambda each: each["pid"] == forking.pid)
            assert before["tracing"]["missed_events"] == 0
            tracer.process.send_signal(signal.SIGSTOP)
            forking.stdin.write(b"\n")
            forking.stdin.flush()
            assert forking.stdout.readline() == b"done\n"
            tracer.process.send_signal(signal.SIGCONT)
            after = tracer.wait_for_report(
                lambda each: each["pid"] == forking.pid and each["tracing"]["missed_events"])
            tracer.finish()
            return after
    finally:
        forking.kill()
        forking.wait()
        forking.stdin.close()
        forking.stdout.close()


@pytest.mark.parametrize("how", ["-a", "-p"])
def test_events_that_did_not_fit_are_in_the_json(how):
    report = missed_while_stopped(how)
    assert 0 < report["tracing"]["missed_events"] <= 2 * FORKS
    # With -a the table of processes says it.
    assert any("children may be missing" in note for note in report["notes"]) == (how == "-p")
