#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What tracing costs the traced: eight workloads alone and under pyleak, tracemalloc and memray.

pyleak attaches to a running workload and leaves it, again and again: alone, traced, alone, ...,
alone. The other tools need a start of their own: fresh processes take turns, alone, tool, tool,
alone, ... Throughput is that of whole phases: a median of seconds would not see rare windows.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import processes
from workloads import latency

GOALS = {
    "throughput": 0.98,
    "tracer_cpu_pct": 3.0,
    "tracer_memory_bytes": 100e6,
    "p99_growth_ms": 30.0,
}

EPILOG = """\
The columns, each the median of the phases:
  alone/s  operations a second without the tool     p50, p99  latency seen by the client,
  ratio    operations with the tool / without,                with the tool / without
           each phase against its neighbours        cpu %     of one core, pyleak and its keeper
  noise    standard error of ratio, in percent      MiB       the most pyleak held,
  cpu/op   the workload's CPU time for one                    kernel maps included
           operation, with / without

memray comes with Debian 13. For a folder that has it, 500 MB, as root:
  apt-get install debootstrap
  debootstrap --variant=minbase --include=python3,python3-memray,\\
python3-numpy,python3-matplotlib,python3-lxml trixie /tmp/trixie
and then --trixie /tmp/trixie. Its tools are compared with its own Python.
Leave the machine alone meanwhile: compare noise with what you want to see. Where
2 % cannot be seen, --pyleak-args "--overhead 20" can, and --json has what pyleak
claimed (claimed_overhead_pct, of the time left to the workload): if that is
right at 20 %, it is at 2 %.
"""


@dataclasses.dataclass
class Phase:
    """What a workload did between two lines of its progress."""

    operations_per_s: float
    cpu_s_per_operation: float
    histogram: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Tool:
    """One way to start a workload."""

    name: str
    prefix: list
    folder: pathlib.Path = processes.WORKLOADS
    environment: dict = None

    def start(self, workload):
        return processes.Workload(workload, (), self.prefix, self.folder, self.environment)


def measure(running, seconds):
    begin = running.progress_from(time.monotonic())
    cpu = processes.cpu_seconds(running.pid)
    end = running.progress_from(begin["t"] + seconds, seconds + processes.PATIENCE_S)
    cpu = processes.cpu_seconds(running.pid) - cpu
    operations = end["operations"] - begin["operations"]
    if not operations:
        raise processes.Failure("%s stood still" % running.path.name)
    phase = Phase(operations / (end["t"] - begin["t"]), cpu / operations)
    for histogram in running.latencies(begin["t"], end["t"]):
        latency.add(phase.histogram, {int(bucket): count for bucket, count in histogram.items()})
    return phase


def median(phases, attribute):
    return statistics.median(getattr(phase, attribute) for phase in phases)


def quantile_ms(phases, fraction):
    """The median of the phases, so that no disturbed one decides. None without requests."""
    found = [latency.quantile(phase.histogram, fraction) for phase in phases if phase.histogram]
    return statistics.median(found) * 1e3 if found else None


def neighbours(alone, i, attribute):
    """The mean of the phases without the tool next to the i-th one with it: the machine drifts."""
    return statistics.mean(getattr(phase, attribute) for phase in alone[i : i + 2])


def paired(alone, traced, attribute):
    """Ratios to the neighbours."""
    return [
        getattr(phase, attribute) / neighbours(alone, i, attribute)
        for i, phase in enumerate(traced)
    ]


def error_of_median(values):
    """Its standard error, from the median distance to it: 1.2533 sigma / sqrt(n), as of a normal
    distribution. None of a single value."""
    if len(values) < 2:
        return None
    middle = statistics.median(values)
    sigma = 1.4826 * statistics.median(abs(value - middle) for value in values)
    return 1.2533 * sigma / len(values) ** 0.5


def compare(alone, traced):
    """Ratios are of what the tool leads to and what there is without."""
    ratios = paired(alone, traced, "operations_per_s")
    error = error_of_median(ratios)
    result = {
        "alone_per_s": median(alone, "operations_per_s"),
        "throughput": statistics.median(ratios),
        "noise_pct": error and error * 100,
        "cpu_per_operation": statistics.median(paired(alone, traced, "cpu_s_per_operation")),
        "alone": [phase.operations_per_s for phase in alone],
        "traced": [phase.operations_per_s for phase in traced],
    }
    for name, fraction in (("p50", 0.5), ("p99", 0.99)):
        before, after = quantile_ms(alone, fraction), quantile_ms(traced, fraction)
        if before and after:
            result.update(
                {name: after / before, name + "_alone_ms": before, name + "_traced_ms": after}
            )
    return result


def trace_once(running, options):
    """A phase under pyleak, and what pyleak itself took."""
    with processes.Tracer(running.pid, options.pyleak_args) as tracer:
        begin, cpu = time.monotonic(), tracer.cpu_seconds()
        phase = measure(running, options.seconds)
        cost = {
            "attach_s": tracer.attached - tracer.started,
            "startup_cpu_s": cpu,
            "cpu_pct": (tracer.cpu_seconds() - cpu) / (time.monotonic() - begin) * 100,
            **tracer.memory(),
        }
        last = tracer.finish()
    return phase, {**cost, "claimed_overhead_pct": last["tracing"]["overhead_pct"]}


def under_pyleak(workload, options):
    with processes.Workload(workload) as running:
        running.wait_until_warm(options.warm_up)
        alone, traced, costs = [measure(running, options.seconds)], [], []
        for _ in range(options.phases):
            phase, cost = trace_once(running, options)
            traced.append(phase)
            costs.append(cost)
            alone.append(measure(running, options.seconds))
    result = compare(alone, traced)
    result["tracer_cpu_pct"] = statistics.median(cost["cpu_pct"] for cost in costs)
    result["tracer_memory_bytes"] = max(cost["own"] + cost["maps"] for cost in costs)
    result["tracer"] = costs
    return result


def start_and_measure(tool, workload, options):
    with tool.start(workload) as running:
        running.wait_until_warm(options.warm_up)
        return measure(running, options.seconds)


def under_tools(workload, tools, options):
    """{tool: result} of tools that are there from the start; the first one is Python alone."""
    phases, failed = {tool.name: [] for tool in tools}, {}
    for _ in range(options.phases):
        for tool in tools:
            if tool.name in failed:
                continue
            try:
                phases[tool.name].append(start_and_measure(tool, workload, options))
            except processes.Failure as failure:
                failed[tool.name] = str(failure)
    plain = tools[0].name
    if plain in failed:
        return {tool.name: {"failed": failed[plain]} for tool in tools[1:]}
    return {
        tool.name: {"failed": failed[tool.name]}
        if tool.name in failed
        else compare(phases[plain], phases[tool.name])
        for tool in tools[1:]
    }


def tracemalloc_tools():
    python = processes.PYTHON
    return [
        Tool("alone", [python]),
        *(
            Tool("tracemalloc %d" % frames, [python, "-X", "tracemalloc=%d" % frames])
            for frames in (1, 25)
        ),
    ]


def memray_tools(trixie, scratch):
    """Tools inside a folder with Debian 13, in a mount namespace that ends with the workload."""
    script = (
        'mount -t proc proc "$0/proc" && mount --bind "$1" "$0/mnt" && mount --bind "$2" "$0/media"'
        ' && root="$0" && shift 2 && exec chroot "$root" "$@"'
    )
    enter = ["unshare", "--mount", "sh", "-c", script, trixie, processes.TOP / "tests", scratch]
    memray = [
        "/usr/bin/python3",
        "-m",
        "memray",
        "run",
        "--force",
        "--quiet",
        "--output",
        "/media/memray.bin",
    ]
    folder = pathlib.Path("/mnt/bench/workloads")
    # Debian 13's memray loads libunwind, whose _Unwind_* functions crash matplotlib's C++ unless
    # libgcc's come first (memray 1.17, matplotlib 3.10: import memray, matplotlib).
    environment = {"LD_PRELOAD": "libgcc_s.so.1"}
    return [
        Tool("alone", [*enter, "/usr/bin/python3"], folder, environment),
        Tool("memray", [*enter, *memray], folder, environment),
        Tool("memray python", [*enter, *memray, "--trace-python-allocators"], folder, environment),
    ]


def run_workload(workload, options):
    """Yields (tool, result)."""
    if "pyleak" in options.tools:
        try:
            yield "pyleak", under_pyleak(workload, options)
        except processes.Failure as failure:
            yield "pyleak", {"failed": str(failure)}
    if "tracemalloc" in options.tools:
        yield from under_tools(workload, tracemalloc_tools(), options).items()
    if "memray" in options.tools:
        with tempfile.TemporaryDirectory(dir=os.path.join(options.trixie, "var", "tmp")) as scratch:
            yield from under_tools(workload, memray_tools(options.trixie, scratch), options).items()


def missed_goals(result):
    """Sentences; pyleak's results only."""
    if "failed" in result:
        return [result["failed"]]
    missed = []
    if result["throughput"] < GOALS["throughput"]:
        missed.append(
            "throughput %.3f of untraced, at least %.2f wanted"
            % (result["throughput"], GOALS["throughput"])
        )
    for name, unit, scale in (
        ("tracer_cpu_pct", "% of a core", 1),
        ("tracer_memory_bytes", "MB", 1e6),
    ):
        if result[name] > GOALS[name]:
            missed.append(
                "%s %.1f %s, at most %.0f wanted"
                % (
                    name.rsplit("_", 1)[0].replace("_", " "),
                    result[name] / scale,
                    unit,
                    GOALS[name] / scale,
                )
            )
    growth = result.get("p99_traced_ms", 0) - result.get("p99_alone_ms", 0)
    if growth > GOALS["p99_growth_ms"]:
        missed.append("p99 grew by %.1f ms, at most %.0f wanted" % (growth, GOALS["p99_growth_ms"]))
    return missed


ROW = "%-12s %-14s %8s %6s %5s %6s %5s %5s %5s %4s"
HEAD = ROW % (
    "workload",
    "under",
    "alone/s",
    "ratio",
    "noise",
    "cpu/op",
    "p50",
    "p99",
    "cpu %",
    "MiB",
)


def shown(value, form="%.2f"):
    """A figure in five columns or less; nothing where there is none."""
    if value is None:
        return ""
    return form % value if value < 100 else "%.0f" % value


def row(workload, tool, result):
    if "failed" in result:
        return "%-12s %-14s failed: %s" % (workload, tool, result["failed"][:43])
    memory = result.get("tracer_memory_bytes")
    return ROW % (
        workload,
        tool,
        shown(result["alone_per_s"], "%.1f"),
        "%.3f" % result["throughput"],
        shown(result["noise_pct"], "%.1f"),
        shown(result["cpu_per_operation"]),
        shown(result.get("p50")),
        shown(result.get("p99")),
        shown(result.get("tracer_cpu_pct"), "%.1f"),
        shown(memory and memory / 2**20, "%.0f"),
    )


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tools = ("pyleak", "tracemalloc", "memray")
    processes.add_workloads_option(parser)
    parser.add_argument(
        "--tools",
        type=processes.list_of(tools),
        metavar="NAME,...",
        help="of %s (all, memray only with --trixie)" % ", ".join(tools),
    )
    parser.add_argument("--phases", type=int, default=3, help="traced phases (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of a phase (%(default)s)")
    parser.add_argument(
        "--warm-up", type=float, default=3, help="seconds before the first phase (%(default)s)"
    )
    processes.add_pyleak_args_option(parser)
    parser.add_argument(
        "--trixie", metavar="FOLDER", help="Debian 13 with python3-memray, see below"
    )
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    parser.add_argument("--check", action="store_true", help="exit 1 if pyleak misses a goal")
    options = parser.parse_args()
    if options.tools is None:
        options.tools = [tool for tool in tools if tool != "memray" or options.trixie]
    if "memray" in options.tools and not options.trixie:
        parser.error("memray needs --trixie FOLDER")
    return options


def main():
    options = parse_options()
    results, load = {}, os.getloadavg()[0]
    if not options.json:
        print(HEAD, flush=True)
    for workload in options.workloads:
        results[workload] = {}
        for tool, result in run_workload(workload, options):
            results[workload][tool] = result
            if not options.json:
                print(row(workload, tool, result), flush=True)
    missed = {
        name: missed_goals(found["pyleak"]) for name, found in results.items() if "pyleak" in found
    }
    if options.json:
        json.dump(
            {"load_at_start": load, "workloads": results, "missed": missed}, sys.stdout, indent=1
        )
        print()
    else:
        print("\nload of this host at the start: %.1f on %d cores" % (load, os.cpu_count()))
        for name, sentences in missed.items():
            for sentence in sentences:
                print("goal missed: %s: %s" % (name, sentence))
    failed = any("failed" in result for found in results.values() for result in found.values())
    return int(failed or (options.check and any(missed.values())))


if __name__ == "__main__":
    sys.exit(main())
