# SPDX-License-Identifier: GPL-2.0-or-later
"""What exact tracing costs, in figures of this machine. Run by `make bench`, as root; prints one table.

Each cost is the difference of the same work without (A) and with (B) the tracer, in the order A B A B A B, best of each,
so that a drift of the machine falls on both. The kernel's own statistics say how long the BPF programs ran.
"""
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import pyleak

ROUNDS = 3
ALLOCATIONS = 300000
STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"


def held(kind, pid):
    """The BPF objects of a kind that a process has open."""
    open_now = pyleak.bpf_objects_of(pid)
    return [each for each in pyleak.bpf_objects(kind) if (kind, each["id"]) in open_now]


def run_times(pid):
    """{program: (nanoseconds, runs)} of what a tracer has loaded, since it was loaded."""
    return {each["id"]: (each["name"], each.get("run_time_ns", 0), each.get("run_cnt", 0)) for each in held("prog", pid)}


def seen(report, family):
    return next(each["allocs"] for each in report["tracing"]["families"] if each["name"] == family)


def cost(target, family, *words):
    """One row: nanoseconds an allocation without and with tracing, BPF time, traps an allocation."""
    plain, traced, bpf_ns, traps, allocations = [], [], 0, 0, 0
    for _ in range(ROUNDS):
        plain.append(target.ask(*words))
        with pyleak.attach(target) as tracer:
            first = tracer.reports[-1]
            before = run_times(tracer.pid)
            traced.append(target.ask(*words))
            after = run_times(tracer.pid)
            allocations += seen(tracer.finish(), family) - seen(first, family)
            for key, (_, nanoseconds, runs) in after.items():
                bpf_ns += nanoseconds - before[key][1]
                traps += runs - before[key][2]
    count = int(words[-1])
    return {
        "untraced": min(plain) / count * 1e9,
        "traced": min(traced) / count * 1e9,
        "bpf": bpf_ns / max(traps, 1),
        "traps": traps / max(allocations, 1),
    }


def show_costs(python):
    print("\n%s" % python.name)
    print("  %-34s %9s %9s %9s %9s %7s" % ("ns an allocation", "untraced", "traced", "added", "BPF/trap", "traps"))
    with pyleak.Target("work.py", python) as target:
        for label, family, words in (
            ("pymalloc, 5 Python frames", "pymalloc", ("pymalloc", "5", str(ALLOCATIONS))),
            ("pymalloc, 20 Python frames", "pymalloc", ("pymalloc", "20", str(ALLOCATIONS))),
            ("malloc and free, 4 Python frames", "malloc", ("malloc", str(ALLOCATIONS))),
        ):
            row = cost(target, family, *words)
            print("  %-34s %9.0f %9.0f %9.0f %9.0f %7.2f" % (
                label, row["untraced"], row["traced"], row["traced"] - row["untraced"], row["bpf"], row["traps"]))


def first_report_times(python):
    """Seconds from the start of pyleak to its first report, less the interval: cold and warm cache of sites."""
    times = []
    with pyleak.Target("work.py", python) as target:
        for program in (pyleak.program_without_cache(), pyleak.PROGRAM):
            started = time.time()
            with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", "-n", "1", program=program) as tracer:
                times.append(tracer.wait_for_report().arrived - started - 0.5)
                tracer.finish(None)
    return times


def seconds_until_gone(options, kills=10):
    """The slowest of so many: from SIGKILL in the middle of tracing until no breakpoint and no BPF object is left."""
    slowest = 0
    with pyleak.Target("busy.py") as target:
        for _ in range(kills):
            with pyleak.Tracer("-p", target.pid, "-i", "0.1", *options) as tracer:
                tracer.wait_for_report()
                pyleak.wait_until(lambda: pyleak.breakpoints(target.pid), pause=0.001)
                held = pyleak.bpf_objects_of(tracer.pid)
                tracer.process.kill()
                slowest = max(slowest, pyleak.wait_until_gone(target.pid, held))
    return slowest


def processor_seconds(pid):
    fields = pyleak.read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show_scale():
    """Two million live traced blocks from ten thousand stacks."""
    with pyleak.Target("scale.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "2", "--max-memory", "1G") as tracer:
            tracer.wait_for_report()
            truth = target.ask("fill", "200", "100", timeout=180)
            tracer.wait_for_report(lambda each: each["totals"]["outstanding_blocks"] >= truth["blocks"], 120)
            started = processor_seconds(tracer.pid)
            for _ in range(4):
                tracer.wait_for_report()
            spent = (processor_seconds(tracer.pid) - started) / 4
            status = pyleak.read("/proc/%d/status" % tracer.pid)
            resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
            maps = sum(each.get("bytes_memlock", 0) for each in held("map", tracer.pid)) / 2**20
            report = tracer.finish()
    print("\n%d live blocks, %d stacks (%s)" % (truth["blocks"], truth["stacks"], pyleak.DEBIAN.name))
    print("  processor time a report, watching included   %7.2f s" % spent)
    print("  tracer: resident %.0f MiB, kernel maps %.0f MiB" % (resident, maps))
    print("  lost: %s" % (report.lost() or "nothing"))


def main():
    if os.geteuid() != 0:
        sys.exit("make bench needs root: sudo make bench")
    before = pyleak.read(STATISTICS)
    try:
        with open(STATISTICS, "w") as file:
            file.write("1")
        for python in (pyleak.DEBIAN, pyleak.interpreter("pyenv-3.8"), pyleak.interpreter("pyenv-3.12")):
            show_costs(python)
    finally:
        with open(STATISTICS, "w") as file:
            file.write(before)
    print("\nstart to first report, less the interval")
    for python in (pyleak.DEBIAN, pyleak.interpreter("pyenv-3.12")):
        print("  %-34s %7.2f s cold, %.2f s with the sites cached" % (python.name, *first_report_times(python)))
    print("\nfrom SIGKILL to nothing left, slowest of 10")
    for label, options in (("--exact", ["--exact"]), ("in a window of --overhead 50", ["--overhead", "50"])):
        print("  %-34s %7.2f s" % (label, seconds_until_gone(options)))
    show_scale()


if __name__ == "__main__":
    main()
