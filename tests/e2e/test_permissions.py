# SPDX-License-Identifier: GPL-2.0-or-later
"""What pyleak may do without being root: with few capabilities it traces as well, and it says which are missing."""
import errno
import functools
import os
import shutil
import subprocess
import sys

import pytest

import pyleak

NOBODY = "65534"
NEEDED = ("bpf", "perfmon", "sys_ptrace")
READING = NEEDED + ("dac_read_search",)
DELETED = READING + ("checkpoint_restore",)
SHARED = pyleak.interpreter("pyenv-3.12") if not pyleak.DISTROS else None
UNDER_UNIT = str(pyleak.TOP / "tests" / "e2e" / "under_unit.py")


def wrapper(name, *words):
    """A program that runs pyleak after some words, from a place that everybody can reach."""
    shutil.copy(pyleak.PROGRAM, str(pyleak.scratch() / "pyleak"))
    path = pyleak.scratch() / name
    path.write_text('#!/bin/sh\nexec %s %s "$@"\n' % (" ".join(words), pyleak.scratch() / "pyleak"))
    path.chmod(0o755)
    return str(path)


def with_capabilities(*names):
    """pyleak as user nobody with these capabilities and no others."""
    words = ",".join(["-all"] + ["+" + name for name in names])
    return wrapper(
        "pyleak-with-" + ("-".join(names) or "none"), "setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY,
        "--clear-groups", "--inh-caps=" + words, "--ambient-caps=" + words, "--bounding-set=" + words,
    )


def refusal(program, *arguments):
    """The one line with which it refuses, with the status for what is not permitted."""
    done = pyleak.run(*arguments, program=program)
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert done.stdout == "" and done.stderr.startswith("pyleak: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def exact_leak(program, python=pyleak.DEBIAN, **popen):
    """Traces a leak of root's with the program: whether it was counted to the block, and pyleak's messages."""
    with pyleak.Target("leaks.py", python) as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", "-t", "100000", program=program, **popen) as tracer:
            tracer.wait_for_report()
            truth = target.ask("leak")["expected"]
            report = tracer.finish()
        seen = report.by_line(target.script)
        for name in ("bytes", "dicts", "ext_malloc"):
            assert seen[target.line(name)] == [truth[name]["blocks"], truth[name]["bytes"]], name
        assert not report.lost()
        return tracer.stderr


def test_three_capabilities_are_enough():
    exact_leak(with_capabilities(*NEEDED))


@pytest.mark.parametrize("missing", NEEDED)
def test_each_that_is_missing_is_named(missing):
    with pyleak.Target("leaks.py") as target:
        rest = [name for name in NEEDED if name != missing]
        message = refusal(with_capabilities(*rest), "-p", target.pid)
        assert "CAP_" + missing.upper() in message
        assert not [name for name in rest if "CAP_" + name.upper() in message]
        assert not pyleak.breakpoints(target.pid)


def test_a_user_without_any_gets_one_line():
    with pyleak.Target("leaks.py") as target:
        message = refusal(with_capabilities(), "-p", target.pid)
        assert "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE" in message
        assert not pyleak.breakpoints(target.pid)


def private_interpreter(name):
    """A shared interpreter in a folder that only root may enter."""
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(SHARED.path)))
    folder = pyleak.scratch() / name
    folder.mkdir(mode=0o700)
    shutil.copy(os.path.realpath(SHARED.path), str(folder / "python3.12"))
    shutil.copy(os.path.join(prefix, "lib", "libpython3.12.so.1.0"), str(folder))
    environment = {"LD_LIBRARY_PATH": str(folder), "PYTHONHOME": prefix}
    return folder, pyleak.Interpreter(name, folder / "python3.12", SHARED.version), environment


@pytest.mark.parametrize("deleted", [False, True], ids=["private", "deleted"])
def test_an_interpreter_that_is_not_everybodys_to_read(deleted):
    folder, python, environment = private_interpreter("private-%d" % deleted)
    enough = DELETED if deleted else READING
    with pyleak.Target("work.py", python, environment) as target:
        if deleted:
            shutil.rmtree(str(folder))
        message = refusal(with_capabilities(*enough[:-1]), "-p", target.pid)
        assert "CAP_" + enough[-1].upper() in message
        assert not pyleak.breakpoints(target.pid)
        with pyleak.Tracer("-p", target.pid, "-i", "0.5", program=with_capabilities(*enough)) as tracer:
            tracer.wait_for_report()
            tracer.finish()
    assert tracer.header["targets"][0]["python"]["version"].startswith("3.12")


def test_a_command_does_not_get_the_capabilities():
    """What pyleak itself was given to trace with, the program that it starts must not have."""
    code = "import re, time; print(re.findall('Cap(?:Eff|Prm|Amb):.*', open('/proc/self/status').read())); time.sleep(1)"
    done = pyleak.run(
        "-q", "-n", "1", "-i", "0.5", "-o", "/dev/null", "--", sys.executable, "-c", code,
        program=with_capabilities(*NEEDED),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("0000000000000000") == 3, done.stdout


def test_nothing_needs_to_be_writable():
    """No cache, no temporary files, no home: as in a container with a read-only root."""
    program = wrapper(
        "pyleak-read-only", "env", "-i", "PATH=$PATH", "unshare", "--mount", "sh", "-c",
        "'mount -o remount,bind,ro / && mount -t tmpfs -o ro none /var/cache && exec \"$@\"'", "sh",
    )
    messages = exact_leak(program)
    assert messages.count("\n") == 1 and "tracing" in messages


WITHOUT_BPF = """
import os, seccomp, sys
calls = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
calls.add_rule(seccomp.ERRNO(int(sys.argv[1])), "bpf")
calls.load()
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_a_container_whose_seccomp_profile_forbids_bpf_is_told_so(code):
    """As those of Docker before 23 and of CRI-O do, whatever the capabilities."""
    script = pyleak.scratch() / "without-bpf.py"
    script.write_text(WITHOUT_BPF)
    with pyleak.Target("leaks.py") as target:
        message = refusal(wrapper("pyleak-without-bpf-%d" % code, sys.executable, str(script), str(code)), "-p", target.pid)
        assert "seccomp profile" in message and "Linux 6.6" not in message


FORBIDDEN = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
for call in (libc.ptrace, libc.process_vm_writev, libc.setuid, libc.mount):
    assert call(0, 0, 0, 0, 0, 0) == -1
    sys.stdout.write(errno.errorcode[ctypes.get_errno()] + " ")
sys.stdout.write([line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")][0])
"""


@functools.lru_cache(maxsize=None)
def unit(name):
    """A unit as it is installed."""
    folder = pyleak.scratch() / "units"
    subprocess.run(
        ["make", "-C", str(pyleak.TOP), "BUILD=" + os.environ.get("PYLEAK_BUILD", "build"), "PREFIX=" + str(folder),
         "install"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )
    return str(folder / "lib/systemd/system" / name)


@pytest.mark.parametrize("name", ["pyleak.service", "pyleak@.service"])
def test_the_units_allow_what_tracing_needs(name):
    exact_leak(wrapper("pyleak-under-" + name, sys.executable, UNDER_UNIT, unit(name)))


@pytest.mark.parametrize("name", ["pyleak.service", "pyleak@.service"])
def test_the_units_allow_little_else(name):
    command = [sys.executable, UNDER_UNIT, unit(name), sys.executable, "-c", FORBIDDEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=pyleak.PATIENCE)
    # The capability numbers 2, 19, 38, 39 and 40: include/uapi/linux/capability.h.
    bits = sum(1 << number for number in (2, 19, 38, 39, 40))
    assert done.stdout == "EPERM EPERM EPERM EPERM %016x" % bits, done.stderr
