# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of tests/targets/cases, what pyleak must say of each, and one run of one of them."""
import functools
import os
import shutil
import subprocess

import pyleak

FOLDER = pyleak.TARGETS / "cases"
# A leak must be called one, at least so sure and within so many seconds.
CONFIDENCE, WITHIN = 0.95, 60
# So long nothing else must be called a leak.
WATCHED = 180
PLAIN = [pyleak.DEBIAN, pyleak.interpreter("pyenv-3.8"), pyleak.interpreter("pyenv-3.12")]
LIBRARIES = [pyleak.DEBIAN]


class Case:
    """A program with its options.

    leak: whether the line marked LEAK is one; else nothing is. called: whether a minute is enough to call it so, even while other
    tests run. types: of what piles up on that line, all of them.
    """

    def __init__(self, script, *options, leak, pythons, called=True, types=(), **environment):
        self.script, self.options, self.leak, self.called = str(FOLDER / (script + ".py")), options, leak, called
        self.types = set(types)
        self.pythons, self.environment = pythons, environment
        self.name = "-".join([script.replace("_", "-"), *(each.split("=")[-1] for each in options)])

    def __repr__(self):
        return self.name

    @functools.cached_property
    def lines(self):
        """Those of the script that are marked."""
        text = pyleak.read(self.script).splitlines()
        return [number for number, line in enumerate(text, 1) if "# LEAK" in line]


CASES = [
    Case("pyplot_loop", "--figures=closed", leak=False, pythons=LIBRARIES),
    Case("pyplot_loop", "--figures=kept", leak=True, pythons=LIBRARIES, types=["raw buffer"], MPLBACKEND="Agg"),
    # Stacks so deep that a minute holds ten windows or so on malloc: enough for the line, not for a verdict that comes in
    # time whatever else the machine does. In docs/cases.md: how often it does.
    Case("charts_tk", leak=True, called=False, pythons=LIBRARIES, types=["raw buffer"], DISPLAY="own"),
    Case("numpy_list", leak=True, pythons=LIBRARIES, types=["raw buffer", "numpy.ndarray"]),
    Case("cycles", "--gc=off", leak=True, pythons=PLAIN, types=["raw buffer"]),
    Case("cycles", "--gc=on", leak=False, pythons=PLAIN),
    Case("uuid_cache", "--cache=dict", leak=True, pythons=PLAIN, types=["str"]),
    Case("uuid_cache", "--cache=weak", leak=False, pythons=PLAIN),
    Case("which_dict", leak=True, pythons=PLAIN, types=["dict", "dict keys", "str"]),
    Case("images_pil", "--uploads=kept", leak=True, pythons=LIBRARIES, types=["raw buffer"]),
    Case("images_pil", "--uploads=dropped", leak=False, pythons=LIBRARIES),
    Case("images_cv", "--cuts=views", leak=True, pythons=LIBRARIES, types=["raw buffer", "numpy.ndarray"]),
    Case("images_cv", "--cuts=copies", leak=False, pythons=LIBRARIES),
    Case("images_native", leak=True, pythons=PLAIN, types=["raw buffer"], LIBRARY="scratch"),
    Case("warm_up", leak=False, pythons=PLAIN),
    Case("lru", "--cache=lru_cache", leak=False, pythons=PLAIN),
    Case("lru", "--cache=ordered", leak=False, pythons=PLAIN),
    Case("batches", leak=False, pythons=PLAIN),
    Case("fragmentation", leak=False, pythons=PLAIN),
    Case("queue_drains", leak=False, pythons=PLAIN),
    Case("one_load", leak=False, pythons=PLAIN),
]


def case(name):
    return next(each for each in CASES if each.name == name)


@functools.lru_cache(maxsize=None)
def scratch_library():
    """The library that leaks natively."""
    path = pyleak.scratch() / "libscratch.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(path), str(FOLDER / "scratch.c")], check=True)
    return str(path)


class Display:
    """A virtual X server of its own."""

    def __init__(self):
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [shutil.which("Xvfb") or "Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
            pass_fds=[write], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as answer:
            self.name = ":" + answer.readline().strip()
        assert self.name != ":", "Xvfb did not start"

    def close(self):
        self.process.kill()
        self.process.wait()


class Program:
    """The target, started and ready, with nobody but the seed to tell it what to do."""

    def __init__(self, case, python, seed):
        self.display = None
        variables = {name: value for name, value in os.environ.items()
                     if not name.startswith("PYTHON") and name not in ("DISPLAY", "MPLBACKEND")}
        variables.update(PYTHONHASHSEED=str(seed), PYTHONDONTWRITEBYTECODE="1", **case.environment)
        if case.environment.get("DISPLAY"):
            self.display = Display()
            variables["DISPLAY"] = self.display.name
        if case.environment.get("LIBRARY"):
            variables["LIBRARY"] = scratch_library()
        self.process = subprocess.Popen(
            [python.path, case.script, "--seed=%d" % seed, *case.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=variables,
        )
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        assert line == "ready\n", "%s did not start: %r" % (case, line)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.display:
            self.display.close()


def own_line(case, site):
    """The line of the script that pyleak shows first: the innermost frame that is the user's own code; None: none is."""
    return next((frame["line"] for frame in site["stack"]
                 if frame["kind"] == "python" and frame.get("file") == case.script), None)


class Outcome:
    """What was said of one run.

    found_s: when the expected line first led the report with a verdict "leak" that is sure enough; None: never.
    first_s: when the expected line first led the report.
    confidence: the highest of such a verdict within the time allowed.
    false: [(seconds, line, confidence, bytes, function), ...] of every other "leak" in any report.
    """

    def __init__(self, case, reports):
        self.case = case
        self.reports, self.found_s, self.first_s, self.confidence, self.false = reports, None, None, 0.0, []
        for report in reports:
            self._add(case, report)

    def _add(self, case, report):
        at = report["elapsed_s"]
        for site in report["sites"]:
            line = own_line(case, site)
            leads = site["rank"] == 1 and case.leak and line in case.lines
            if leads and self.first_s is None:
                self.first_s = at
            if site["verdict"] != "leak":
                continue
            if leads and at < WITHIN + 1:
                self.confidence = max(self.confidence, site["confidence"])
            if leads and site["confidence"] >= CONFIDENCE and self.found_s is None:
                self.found_s = at
            if not (case.leak and line in case.lines):
                stack = pyleak.Report.python_stack(site)
                self.false.append((round(at), line, site["confidence"], site["outstanding_bytes"],
                                   stack[0][0] if stack else None))

    def summary(self):
        """The first sites of each report, for whoever reads of a failure."""
        return "\n".join(
            "%3.0f s: " % report["elapsed_s"] + "; ".join(
                "%s %.2f, %d bytes, line %s" % (site["verdict"], site["confidence"], site["outstanding_bytes"],
                                                own_line(self.case, site))
                for site in report["sites"][:3])
            for report in self.reports)

    def types(self):
        """The names of what piles up on the marked line, in the last report."""
        return {kind["name"] for site in self.last["sites"] if own_line(self.case, site) in self.case.lines
                for kind in site.get("types", [])}

    @property
    def last(self):
        return self.reports[-1]


def run(case, python, seed, seconds, *options, recording=None):
    """Starts the program, attaches in the default mode, watches for so long."""
    with Program(case, python, seed) as program:
        environment = dict(os.environ, **({"PYLEAK_SNAPSHOTS": recording} if recording else {}))
        with pyleak.Tracer("-p", program.pid, "-d", seconds, "-t", 200, *options, env=environment) as tracer:
            tracer.finish(how=None, timeout=seconds + pyleak.PATIENCE)
            return Outcome(case, [report for report in tracer.reports if report["pid"] == program.pid])
