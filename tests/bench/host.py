#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole host: many idle Python processes, a few busy ones that leak, and pyleak -a over them.

Prints when each leak was named with the verdict "leak", what pyleak and its keeper took of the
machine's CPU time and memory (PSS, and the kernel maps by bpftool), and what the idle processes
noticed: breakpoints in their code, and how late a sleep of 50 ms ends, with and without pyleak.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from processes import PROGRAM, PYTHON, cpu_seconds

IDLE = """
import sys, time
late, rounds, cache = 0.0, 0, {}
with open(sys.argv[1], "w", buffering=1) as out:
    while True:
        before = time.monotonic()
        time.sleep(0.05)
        late += time.monotonic() - before - 0.05
        rounds += 1
        cache[rounds % 100] = str(rounds)
        if rounds % 20 == 0:
            out.write("%f\\n" % (late / 20))
            late = 0.0
"""

BUSY = """
import sys, time
KEPT = []
class Order:
    def __init__(self, number):
        self.number, self.items = number, [number, str(number)]
def handle(number, every):
    order = Order(number)  # LEAK
    if number % every == 0:
        KEPT.append(order)
    return sum(len(item) for item in map(str, order.items))
number = 0
while True:
    end = time.thread_time() + float(sys.argv[2])
    while time.thread_time() < end:
        for _ in range(100):
            handle(number, int(sys.argv[1]))
            number += 1
    time.sleep(0.1)
"""


def memory_kib(pid):
    text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


def map_kib(pid):
    """Kernel memory of the BPF maps that a process has open, as the kernel accounts for it."""
    maps = {}
    for entry in pathlib.Path("/proc/%d/fdinfo" % pid).iterdir():
        try:
            text = entry.read_text()
        except OSError:
            continue
        number, size = re.search(r"^map_id:\s*(\d+)", text, re.M), re.search(r"^memlock:\s*(\d+)", text, re.M)
        if number and size:
            maps[number.group(1)] = int(size.group(1))
    return sum(maps.values()) // 1024


def children_of(pid):
    return [int(each) for each in pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]


def start(folder, code, *arguments):
    path = folder / ("idle.py" if code is IDLE else "busy.py")
    if not path.exists():
        path.write_text(code)
    return subprocess.Popen([PYTHON, str(path), *map(str, arguments)])


def lateness(folder, count):
    """The mean over idle processes of how late their latest sleeps ended, in ms; and the worst of them."""
    latest = []
    for number in range(count):
        lines = (folder / str(number)).read_text().splitlines()
        latest += [float(line) for line in lines[-5:-1]]
    return 1000 * sum(latest) / len(latest), 1000 * max(latest)


class Watcher:
    def __init__(self, tracer, line):
        self.line, self.named, self.latest, self.traced, self.cost = line, {}, {}, set(), []
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.read, args=(tracer.stdout,), daemon=True)
        self.thread.start()

    def read(self, stream):
        for text in stream:
            message = json.loads(text)
            if message["type"] != "report" or message["state"] != "traced":
                continue
            self.traced.add(message["pid"])
            self.cost.append(message["tracing"]["overhead_pct"])
            self.latest[message["pid"]] = message
            for site in message["sites"]:
                if site["verdict"] == "leak" and self.line in [frame.get("line") for frame in site["stack"][:3]]:
                    self.named.setdefault(message["pid"], time.monotonic() - self.began)


def breakpoints(pid):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
    import pyleak

    return len(pyleak.breakpoints(pid))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=100)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.02, help="CPU seconds of a busy one per 0.1 s")
    parser.add_argument("--seconds", type=float, default=130)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pyleak-host-"))
    line = BUSY.splitlines().index(next(each for each in BUSY.splitlines() if "LEAK" in each)) + 1
    processes = []
    try:
        idle = [start(folder, IDLE, folder / str(number)) for number in range(options.idle)]
        processes += idle
        busy = [start(folder, BUSY, 50 * (1 + number), options.share) for number in range(options.busy)]
        processes += busy
        time.sleep(12)
        before = lateness(folder, options.idle)
        tracer = subprocess.Popen([PROGRAM, "-a", "-j", "--match", str(folder)], stdout=subprocess.PIPE, text=True)
        processes.append(tracer)
        watcher = Watcher(tracer, line)
        time.sleep(2)
        [keeper] = children_of(tracer.pid)
        # The start is told apart: loading, and looking at every process once.
        begin, cpu = time.monotonic(), cpu_seconds(tracer.pid) + cpu_seconds(keeper)
        print("start: %.2f s of CPU time" % cpu)
        peak, patched = 0, set()
        while time.monotonic() < watcher.began + options.seconds:
            time.sleep(5)
            peak = max(peak, memory_kib(tracer.pid) + memory_kib(keeper) + map_kib(tracer.pid))
            patched |= {each.pid for each in idle[::10] if breakpoints(each.pid)}
        wall = time.monotonic() - begin
        used = cpu_seconds(tracer.pid) + cpu_seconds(keeper) - cpu
        after = lateness(folder, options.idle)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(60)
        watcher.thread.join(10)
    finally:
        for each in processes:
            each.kill()
            each.wait()
    print("named: %s of %d: %s" % (
        sum(each.pid in watcher.named for each in busy), options.busy,
        ", ".join("%.0f s" % watcher.named[each.pid] for each in busy if each.pid in watcher.named)))
    for each in busy:
        if each.pid not in watcher.named and each.pid in watcher.latest:
            report = watcher.latest[each.pid]
            print("  not named: traced for %.0f s, %s" % (report["elapsed_s"], [
                (site["verdict"], site["stack"][0].get("line"), site["outstanding_blocks"])
                for site in report["sites"][:4]]))
    print("CPU: %.2f %% of the machine (%d processors)" % (100 * used / wall / os.cpu_count(), os.cpu_count()))
    print("memory: %.0f MiB at most (PSS of pyleak and its keeper, and kernel maps)" % (peak / 1024))
    print("traced: %d, of them idle ones: %d; idle ones with probes, of %d looked at: %d" % (
        len(watcher.traced), len(watcher.traced & {each.pid for each in idle}), len(idle[::10]), len(patched)))
    print("cost to those traced: %.2f %% on average, %.2f %% at most" % (
        sum(watcher.cost) / max(len(watcher.cost), 1), max(watcher.cost or [0])))
    print("idle sleeps end late by %.2f ms (worst %.2f) without pyleak, %.2f ms (worst %.2f) with it" % (*before, *after))


if __name__ == "__main__":
    main()
