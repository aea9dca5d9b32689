# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets and tracers for the end-to-end tests: starts them, talks with them, reads what they say. Every wait has a deadline."""
import atexit
import functools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TARGETS = TOP / "tests" / "targets"
PROGRAM = os.environ.get("PYLEAK", str(TOP / "pyleak"))
PYENV_ROOT = pathlib.Path(
    os.environ.get("PYLEAK_PYENV_ROOT") or os.environ.get("PYENV_ROOT") or "/root/.pyenv"
)
# Longest wait for anything that normally takes well under a second: the machine may be shared, and stand still for a minute.
PATIENCE = 120


# The interpreters of other distributions: see distros/prepare.
DISTROS = os.environ.get("PYLEAK_DISTROS")
ENTER = str(TOP / "tests" / "distros" / "enter")


class Interpreter:
    """One to test with. root: the folder of the system it belongs to, which it then runs in as in a container."""

    def __init__(self, name, path, version, root=None, numpy=False):
        self.name, self.path, self.version = name, str(path), version
        self.root, self.numpy = root, numpy

    def __repr__(self):
        return self.name

    def command(self):
        """The words that start it."""
        if not self.root:
            return [self.path]
        return [ENTER, self.root, str(TOP / "tests"), str(scratch()), "--", self.path]

    def flags(self):
        """What a C compiler needs to find its headers."""
        code = "import sysconfig; print(sysconfig.get_paths()['include'])"
        include = subprocess.check_output([*self.command(), "-c", code], text=True).strip()
        if not self.root:
            return ["-I" + include]
        return ["-I" + self.root + include, "-idirafter", self.root + "/usr/include"]


def _pyenv(version):
    return Interpreter(
        "pyenv-" + version.rsplit(".", 1)[0],
        PYENV_ROOT / "versions" / version / "bin" / "python",
        tuple(int(part) for part in version.split(".")),
    )


PYENV_VERSIONS = (
    "2.7.18", "3.6.15", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0",
)
PYENV = [_pyenv(version) for version in PYENV_VERSIONS]
# The first is static, stripped, PGO and LTO: the build that people run.
if DISTROS:
    INTERPRETERS = [
        Interpreter("trixie-3.13", "/usr/bin/python3.13", (3, 13), DISTROS + "/trixie", True),
        Interpreter("sid-3.14", "/usr/bin/python3.14", (3, 14), DISTROS + "/sid", True),
        Interpreter("sid-3.15", "/usr/bin/python3.15", (3, 15), DISTROS + "/sid"),
    ]
else:
    INTERPRETERS = [Interpreter("debian-3.11", "/usr/bin/python3.11", (3, 11), numpy=True)] + PYENV
DEBIAN = INTERPRETERS[0]


def interpreter(name):
    return next(each for each in INTERPRETERS if each.name == name)


# A build that differs from the first: shared, not optimised, with symbols (or, of another distribution, newer).
PLAIN = INTERPRETERS[-1] if DISTROS else interpreter("pyenv-3.12")


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")


@functools.lru_cache(maxsize=None)
def scratch():
    """A folder for this run, that goes with it."""
    folder = tempfile.mkdtemp(prefix="pyleak-e2e-")
    atexit.register(shutil.rmtree, folder, True)
    os.chmod(folder, 0o755)
    return pathlib.Path(folder)


@functools.lru_cache(maxsize=None)
def extension_folder(python):
    """Builds leakext for an interpreter with that interpreter's own headers."""
    folder = scratch() / ("leakext-" + python.name)
    folder.mkdir()
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-g", "-fno-builtin", "-D_GNU_SOURCE", *python.flags(),
         "-o", str(folder / "leakext.so"), str(TARGETS / "leakext.c"), "-lpthread"],
        check=True,
    )
    return str(folder)


def compile_c(name, text, *flags):
    """Compiles a C program into the scratch folder; its path."""
    source, program = scratch() / (name + ".c"), scratch() / name
    source.write_text(text)
    subprocess.run(["gcc", "-O1", *flags, "-o", str(program), str(source)], check=True)
    return str(program)


@functools.lru_cache(maxsize=None)
def marks(path):
    """The lines of a source file that are marked "# LEAK:name": {name: line}."""
    found = {}
    for number, line in enumerate(read(path).splitlines(), 1):
        for name in re.findall(r"# LEAK:(\w+)", line):
            found[name] = number
    return found


def only_child(pid):
    """The child of a process that has one, or is about to."""
    return int(wait_until(lambda: read("/proc/%d/task/%d/children" % (pid, pid)).split())[0])


class _Lines:
    """The lines of a pipe, read by a thread as they come, with the time of their arrival. None is the end."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self._pump, args=(stream,), daemon=True)
        self.thread.start()

    def _pump(self, stream):
        for line in stream:
            self.queue.put((time.time(), line))
        self.queue.put((time.time(), None))
        stream.close()

    def get(self, timeout):
        return self.queue.get(timeout=max(timeout, 0.001))


class Target:
    """A program of tests/targets under some interpreter, by the line protocol of target.py."""

    def __init__(self, script, python=DEBIAN, environment=None, arguments=(), ready=True):
        self.script = str(TARGETS / script)
        self.python = python
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        variables.update(PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=extension_folder(python))
        # One hash seed: a run and its twin then have dicts of one shape.
        variables.update(PYTHONHASHSEED="0", **(environment or {}))
        self.start([*python.command(), *arguments, self.script], variables, bool(python.root), ready)

    def start(self, command, variables, child, ready=True):
        """child: what the command starts is its child, in a pid namespace of its own."""
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        )
        self.pid = only_child(self.process.pid) if child else self.process.pid
        self.lines = _Lines(self.process.stdout)
        self.errors = _Lines(self.process.stderr)
        if ready:
            self.answer()

    def answer(self, timeout=PATIENCE):
        try:
            _, line = self.lines.get(timeout)
        except queue.Empty:
            raise AssertionError("%s did not answer in %d s" % (self.script, timeout)) from None
        assert line is not None, "%s ended: %s" % (self.script, _rest(self.errors))
        message = json.loads(line)
        assert "error" not in message, message["error"]
        return message.get("result")

    def send(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def ask(self, *words, timeout=PATIENCE):
        self.send(*words)
        return self.answer(timeout)

    def line(self, mark):
        return marks(self.script)[mark]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def _rest(lines):
    """Everything that is left in a pipe that is about to end."""
    text = ""
    while True:
        _, line = lines.get(PATIENCE)
        if line is None:
            return text
        text += line


class Report(dict):
    """A message of type "report"; arrived is when its line came, in seconds since the epoch."""

    arrived = 0.0

    @staticmethod
    def python_stack(site):
        """[[function, file, line], ...] of a site's Python frames, leaf first."""
        return [[f["function"], f["file"], f["line"]] for f in site["stack"] if f["kind"] == "python"]

    def by_line(self, path):
        """{line: [blocks, bytes]} of the sites whose innermost Python frame lies in the file."""
        found = {}
        for site in self["sites"]:
            stack = self.python_stack(site)
            if stack and stack[0][1] == path:
                counts = found.setdefault(stack[0][2], [0, 0])
                counts[0] += site["outstanding_blocks"]
                counts[1] += site["outstanding_bytes"]
        return found

    def sites_at(self, path, line):
        return [site for site in self["sites"] if self.python_stack(site)[:1] and
                self.python_stack(site)[0][1:] == [path, line]]

    def lost(self):
        return {reason: count for reason, count in self["tracing"]["lost"].items() if count}


class Tracer:
    """pyleak as a child, with its NDJSON parsed as it streams."""

    def __init__(self, *arguments, program=PROGRAM, json_output=True, **popen):
        self.command = [program, *(["-j"] if json_output else []), *(str(each) for each in arguments)]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, **popen,
        )
        self.pid = self.process.pid
        self.output = _Lines(self.process.stdout)
        self.errors = _Lines(self.process.stderr)
        self.header, self.reports, self.end = None, [], None

    def next_message(self, timeout=PATIENCE):
        """The next message, or None at the end of the output."""
        try:
            arrived, line = self.output.get(timeout)
        except queue.Empty:
            raise AssertionError("%s: silent for %d s" % (" ".join(self.command), timeout)) from None
        if line is None:
            return None
        message = json.loads(line)
        assert message["schema"] == "pyleak/1"
        if message["type"] == "header":
            self.header = message
        elif message["type"] == "report":
            message = Report(message)
            message.arrived = arrived
            self.reports.append(message)
        else:
            self.end = message
        return message

    def wait_for_report(self, accept=lambda report: True, timeout=PATIENCE):
        """The next report that accept() likes."""
        deadline = time.time() + timeout
        while True:
            message = self.next_message(deadline - time.time())
            assert message is not None, "pyleak ended: " + _rest(self.errors)
            if message["type"] == "report" and accept(message):
                return message

    def finish(self, how=signal.SIGINT, timeout=PATIENCE):
        """Interrupts (unless how is None), reads to the end, checks for a clean end; the last report."""
        if how is not None:
            self.process.send_signal(how)
        while self.next_message(timeout) is not None:
            pass
        status = self.process.wait(timeout)
        self.stderr = _rest(self.errors)
        assert status == 0, "status %s: %s" % (status, self.stderr)
        assert self.end is not None, "no message of type end"
        return self.reports[-1]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def attach(target, *options):
    """A tracer with every allocation of the target traced from now on: its first report has come."""
    tracer = Tracer("-p", target.pid, "--exact", "-i", "0.5", "-t", "100000", *options)
    try:
        tracer.wait_for_report()
    except BaseException:
        tracer.__exit__()
        raise
    return tracer


def run(*arguments, program=PROGRAM, timeout=PATIENCE, **options):
    """Runs pyleak to its end; the completed process with text output."""
    return subprocess.run(
        [program, *(str(each) for each in arguments)], stdin=subprocess.DEVNULL, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )


@functools.lru_cache(maxsize=None)
def program_without_cache():
    """A program that runs pyleak with an empty /var/cache of its own: nothing is known of any interpreter."""
    wrapper = scratch() / "cold-pyleak"
    wrapper.write_text(
        "#!/bin/sh\n"
        'exec unshare --mount sh -c \'mount -t tmpfs none /var/cache && exec "$0" "$@"\' ' + PROGRAM + ' "$@"\n'
    )
    wrapper.chmod(0o755)
    return str(wrapper)


def breakpoints(pid):
    """The addresses where the process's text holds a breakpoint (0xCC) that its files do not.

    This is what a uprobe is, read from the process itself: nobody has to be trusted about it.
    """
    found = []
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            fields = line.split(None, 5)
            if "x" not in fields[1] or len(fields) < 6 or not fields[5].startswith("/"):
                continue
            start, end = (int(each, 16) for each in fields[0].split("-"))
            with open("/proc/%d/map_files/%x-%x" % (pid, start, end), "rb") as file:
                file.seek(int(fields[2], 16))
                original = file.read(end - start)
            memory.seek(start)
            now = memory.read(end - start)[: len(original)]
            if now == original:
                continue
            found += [start + i for i in range(len(now)) if now[i] == 0xCC and original[i] != 0xCC]
    return found


def wait_until(condition, timeout=PATIENCE, pause=0.02):
    """Polls until condition() is true; its value. AssertionError at the deadline."""
    deadline = time.time() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.time() < deadline, "not true within %g s" % timeout
        time.sleep(pause)


def bpf_objects_of(pid):
    """{("prog", id), ("link", id), ("map", id)} of the BPF objects that a process has open, by /proc/PID/fdinfo."""
    found = set()
    for entry in pathlib.Path("/proc/%d/fdinfo" % pid).iterdir():
        try:
            text = entry.read_text()
        except OSError:  # closed between listing and reading
            continue
        found.update((kind, int(number)) for kind, number in re.findall(r"^(prog|link|map)_id:\s*(\d+)$", text, re.M))
    return found


def bpf_objects(kind):
    """All of the kernel's BPF objects of a kind ("prog", "link" or "map"), as bpftool describes them."""
    shown = subprocess.run(["/usr/sbin/bpftool", "-j", kind, "show"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def bpf_objects_left(objects):
    """Those of the given objects that the kernel still has."""
    return {(kind, each["id"]) for kind in ("prog", "link", "map") for each in bpf_objects(kind)} & objects


def wait_until_gone(pid, objects):
    """Until a tracer has left nothing behind: no breakpoint in the process, none of its BPF objects in the kernel. Seconds.

    How long that takes is a matter of the machine, and of `make bench`; that it happens is what tests are about.
    """
    began = time.monotonic()
    wait_until(lambda: not breakpoints(pid))
    wait_until(lambda: not bpf_objects_left(objects))
    return time.monotonic() - began
