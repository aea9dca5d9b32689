#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether pyleak finds the planted leaks, how soon, and how well it knows their growth.

Each run attaches to a workload that has warmed up, and compares the reports with what the workload
itself says that it leaked. "Found" is the planted line in the first site of a report and of all
reports after it.
"""
import argparse
import dataclasses
import json
import statistics
import sys

import processes

FOUND_WITHIN_S = 20
RATE_WITHIN_PCT = 25
INSIDE_SHARE = 19 / 20
# The accounts come once a second: how much of a trace they may leave out at its two ends.
CLOCK_SLACK_S = 2.0

EPILOG = """\
The columns, over the runs of a workload:
  leak B/s   what it leaked while it was traced, median
  found s    from the start of pyleak until its first site was the planted line
             for good: median and worst; "never" counts as infinite
  error %    of the growth rate in the last report: median and worst
  inside     runs whose 95 % interval in the last report held the truth
  others     other sites with the verdict "leak" in the last report, worst
"""


@dataclasses.dataclass
class Run:
    """What one run found. Rates in bytes/s over the trace; slack: the true one's error."""

    found_s: float
    true_rate: float
    slack: float
    rate: float
    low: float
    high: float
    estimated: bool
    other_leaks: int
    lost: dict

    def error_pct(self):
        return (self.rate / self.true_rate - 1) * 100

    def inside(self):
        return self.low <= self.true_rate * (1 + self.slack) and self.high >= self.true_rate * (
            1 - self.slack
        )


def leads_to(site, path, line):
    """Whether the innermost frame of a site that lies in the file is on the line."""
    for frame in site["stack"]:
        if frame["kind"] == "python" and frame["file"] == path:
            return frame["line"] == line
    return False


def found_after(reports, is_planted, started):
    """Seconds from a start to the report from which on the planted line is the first site."""
    found = float("inf")
    for report in reports:
        if not report["sites"] or not is_planted(report["sites"][0]):
            found = float("inf")
        elif found == float("inf"):
            found = processes.monotonic_of(report["time"]) - started
    return found


def trace(running, options):
    """The reports of pyleak, attached for the time of a run; the last one is the one at its end."""
    arguments = [
        "-d",
        options.seconds,
        "-i",
        options.interval,
        "-t",
        options.sites,
        *options.pyleak_args,
    ]
    with processes.Tracer(running.pid, arguments) as tracer:
        tracer.wait_for(
            lambda message: message["type"] == "end", options.seconds + processes.PATIENCE_S
        )
        return tracer.started, tracer.reports()


def judge(running, started, reports):
    last = reports[-1]
    line = running.leak_line()

    def is_planted(site):
        return leads_to(site, str(running.path), line)

    end = processes.monotonic_of(last["time"])
    begin = end - last["elapsed_s"]
    planted = [site for site in last["sites"] if is_planted(site)]
    others = [site for site in last["sites"] if not is_planted(site)]
    return Run(
        found_s=found_after(reports, is_planted, started),
        true_rate=running.leak_rate(begin, end),
        slack=CLOCK_SLACK_S / (end - begin),
        rate=sum(site["growth_bytes_per_s"] for site in planted),
        low=sum(site["growth_bytes_per_s_low"] for site in planted),
        high=sum(site["growth_bytes_per_s_high"] for site in planted),
        estimated=any(site["estimated"] for site in planted),
        other_leaks=sum(site["verdict"] == "leak" for site in others),
        lost={reason: count for reason, count in last["tracing"]["lost"].items() if count},
    )


def run_once(workload, options):
    rate = ["--rate", options.rate] if options.rate else []
    with processes.Workload(workload, rate) as running:
        running.wait_until_warm(options.warm_up)
        return judge(running, *trace(running, options))


def missed_goals(runs):
    """Sentences."""
    missed = []
    late = sum(run.found_s > FOUND_WITHIN_S for run in runs)
    if late:
        missed.append("first site after %d s in %d of %d runs" % (FOUND_WITHIN_S, late, len(runs)))
    wrong = sum(abs(run.error_pct()) > RATE_WITHIN_PCT for run in runs)
    if wrong:
        missed.append(
            "rate off by more than %d %% in %d of %d runs" % (RATE_WITHIN_PCT, wrong, len(runs))
        )
    outside = sum(not run.inside() for run in runs)
    if outside > len(runs) * (1 - INSIDE_SHARE):
        missed.append("the truth was outside the interval in %d of %d runs" % (outside, len(runs)))
    return missed


ROW = "%-12s %5s %9s %6s %6s %7s %7s %7s %6s"
HEAD = ROW % (
    "workload",
    "runs",
    "leak B/s",
    "found",
    "worst",
    "error %",
    "worst",
    "inside",
    "others",
)


def seconds(value):
    return "never" if value == float("inf") else "%.1f" % value


def row(workload, runs):
    found = [run.found_s for run in runs]
    errors = [run.error_pct() for run in runs]
    return ROW % (
        workload,
        len(runs),
        "%.0f" % statistics.median(run.true_rate for run in runs),
        seconds(statistics.median_high(found)),
        seconds(max(found)),
        "%+.1f" % statistics.median(errors),
        "%+.1f" % max(errors, key=abs),
        "%d/%d" % (sum(run.inside() for run in runs), len(runs)),
        max(run.other_leaks for run in runs),
    )


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    processes.add_workloads_option(parser)
    parser.add_argument("--runs", type=int, default=1, help="of each workload (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="traced in a run (%(default)s)")
    parser.add_argument("--interval", type=float, default=5, help="between reports (%(default)s)")
    parser.add_argument("--sites", type=int, default=100, help="in a report (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds before (%(default)s)")
    parser.add_argument(
        "--rate", type=float, help="bytes to leak a second (each workload has its own)"
    )
    processes.add_pyleak_args_option(parser)
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    parser.add_argument("--check", action="store_true", help="exit 1 if a goal is missed")
    return parser.parse_args()


def run_workload(workload, options):
    """The runs that came to an end, and sentences about those that did not."""
    runs, failures = [], []
    for _ in range(options.runs):
        try:
            runs.append(run_once(workload, options))
        except processes.Failure as failure:
            failures.append(str(failure))
    return runs, failures


def main():
    options = parse_options()
    results, missed, failed = {}, {}, {}
    if not options.json:
        print(HEAD, flush=True)
    for workload in options.workloads:
        results[workload], failed[workload] = run_workload(workload, options)
        missed[workload] = missed_goals(results[workload])
        if results[workload] and not options.json:
            print(row(workload, results[workload]), flush=True)
    if options.json:
        runs = {
            name: [
                {**vars(run), "error_pct": run.error_pct(), "inside": run.inside()} for run in found
            ]
            for name, found in results.items()
        }
        json.dump({"workloads": runs, "missed": missed, "failed": failed}, sys.stdout, indent=1)
        print()
    else:
        for what, sentences in (("failed", failed), ("goal missed", missed)):
            for name, found in sentences.items():
                for sentence in found:
                    print("%s: %s: %s" % (what, name, sentence))
    return int(any(failed.values()) or (options.check and any(missed.values())))


if __name__ == "__main__":
    sys.exit(main())
