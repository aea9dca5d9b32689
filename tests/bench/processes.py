# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that the benchmarks watch: a workload, and pyleak attached to it.

Both speak JSON, one object a line, read as it comes by a thread of their own. All times are
CLOCK_MONOTONIC. Every wait has a deadline; a process that ends, or falls silent, is a Failure.
"""
import argparse
import datetime
import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
WORKLOADS = TOP / "tests" / "bench" / "workloads"
NAMES = (
    "churn",
    "json_service",
    "arrays",
    "figures",
    "idle_service",
    "native",
    "threads",
    "coroutines",
)
PROGRAM = os.environ.get("PYLEAK", str(TOP / "pyleak"))
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
PATIENCE_S = 120
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A process did not do its part; the text says how it ended."""


def cpu_seconds(pid):
    """User and system time of a process, of all its threads."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Process:
    """A child in a session of its own, so that it ends together with the children it has made."""

    def __init__(self, command, environment=None):
        self.command = [str(word) for word in command]
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        variables.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", **(environment or {}))
        self.errors = tempfile.TemporaryFile()
        self.messages = []
        self.ended = False
        self.changed = threading.Condition()
        self.child = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=variables,
            start_new_session=True,
        )
        self.pid = self.child.pid
        self.started = time.monotonic()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            for line in self.child.stdout:
                if not line.endswith(b"\n"):
                    break  # killed in the middle of it
                message = json.loads(line)
                with self.changed:
                    self.messages.append(message)
                    self.changed.notify_all()
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify_all()

    def wait_for(self, accept, timeout=PATIENCE_S):
        """The first message, said or yet to come, that accept() likes."""
        deadline, seen = time.monotonic() + timeout, 0
        with self.changed:
            while True:
                for message in self.messages[seen:]:
                    if accept(message):
                        return message
                seen = len(self.messages)
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    raise Failure(self.complaint())
                self.changed.wait(left)

    def complaint(self):
        """Why this process is of no more use: how it ended and its last words."""
        try:
            status = self.child.wait(0 if not self.ended else PATIENCE_S)
            how = "ended with status %d" % status if status >= 0 else signal.Signals(-status).name
        except subprocess.TimeoutExpired:
            how = "silent"
        self.errors.seek(0)
        words = self.errors.read().decode(errors="replace").strip().splitlines()
        return ": ".join([os.path.basename(self.command[0]), how, *words[-1:]])

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()


class Workload(Process):
    """A program of tests/bench/workloads. prefix: of its command; folder: where it is started."""

    def __init__(self, name, options=(), prefix=(PYTHON,), folder=WORKLOADS, environment=None):
        self.path = WORKLOADS / (name + ".py")
        super().__init__([*prefix, folder / (name + ".py"), *options], environment)

    def progress(self):
        """All lines of progress so far."""
        with self.changed:
            return [message for message in self.messages if "operations" in message]

    def progress_from(self, t, timeout=PATIENCE_S):
        """The first line of progress at or after a time."""
        return self.wait_for(lambda line: "operations" in line and line["t"] >= t, timeout)

    def wait_until_warm(self, seconds):
        """Until it leaks, and has done so for some seconds."""
        first = self.progress_from(0)
        self.progress_from(first["t"] + seconds, seconds + PATIENCE_S)

    def latencies(self, start, end):
        """The histograms of the seconds that ended in the meantime."""
        with self.changed:
            return [
                line["histogram"]
                for line in self.messages
                if start < line["t"] <= end and "histogram" in line
            ]

    def leak_rate(self, start, end):
        """Bytes a second between the first and the last line of progress inside a time.

        What the program leaks just outside is no measure: as long as nothing slows it, that may be
        30 times as much.
        """
        inside = [line for line in self.progress() if start <= line["t"] <= end]
        if len(inside) < 2:
            raise Failure("%s said too little in %.1f s" % (self.path.name, end - start))
        first, last = inside[0], inside[-1]
        return (last["leaked_bytes"] - first["leaked_bytes"]) / (last["t"] - first["t"])

    def leak_line(self):
        """The number of the line that is marked LEAK."""
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if line.endswith("# LEAK"):
                return number
        raise Failure("%s has no line marked LEAK" % self.path)


class Tracer(Process):
    """pyleak attached to a process; it has started to trace once the constructor returns."""

    def __init__(self, pid, options=()):
        super().__init__([PROGRAM, "-p", pid, "-j", *options])
        self.target = pid
        try:
            self.wait_for(lambda message: message["type"] == "header")
        except Failure:
            self.kill()
            raise
        self.attached = time.monotonic()

    def reports(self):
        """Of the process; its children have their own."""
        with self.changed:
            return [
                message
                for message in self.messages
                if message["type"] == "report" and message["pid"] == self.target
            ]

    def cpu_seconds(self):
        """Of pyleak and its keeper."""
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as children:
            return sum(cpu_seconds(int(pid)) for pid in [self.pid, *children.read().split()])

    def memory(self):
        """Bytes: {"own": resident, "maps": what the kernel keeps for its BPF maps}.

        Maps that are mapped as well, the ring buffer even twice (kernel/bpf/ringbuf.c), are counted
        once, among the maps.
        """
        with open("/proc/%d/status" % self.pid) as status:
            fields = dict(line.split(":", 1) for line in status)
        resident = int(fields["VmHWM"].split()[0]) * 1024
        return {"own": resident - self._mapped_maps(), "maps": sum(self._maps().values())}

    def _mapped_maps(self):
        """Resident bytes of BPF maps that are part of its address space."""
        resident, counts = 0, False
        with open("/proc/%d/smaps" % self.pid) as smaps:
            for line in smaps:
                if "-" in line.split(" ", 1)[0]:
                    counts = line.rstrip().endswith("anon_inode:bpf-map")
                elif counts and line.startswith("Rss:"):
                    resident += int(line.split()[1]) * 1024
        return resident

    def _maps(self):
        """{id: bytes} by the kernel's account: bpf_map_show_fdinfo(), kernel/bpf/syscall.c."""
        found = {}
        folder = "/proc/%d/fdinfo" % self.pid
        for name in os.listdir(folder):
            try:
                with open(os.path.join(folder, name)) as info:
                    fields = dict(line.split(":", 1) for line in info if ":" in line)
            except FileNotFoundError:
                continue
            if "map_id" in fields:
                found[int(fields["map_id"])] = int(fields["memlock"])
        return found

    def finish(self):
        """Ends it as Ctrl-C does and waits until it is gone; the last report."""
        self.child.send_signal(signal.SIGINT)
        self.wait_for(lambda message: message["type"] == "end")
        if self.child.wait(PATIENCE_S) != 0:
            raise Failure(self.complaint())
        return self.reports()[-1]


def monotonic_of(utc):
    """The CLOCK_MONOTONIC of a time of a report."""
    moment = datetime.datetime.fromisoformat(utc.replace("Z", "+00:00")).timestamp()
    return moment - time.time() + time.monotonic()


def list_of(choices):
    """An argparse type: names with commas between them."""

    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError("%s is none of %s" % (name, ", ".join(choices)))
        return names

    return parse


def add_workloads_option(parser):
    parser.add_argument(
        "--workloads",
        type=list_of(NAMES),
        default=list(NAMES),
        metavar="NAME,...",
        help="of " + ", ".join(NAMES),
    )


def add_pyleak_args_option(parser):
    parser.add_argument(
        "--pyleak-args",
        type=shlex.split,
        default=[],
        metavar="ARGS",
        help="more options for pyleak, in one word",
    )
