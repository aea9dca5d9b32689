# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets in mount, pid and user namespaces, with roots of their own: what is theirs is opened there, and named as they name it."""
import os
import pathlib
import re
import shutil

import pytest

import pyleak

# A program that exists only inside, at a path where the host has nothing or something else.
SERVICE = """import sys
sys.path.insert(0, "%s")
import target
KEPT = []
def keep(text):
    KEPT.append(text * 40)  # the line that leaks
def leak():
    for i in range(2000):
        keep(b"x")
    return 2000
target.serve(leak=leak)
""" % pyleak.TARGETS
LINE = 1 + SERVICE[: SERVICE.index("KEPT.append")].count("\n")


def make_root(name):
    """A folder for a root: an interpreter and a program of its own, and the places where the host's /usr is put."""
    root = pyleak.scratch() / name
    for folder in ("opt", "srv", "etc"):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (root / link).symlink_to("usr/" + link)
    shutil.copy("/usr/bin/python3.11", root / "opt" / "python3.11")
    (root / "etc" / "passwd").write_text(SERVICE)
    # A link that leads to the host's file of that name where it is followed from outside.
    (root / "srv" / "main.py").symlink_to("/etc/passwd")
    return root


class Program(pyleak.Target):
    """One that speaks the protocol of target.py, by the words that start it."""

    def __init__(self, words, child=False, **variables):
        self.script = words[0]
        self.start(words, dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **variables), child)


def report_of_leak(target):
    """How many blocks the service says that it leaked, the last report, and what the header says of it."""
    with pyleak.attach(target) as tracer:
        blocks = target.ask("leak")
        return blocks, tracer.finish(), tracer.header["targets"][0]


def control_groups():
    """Where the unified hierarchy is mounted."""
    mounts = [line.split() for line in pyleak.read("/proc/self/mounts").splitlines()]
    return pathlib.Path(next(fields[1] for fields in mounts if fields[2] == "cgroup2"))


def check(pid, blocks, report, header):
    sites = [site for site in report["sites"] if report.python_stack(site)[:1] == [["keep", "/srv/main.py", LINE]]]
    # And the list that keeps them.
    assert blocks <= sum(site["outstanding_blocks"] for site in sites) <= blocks + 2
    assert {site["source"] for site in sites} == {"KEPT.append(text * 40)  # the line that leaks"}
    assert report["tracing"]["coverage"] >= 0.999
    assert report["notes"] == [] and not report.lost()
    assert header["exe"] == "/opt/python3.11"
    assert report["pid"] == header["pid"] == pid


@pytest.mark.parametrize("options", ["", "--user --map-root-user"], ids=["root", "user namespace"])
def test_a_container_is_traced_through_its_own_root(options):
    root = make_root("root" + str(len(options)))
    words = [pyleak.ENTER, str(root), "/usr", str(pyleak.TARGETS), "--", "/opt/python3.11", "/srv/main.py"]
    with Program(words, child=True, UNSHARE=options) as target:
        blocks, report, header = report_of_leak(target)
        check(target.pid, blocks, report, header)
        # The pid shown is the host's; inside it is another.
        assert header["namespace_pid"] == report["process"]["namespace_pid"] == 1
        assert os.readlink("/proc/%d/ns/pid" % target.pid) != os.readlink("/proc/self/ns/pid")


def test_a_tracer_in_the_pid_namespace_of_its_target_counts_all_the_same():
    """A sidecar: it knows the target by the number that the target has there, the kernel by another."""
    root = make_root("sidecar")
    words = [pyleak.ENTER, str(root), "/usr", str(pyleak.TARGETS), "--", "/opt/python3.11", "/srv/main.py"]
    with Program(words, child=True) as target:
        sidecar = pyleak.scratch() / "sidecar-pyleak"
        sidecar.write_text(
            "#!/bin/sh\n"
            'exec nsenter --target %d --pid unshare --mount sh -c \'mount -t proc proc /proc && exec "$0" "$@"\' %s "$@"\n'
            % (target.pid, pyleak.PROGRAM)
        )
        sidecar.chmod(0o755)
        with pyleak.Tracer("-p", 1, "--exact", "-i", 1, "-n", 3, "-t", 1000, program=str(sidecar)) as tracer:
            tracer.wait_for_report()
            blocks = target.ask("leak")
            report = tracer.finish(None)
            header = tracer.header["targets"][0]
            check(1, blocks, report, header)


def test_a_changed_root_without_namespaces_is_left_out_of_names():
    """After chroot(2) alone the kernel shows paths from the host's root."""
    root = make_root("chroot")
    enter = "mkdir -p $0/usr $0$1 && mount --rbind /usr $0/usr && mount --rbind $1 $0$1 && exec chroot $0 $2 $3"
    words = [str(root), str(pyleak.TARGETS), "/opt/python3.11", "/srv/main.py"]
    with Program(["unshare", "--mount", "sh", "-c", enter, *words]) as target:
        blocks, report, header = report_of_leak(target)
        check(target.pid, blocks, report, header)
        assert header["namespace_pid"] == target.pid


def test_the_control_group_names_the_container():
    """As systemd names the groups of Docker's containers."""
    identity = "5e" * 32
    folder = control_groups() / ("docker-%s.scope" % identity)
    folder.mkdir()
    try:
        with pyleak.Target("busy.py") as target:
            (folder / "cgroup.procs").write_text(str(target.pid))
            with pyleak.attach(target) as tracer:
                report = tracer.finish()
            text = pyleak.run("-p", target.pid, "--exact", "-i", "0.5", "-n", "1").stdout
        for place in (tracer.header["targets"][0], report["process"]):
            assert place["container"] == identity
            assert place["cgroup"] == "/" + folder.name
        assert re.search(r"^container %s$" % identity[:12], text, re.M)
    finally:
        pyleak.wait_until(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_an_interpreter_upgraded_on_disk_is_traced_as_it_runs(how):
    """The file that the process runs has no name any more, and its old name may be of another program."""
    folder = pyleak.scratch() / how
    folder.mkdir()
    program = folder / "python3.11"
    shutil.copy(pyleak.DEBIAN.path, program)
    python = pyleak.Interpreter(how, program, pyleak.DEBIAN.version)
    with pyleak.Target("leaks.py", python, {"PYTHONHOME": "/usr"}) as target:
        if how == "replaced":
            shutil.copy("/usr/bin/sleep", folder / "new")
            os.rename(folder / "new", program)
        else:
            program.unlink()
        with pyleak.attach(target) as tracer:
            truth = target.ask("leak")
            report = tracer.finish()
        assert os.readlink("/proc/%d/exe" % target.pid).endswith(" (deleted)")
    assert report["tracing"]["coverage"] >= 0.999
    assert tracer.header["targets"][0]["exe"] == str(program)
    expected = truth["expected"]["bytes"]
    assert report.by_line(target.script)[target.line("bytes")] == [expected["blocks"], expected["bytes"]]
