# SPDX-License-Identifier: GPL-2.0-or-later
"""A prefork server whose workers leak and are restarted every few seconds. For tests/bench/prefork.py.

Says, as JSON, a line for each worker that is forked, {"worker": pid, "born": t}, and that has exited, {"worker": pid,
"gone": t}; and once a second {"t": t, "operations": all that were done}. Times are CLOCK_MONOTONIC.
"""
import argparse
import ctypes
import json
import mmap
import os
import random
import signal
import struct
import sys
import time

PR_SET_PDEATHSIG = 1
KEPT = []
ORDER = json.dumps({"order": 1, "lines": [{"article": "pen", "price": 1.5, "count": 2}] * 20})


def handle(number):
    order = json.loads(ORDER)
    total = sum(line["price"] * line["count"] for line in order["lines"])
    if number % 10 == 0:
        KEPT.append(json.dumps([number, total, order["lines"][0]]))  # LEAK
    return total


def work(parent, counter, slot, end):
    """A twentieth of a processor until the end."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    number = 0
    while time.monotonic() < end and os.getppid() == parent:
        for _ in range(10):
            handle(number)
            number += 1
        struct.pack_into("Q", counter, 8 * slot, number)
        time.sleep(0.02)
    os._exit(0)


def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Server:
    def __init__(self, workers, life):
        self.life = life
        self.running = [None] * workers
        self.counter = mmap.mmap(-1, 8 * workers)
        self.finished = 0

    def done(self, slot):
        return struct.unpack_from("Q", self.counter, 8 * slot)[0]

    def fork(self, slot):
        struct.pack_into("Q", self.counter, 8 * slot, 0)
        end, parent = time.monotonic() + random.uniform(*self.life), os.getpid()
        pid = os.fork()
        if pid == 0:
            work(parent, self.counter, slot, end)
        self.running[slot] = pid
        say(worker=pid, born=time.monotonic())

    def reap(self):
        while any(self.running):
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            slot = self.running.index(pid)
            self.running[slot] = None
            self.finished += self.done(slot)
            say(worker=pid, gone=time.monotonic())

    def serve(self):
        next_line = time.monotonic()
        while True:
            self.reap()
            for slot, pid in enumerate(self.running):
                if not pid:
                    self.fork(slot)
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + 1
                say(t=time.monotonic(), operations=self.finished + sum(map(self.done, range(len(self.running)))))
            time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--life", type=float, nargs=2, default=(2.0, 6.0), help="seconds, at least and at most")
    options = parser.parse_args()
    Server(options.workers, options.life).serve()


if __name__ == "__main__":
    main()
