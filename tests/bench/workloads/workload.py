# SPDX-License-Identifier: GPL-2.0-or-later
"""What the workloads share: options, the planted leak and its accounts, progress once a second.

A workload does real work in a loop and leaks on the one line of its file that is marked LEAK, about
0.1 % of its allocations (arrays and idle_service: 0.5 %). Once a second it says, as JSON, a line:

    {"t": CLOCK_MONOTONIC in s, "operations": 1, "leaked_blocks": 1, "leaked_bytes": 1}

all counted from its start. Bytes are block sizes, what the process really pays. The first line
comes once the workload has warmed up and leaks; services add lines about latency: see client.py.

Real leaks come with the work, not with the clock: a program that is slowed down leaks less a
second. So the first seconds measure how many operations a second the program does, and every
operation then leaks its share of the rate. The lines of progress say what it was in the end.
"""
import argparse
import json
import os
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "oracles")]

import blocks  # noqa: E402  (its folder has only just been added)

CALIBRATION_S = 2.0


class Kept:
    """Keeps what leaked, in a chain: one block, of no free list; no table that grows in jumps."""

    __slots__ = ("previous", "thing")

    def __init__(self, previous, thing):
        self.previous, self.thing = previous, thing


KEPT_BLOCK = blocks.block(sys.getsizeof(Kept(None, None)))


def object_block(example):
    """Bytes of the one block that an object like the example takes; its GC header is part of it."""
    return blocks.block(sys.getsizeof(example))


class Account:
    """What one thread has done and leaked. Not shared between threads without a lock."""

    def __init__(self):
        self.operations = 0
        self.leaked = 0
        self.leaks_per_operation = 0.0
        self.owed = 0.0
        self.kept = None

    def due(self):
        """To be called once an operation: how many things it must leak."""
        self.operations += 1
        self.owed += self.leaks_per_operation
        count = int(self.owed)
        self.owed -= count
        self.leaked += count
        return count


class Workload:
    """sizes: of a leaked thing's blocks, without its Kept. rate: bytes to leak a second."""

    def __init__(self, description, sizes, rate):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--seconds", type=float, default=0, help="stop after this long (never)")
        parser.add_argument(
            "--rate", type=float, default=rate, help="bytes to leak a second (%(default)s)"
        )
        parser.add_argument("--no-leak", action="store_true", help="only the work")
        options = parser.parse_args()
        self.sizes = (KEPT_BLOCK, *sizes)
        self.rate = 0.0 if options.no_leak else options.rate
        self.seconds = options.seconds or float("inf")
        self.accounts = []
        self.start = self.next_line = None
        self.operations_at_start = 0
        self.calibrated = False

    def account(self):
        account = Account()
        self.accounts.append(account)
        return account

    def run(self, operation):
        """For one thread: operation(account, due) works once and leaks what is due."""
        account = self.account()
        while self.goes_on():
            operation(account, account.due())

    def goes_on(self):
        """Called once an operation or ten times a second: says progress. False at the end."""
        now = time.monotonic()
        if self.start is None:
            self._start(now)
            return True
        if now < self.next_line:
            return True
        if not self.calibrated:
            self._calibrate(now)
        self._say_progress(now)
        self.next_line = max(self.next_line + 1.0, now)
        return now - self.start < self.seconds

    def wait(self):
        """For a thread that only reports, while others work. Returns when the time is up."""
        while self.goes_on():
            time.sleep(0.02)

    def _start(self, now):
        """Starts the clock once something has been done: imports and first uses are no measure."""
        self.operations_at_start = self._operations()
        if self.operations_at_start:
            self.start, self.next_line = now, now + CALIBRATION_S

    def _calibrate(self, now):
        per_second = (self._operations() - self.operations_at_start) / (now - self.start)
        for account in self.accounts:
            account.leaks_per_operation = self.rate / sum(self.sizes) / max(per_second, 0.1)
        self.calibrated = True

    def _operations(self):
        return sum(account.operations for account in self.accounts)

    def _say_progress(self, now):
        leaked = sum(account.leaked for account in self.accounts)
        line = {
            "t": now,
            "operations": self._operations(),
            "leaked_blocks": leaked * len(self.sizes),
            "leaked_bytes": leaked * sum(self.sizes),
        }
        # One write a line: a client writes into the same pipe.
        os.write(sys.stdout.fileno(), (json.dumps(line) + "\n").encode())
