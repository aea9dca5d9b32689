#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of SCENARIOS over seeds and interpreters: `make check-cases`. See docs/cases.md for its table.

Several programs run at once, each traced by a pyleak of its own in the default mode. Of a leak's runs it counts those
whose expected line leads the report with the verdict "leak", sure enough and in time; of the others' runs, those where
nothing was called a leak in three minutes. Status 1 if any run fails.
"""
import argparse
import concurrent.futures
import os
import statistics
import sys
import traceback

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e")]

import cases  # noqa: E402  (its folder has only just been added)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases (all)")
    parser.add_argument("--runs", type=int, default=20, help="of each, dealt out to its interpreters (%(default)s)")
    parser.add_argument("--jobs", type=int, default=12, help="programs at once (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="how long each is watched (60 for leaks, 180 for the others)")
    parser.add_argument("--interval", type=float, help="of the reports (pyleak's default)")
    parser.add_argument("--record", metavar="FOLDER", help="keep the snapshots of each run there")
    options = parser.parse_args()
    unknown = set(options.names) - {case.name for case in cases.CASES}
    if unknown:
        parser.error("no such case: %s; there are %s" % (" ".join(unknown), " ".join(map(repr, cases.CASES))))
    return options


def run(options, case, python, seed):
    recording = None
    if options.record:
        recording = os.path.join(options.record, "%s-%s-%d.ndjson" % (case, python, seed))
    seconds = options.seconds or (cases.WITHIN + 0.5 if case.leak else cases.WATCHED)
    more = ["-i", options.interval] if options.interval else []
    try:
        outcome = cases.run(case, python, seed, seconds, *more, recording=recording)
    except Exception:
        traceback.print_exc()
        return None
    if case.leak:
        good = outcome.found_s is not None and outcome.found_s < cases.WITHIN + 1
    else:
        good = not outcome.false
    print("%s %-22s %-11s seed %-3d %s%s" % (
        "ok  " if good else "FAIL", case, python, seed,
        "found %s s, led from %s s, confidence %.3f" % (
            outcome.found_s and round(outcome.found_s), outcome.first_s and round(outcome.first_s), outcome.confidence)
        if case.leak else "", "  other leaks: %s" % outcome.false[:4] if outcome.false else ""), flush=True)
    return good, outcome


def table(results):
    """The rows of docs/cases.md."""
    yield "| case | runs | right | seconds to verdict, median and most | confidence, median and least | other lines called leaks |"
    yield "|---|---|---|---|---|---|"
    for case, outcomes in results.items():
        right = sum(good for good, _ in outcomes)
        found = sorted(outcome.found_s for _, outcome in outcomes if outcome.found_s)
        sure = [outcome.confidence for _, outcome in outcomes]
        others = sum(bool(outcome.false) for _, outcome in outcomes)
        row = [str(case), str(len(outcomes)), "%d" % right, "", "", "in %d runs" % others if others else "none"]
        if case.leak and found:
            row[3:5] = ["%.0f, %.0f" % (statistics.median(found), found[-1]),
                        "%.2f, %.2f" % (statistics.median(sure), min(sure))]
        yield "| " + " | ".join(row) + " |"


def main():
    options = arguments()
    if options.record:
        os.makedirs(options.record, exist_ok=True)
    jobs = []
    for seed in range(options.first_seed, options.first_seed + options.runs):
        for case in cases.CASES:
            if not options.names or case.name in options.names:
                jobs.append((case, case.pythons[seed % len(case.pythons)], seed))
    results, failed = {}, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for job, result in zip(jobs, pool.map(lambda job: run(options, *job), jobs)):
            failed += not (result and result[0])
            if result:
                results.setdefault(job[0], []).append(result)
    print("\n".join(table(results)))
    if failed:
        print("%d of %d runs failed" % (failed, len(jobs)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
