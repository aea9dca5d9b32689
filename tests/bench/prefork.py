#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether pyleak keeps track of a prefork server whose workers are restarted every few seconds, and stays small.

First under pyleak -p, which follows children, then under pyleak -a. Every worker that lived for a second must have had a
report; what was missed is shown by reason; pyleak itself must not grow, as soak.py measures it. Exits 1 if any of it is not so.
"""
import argparse
import collections
import re
import sys
import time

import processes
import soak

# A child counts from about a fifth of a second on (pyleak(1)); with -a it is noticed within a second.
NOTICED_S = 1.0


class HostTracer(processes.Tracer):
    """pyleak -a on the server and its workers; what it says of any of them is a report of the target's."""

    def __init__(self, pid, options):
        processes.Process.__init__(self, [processes.PROGRAM, "-a", "-j", "--match", "workloads/prefork.py", *options])
        self.target, self.attached = pid, time.monotonic()
        try:
            self.wait_for(lambda message: message["type"] == "header")
        except processes.Failure:
            self.kill()
            raise


class Prefork(soak.Soak):
    # How many workers are traced at a moment differs by one or two, with their files and threads.
    typical = max
    # With -a a worker may be traced for the first time long after the start: a step for the keeper.
    limits = {**soak.Soak.limits, "keeper_mib": 2}

    def __init__(self, options, tracer, workload):
        super().__init__(options, tracer, None, workload, workload.pid)
        self.born, self.gone = {}, {}
        self.reports = collections.Counter()
        self.traced, self.last = set(), set()
        self.lost = {}  # by pid, the latest
        self.traced_s = self.cost_s = self.largest_cost = 0.0

    def last_reports(self):
        """Takes note of all that came, and forgets it; the latest report of each process."""
        with self.tracer.changed:
            messages = [each for each in self.tracer.messages if each["type"] == "report"]
            del self.tracer.messages[:]
        for report in messages:
            pid = report["pid"]
            self.reports[pid] += 1
            self.lost[pid] = report["tracing"]["lost"]
            if report["state"] == "traced":
                self.traced.add(pid)
                self.traced_s += report["interval_s"]
                self.cost_s += report["interval_s"] * report["tracing"]["overhead_pct"] / 100
                self.largest_cost = max(self.largest_cost, report["tracing"]["overhead_pct"])
            if report["last"]:
                self.last.add(pid)
        return list({report["pid"]: report for report in messages}.values())

    def work_done(self):
        with self.workload.changed:
            for message in self.workload.messages:
                if "born" in message:
                    self.born[message["worker"]] = message["born"]
                elif "gone" in message:
                    self.gone[message["worker"]] = message["gone"]
        return super().work_done()

    def all_lost(self):
        """{reason: count} over all processes there have been."""
        sums = collections.Counter()
        for lost in self.lost.values():
            sums.update(lost)
        return {reason: count for reason, count in sums.items() if count}

    def verdict(self):
        self.last_reports()
        self.work_done()
        growth, wrong = super().verdict()
        due = {pid for pid, born in self.born.items()
               if self.began < born and self.gone.get(pid, self.ended) - born >= NOTICED_S and born < self.ended - NOTICED_S}
        unseen = due - set(self.reports)
        # Those that pyleak itself says it missed are explained.
        self.tracer.errors.seek(0)
        said = re.findall(r"missed processes: (\d+)", self.tracer.errors.read().decode())
        explained = int(said[-1]) if said else 0
        unfinished = {pid for pid in due - unseen if pid in self.gone and self.gone[pid] < self.ended - NOTICED_S} - self.last
        print("workers: %d were due a report, %d had none (%d said to be missed); %d were traced; %d that exited had no last one; %d reports" % (
            len(due), len(unseen), explained, len(due & self.traced), len(unfinished), sum(self.reports.values())))
        print("lost: %s" % (self.all_lost() or "nothing"))
        print("cost to those traced: %.2f %% of their time, %.1f %% over the worst interval of one" % (
            100 * self.cost_s / max(self.traced_s, 1e-9), self.largest_cost))
        if not due:
            wrong.append("no worker was due a report")
        if len(unseen) > explained:
            wrong.append("%d workers were never seen" % len(unseen))
        if unfinished:
            wrong.append("%d workers that exited had no last report" % len(unfinished))
        return growth, wrong


MODES = {"children": processes.Tracer, "host": HostTracer}


def measure(mode, options):
    print("== pyleak %s" % ("-a" if mode == "host" else "-p PID"), flush=True)
    with processes.Workload("prefork", ["--workers", options.workers]) as workload:
        workload.progress_from(0)
        with MODES[mode](workload.pid, ["-i", options.interval, *options.pyleak_args]) as tracer:
            return soak.watch(Prefork(options, tracer, workload))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    soak.add_options(parser, minutes=10)
    parser.add_argument("--workers", type=int, default=8, help="(%(default)s)")
    parser.add_argument("--mode", choices=MODES, help="only this one")
    return parser.parse_args()


def main():
    options = parse()
    try:
        wrong = [measure(mode, options) for mode in ([options.mode] if options.mode else MODES)]
    except processes.Failure as failure:
        print("prefork: %s" % failure, file=sys.stderr)
        return 1
    return int(any(wrong))


if __name__ == "__main__":
    sys.exit(main())
