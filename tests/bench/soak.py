#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether pyleak itself stays as small at the end of a long trace as it was at its beginning.

Attaches to a workload of its own (or to --pid) and samples pyleak every few seconds: resident
memory (its keepers' too), BPF maps, open files, threads, CPU, and what it says it costs. With
--serve it is `pyleak serve`, and /metrics is scraped every second beside the other endpoints.
Exits 1 if memory or files grew, a scrape failed or took 5 s, or pyleak ended badly.
"""
import argparse
import json
import os
import signal
import statistics
import sys
import time
import urllib.request

import processes

WARM_UP_SHARE = 0.2  # of the samples: tables and caches fill
SCRAPE_PERIOD_S = 1.0
PROFILE_PERIOD_S = 10.0
SCRAPE_TIMEOUT_S = 5.0

COLUMNS = (
    ("minute", "%7.1f"), ("rss_mib", "%8.1f"), ("keeper_mib", "%10.1f"), ("maps_mib", "%8.1f"),
    ("files", "%5d"), ("threads", "%7d"), ("cpu_pct", "%7.2f"), ("cost_pct", "%8.2f"),
    ("sites", "%5d"), ("lost", "%5d"), ("ops_per_s", "%9.0f"), ("scrapes", "%7d"),
    ("slowest_ms", "%10.1f"),
)  # fmt: skip


def status_field(pid, name):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def children(pid):
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                found += [int(word) for word in file.read().split()]
        except FileNotFoundError:
            pass  # a thread that removes probes lives for a moment only
    return found


class Scraper:
    """Asks `pyleak serve` as Prometheus and a profile collector would. Errors are kept, not raised."""

    def __init__(self, address):
        self.address, self.count, self.slowest, self.errors = address, 0, 0.0, []
        self.next_metrics = self.next_profile = 0.0
        self.text = b""

    def get(self, path):
        began = time.monotonic()
        try:
            with urllib.request.urlopen(
                "http://%s%s" % (self.address, path), timeout=SCRAPE_TIMEOUT_S
            ) as answer:
                body = answer.read()
        except OSError as error:
            self.errors.append("%s: %s" % (path, error))
            return b""
        self.count += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        return body

    def due(self, pid, now):
        if now >= self.next_metrics:
            self.next_metrics = now + SCRAPE_PERIOD_S
            self.text = self.get("/metrics")
        if now >= self.next_profile:
            self.next_profile = now + PROFILE_PERIOD_S
            self.get("/debug/pprof/heap?pid=%d" % pid)
            self.get("/api/report")

    def report(self):
        """The last report of each target, as --json has it."""
        body = self.get("/api/report")
        return json.loads(body)["reports"] if body else []


class Served(processes.Tracer):
    """pyleak serve: it says nothing on standard output, so there is no header to wait for."""

    def __init__(self, pid, options):
        command = [processes.PROGRAM, "serve", "-p", pid, "--listen", options.listen]
        processes.Process.__init__(
            self, [*command, "-i", options.interval, *options.pyleak_args]
        )


class Soak:
    # Of the samples of a quarter, the one that stands for it.
    typical = staticmethod(statistics.median)
    # Most that each may grow by after the warm-up; MiB or a number. rss_mib: --growth-limit.
    limits = {"keeper_mib": 1, "maps_mib": 1, "files": 2, "threads": 2}

    def __init__(self, options, tracer, scraper, workload, pid):
        self.options, self.tracer, self.scraper = options, tracer, scraper
        self.workload, self.pid = workload, pid
        self.began = self.sampled = self.ended = time.monotonic()
        self.cpu = self.cpu_seconds()
        self.operations = None
        self.samples = []

    def cpu_seconds(self):
        pids = [self.tracer.pid, *children(self.tracer.pid)]
        return sum(processes.cpu_seconds(pid) for pid in pids)

    def last_reports(self):
        if self.scraper:
            return self.scraper.report()
        with self.tracer.changed:
            reports = [each for each in self.tracer.messages if each["type"] == "report"][-1:]
            del self.tracer.messages[:]  # an hour of them is not for this process to keep
            self.tracer.messages.extend(reports)
        return reports

    def work_done(self):
        """Operations a second of the workload since the last sample."""
        if not self.workload:
            return 0.0
        with self.workload.changed:
            lines = [each for each in self.workload.messages if "operations" in each][-1:]
            del self.workload.messages[:]
            self.workload.messages.extend(lines)
        before, self.operations = self.operations, lines[0] if lines else self.operations
        if not before or not lines or lines[0]["t"] <= before["t"]:
            return 0.0
        done = lines[0]["operations"] - before["operations"]
        return done / (lines[0]["t"] - before["t"])

    def sample(self):
        now, cpu = time.monotonic(), self.cpu_seconds()
        reports = self.last_reports()
        keepers = children(self.tracer.pid)
        sample = {
            "minute": (now - self.began) / 60,
            "rss_mib": status_field(self.tracer.pid, "VmRSS") / 1024,
            "keeper_mib": sum(status_field(pid, "VmRSS") for pid in keepers) / 1024,
            "maps_mib": self.tracer.memory()["maps"] / 2**20,
            "files": len(os.listdir("/proc/%d/fd" % self.tracer.pid)),
            "threads": status_field(self.tracer.pid, "Threads"),
            "cpu_pct": (cpu - self.cpu) / (now - self.sampled) * 100,
            "cost_pct": max((each["tracing"]["overhead_pct"] for each in reports), default=0.0),
            "sites": sum(each["sites_total"] for each in reports),
            "lost": sum(sum(each["tracing"]["lost"].values()) for each in reports),
            "ops_per_s": self.work_done(),
            "scrapes": self.scraper.count if self.scraper else 0,
            "slowest_ms": self.scraper.slowest * 1e3 if self.scraper else 0.0,
        }
        self.cpu, self.sampled = cpu, now
        self.samples.append(sample)
        return sample

    def run(self):
        end, next_sample = self.began + self.options.minutes * 60, self.began + self.options.every
        while time.monotonic() < end:
            now = time.monotonic()
            if self.scraper:
                self.scraper.due(self.pid, now)
            if self.tracer.child.poll() is not None:
                raise processes.Failure(self.tracer.complaint())
            if now >= next_sample:
                next_sample = max(next_sample + self.options.every, now)
                show(self.sample())
            time.sleep(0.05)
        self.ended = time.monotonic()

    def verdict(self):
        """What is wrong, as sentences; and the growth of what must not grow."""
        warm = self.samples[int(len(self.samples) * WARM_UP_SHARE) :]
        quarter = max(len(warm) // 4, 1)
        growth = {
            name: self.typical(each[name] for each in warm[-quarter:])
            - self.typical(each[name] for each in warm[:quarter])
            for name in ("rss_mib", "keeper_mib", "maps_mib", "files", "threads")
        }
        limits = {"rss_mib": self.options.growth_limit, **self.limits}
        wrong = [
            "%s grew by %.1f, more than %g" % (name, growth[name], limit)
            for name, limit in limits.items()
            if growth[name] > limit
        ]
        if self.scraper and self.scraper.errors:
            wrong.append(
                "%d scrapes failed, first: %s" % (len(self.scraper.errors), self.scraper.errors[0])
            )
        return growth, wrong


def show(sample):
    print(" ".join(form % sample[name] for name, form in COLUMNS), flush=True)


def show_head():
    widths = [int(form[1:].split(".")[0].rstrip("df")) for _, form in COLUMNS]
    print(" ".join("%*s" % (width, name) for (name, _), width in zip(COLUMNS, widths)), flush=True)


def wait_until_served(tracer, scraper):
    deadline = time.monotonic() + processes.PATIENCE_S
    while scraper.get("/healthz") == b"":
        if time.monotonic() > deadline or tracer.child.poll() is not None:
            raise processes.Failure(tracer.complaint())
        time.sleep(0.1)
    scraper.errors.clear()
    scraper.slowest = 0.0


def start_tracer(pid, options):
    """pyleak, attached, and the scraper of what it serves, or None."""
    if not options.serve:
        return processes.Tracer(pid, ["-i", options.interval, *options.pyleak_args]), None
    tracer = Served(pid, options)
    scraper = Scraper(options.listen)
    try:
        wait_until_served(tracer, scraper)
    except processes.Failure:
        tracer.kill()
        raise
    return tracer, scraper


def watch(running):
    """A Soak from its first sample to what it came to, which is printed. True: something is wrong."""
    options, tracer = running.options, running.tracer
    show_head()
    running.run()
    tracer.child.send_signal(signal.SIGINT)
    status = tracer.child.wait(processes.PATIENCE_S)
    tracer.reader.join()
    if not running.samples:
        raise processes.Failure("no sample: --every is longer than --minutes")
    growth, wrong = running.verdict()
    if status:
        wrong.append("pyleak ended with status %d" % status)
    print("growth after warm-up: " + ", ".join("%s %+.1f" % each for each in growth.items()))
    # The medians of the first and the last quarter are three quarters of the warm time apart. A
    # short run stays below any limit: this is what it would come to.
    hours = options.minutes / 60 * (1 - WARM_UP_SHARE) * 0.75
    print("at this pace: rss_mib %+.1f an hour" % (growth["rss_mib"] / hours))
    print("; ".join(wrong) or "within the limits")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"samples": running.samples, "growth": growth, "wrong": wrong}, file)
    return bool(wrong)


def soak(workload, pid, options):
    tracer, scraper = start_tracer(pid, options)
    with tracer:
        return watch(Soak(options, tracer, scraper, workload, pid))


def add_options(parser, minutes):
    """Those that every long run has."""
    parser.add_argument("--minutes", type=float, default=minutes, help="how long (%(default)s)")
    parser.add_argument("--every", type=float, default=30, help="seconds a sample (%(default)s)")
    parser.add_argument("--interval", default="10", help="of pyleak's reports (%(default)s)")
    parser.add_argument(
        "--growth-limit", type=float, default=4, metavar="MIB",
        help="most that pyleak's RSS may grow after the warm-up (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="the samples, too")
    parser.add_argument("pyleak_args", nargs="*", help="options for pyleak, after --")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, minutes=60)
    parser.add_argument("--serve", action="store_true", help="pyleak serve, scraped every second")
    parser.add_argument("--listen", default="127.0.0.1:9464", help="of --serve (%(default)s)")
    parser.add_argument(
        "--workload", choices=processes.NAMES, default="json_service", help="(%(default)s)"
    )
    parser.add_argument("--rate", type=float, metavar="BYTES", help="that the workload leaks a second")
    parser.add_argument("--pid", type=int, help="trace this process instead of a workload")
    return parser.parse_args()


def main():
    options = parse()
    try:
        if options.pid:
            return soak(None, options.pid, options)
        leak = [] if options.rate is None else ["--rate", options.rate]
        with processes.Workload(options.workload, leak) as workload:
            workload.wait_until_warm(2)
            return soak(workload, workload.pid, options)
    except processes.Failure as failure:
        print("soak: %s" % failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
