# SPDX-License-Identifier: GPL-2.0-or-later
"""Options, output formats and the JSON contract."""
import datetime
import json
import os
import re
import subprocess
import time

import jsonschema
import pytest

import pyleak

SCHEMA = pyleak.TOP / "docs" / "report.schema.json"


@pytest.fixture(scope="module")
def leaked():
    """A target that leaks while the module's tests look at it, and what it leaked under a tracer."""
    with pyleak.Target("leaks.py") as target, pyleak.attach(target) as tracer:
        target.ask("leak")
        report = tracer.finish()
        yield target, tracer, report


def traced(*options):
    """The last report of a leaking target under the given options, and its path."""
    with pyleak.Target("leaks.py") as target, pyleak.attach(target, *options) as tracer:
        target.ask("leak")
        return tracer.finish(), target


def test_json_is_valid_against_the_schema(leaked):
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    _, tracer, _ = leaked
    for message in [tracer.header, *tracer.reports, tracer.end]:
        validator(schema).validate(message)
    with pytest.raises(jsonschema.ValidationError):
        validator(schema).validate({**tracer.end, "reason": 3})


def test_header_says_who_is_traced(leaked):
    target, tracer, _ = leaked
    [described] = tracer.header["targets"]
    assert described["pid"] == target.pid
    assert described["cmdline"] == [target.python.path, target.script]
    assert described["exe"] == os.path.realpath(target.python.path)
    assert described["python"]["version"].startswith("3.11.")
    assert described["python"]["build"] == "static"
    assert described["python"]["stripped"] is True
    assert tracer.header["kernel"] == os.uname().release
    assert tracer.header["options"]["exact"] is True


def test_header_knows_a_shared_build_with_symbols():
    with pyleak.Target("leaks.py", pyleak.interpreter("pyenv-3.8")) as target, pyleak.attach(target) as tracer:
        tracer.finish()
        [described] = tracer.header["targets"]
    assert described["python"] == {**described["python"], "version": "3.8.18", "build": "shared", "stripped": False}


def test_reports_carry_the_contracts_types(leaked):
    target, tracer, report = leaked
    assert [each["seq"] for each in tracer.reports] == list(range(1, len(tracer.reports) + 1))
    assert {each["pid"] for each in tracer.reports} == {target.pid}
    when = datetime.datetime.fromisoformat(report["time"].replace("Z", "+00:00"))
    assert abs(when.timestamp() - report.arrived) < 5
    assert report["process"]["threads"] == 1
    with open("/proc/%d/statm" % target.pid) as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert report["process"]["rss_bytes"] == pytest.approx(resident, rel=0.1)
    assert report["process"]["rss_growth_bytes"] > 16e6  # of "megabytes" alone, all written
    assert {f["name"]: f["mode"] for f in report["tracing"]["families"]} == {
        "pymalloc": "exact", "malloc": "exact", "mmap": "exact",
    }
    assert all(family["observed_fraction"] == 1.0 for family in report["tracing"]["families"])
    for site in report["sites"]:
        assert type(site["outstanding_bytes"]) is int and type(site["growth_bytes"]) is int
        assert site["estimated"] is False
        assert site["growth_bytes_per_s_low"] <= site["growth_bytes_per_s"] <= site["growth_bytes_per_s_high"]
        assert site["verdict"] in ("leak", "growing", "steady", "shrinking")
        assert 0 <= site["confidence"] <= 1
    assert [site["rank"] for site in report["sites"]] == list(range(1, len(report["sites"]) + 1))
    assert tracer.end["reason"] == "signal"


def test_site_ids_are_the_same_in_another_run(leaked):
    target, _, report = leaked
    again, _ = traced()
    line = target.line("bytes")
    assert {s["id"] for s in report.sites_at(target.script, line)} == {
        s["id"] for s in again.sites_at(target.script, line)
    }


@pytest.mark.parametrize("key, field", [
    ("growth", "sure_growth_bytes"), ("bytes", "outstanding_bytes"), ("blocks", "outstanding_blocks"),
    ("rate", "growth_bytes_per_s"),
])
def test_sort_orders_the_sites(key, field):
    report, _ = traced("--sort", key)
    values = [site[field] for site in report["sites"]]
    assert len(values) > 20
    assert values == sorted(values, reverse=True)


def test_top_cuts_the_list_and_nothing_else():
    report, _ = traced("--top", "3")
    assert len(report["sites"]) == 3
    assert report["totals"]["outstanding_blocks"] > sum(site["outstanding_blocks"] for site in report["sites"])


@pytest.mark.parametrize("key, groups", [("line", 20), ("function", 15), ("file", 2), ("module", 2)])
def test_group_by_merges_sites_and_keeps_totals(key, groups):
    report, target = traced("--group-by", key)
    assert report["totals"]["outstanding_blocks"] == sum(site["outstanding_blocks"] for site in report["sites"])
    here = [site for site in report["sites"] if report.python_stack(site)[:1] and
            report.python_stack(site)[0][1] == target.script]
    if key == "line":
        assert len(here) == len({report.python_stack(site)[0][2] for site in here}) > groups
    elif key == "function":
        functions = [report.python_stack(site)[0][0] for site in here]
        assert len(functions) == len(set(functions)) > groups
    elif key == "file":
        assert len(here) == 1
        assert here[0]["outstanding_blocks"] > 30000
    else:
        assert len(report["sites"]) < 40


def test_min_age_leaves_out_young_memory():
    with pyleak.Target("leaks.py") as target, pyleak.attach(target, "--min-age", "4") as tracer:
        target.ask("leak")
        answered = time.time()
        line = target.line("bytes")
        young = tracer.wait_for_report()
        assert young.arrived - answered > 3.5 or line not in young.by_line(target.script)
        old = tracer.wait_for_report(lambda each: each.arrived > answered + 4.5)
        assert old.by_line(target.script)[line] == [2000, 2000 * 80]
        tracer.finish()


def test_count_ends_after_that_many_reports(leaked):
    target, _, _ = leaked
    with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.3", "-n", "3") as tracer:
        tracer.finish(None)
    assert [report["seq"] for report in tracer.reports] == [1, 2, 3]
    assert tracer.end["reason"] == "count"


def test_duration_ends_with_a_last_report(leaked):
    target, _, _ = leaked
    started = time.time()
    with pyleak.Tracer("-p", target.pid, "--exact", "-i", "60", "-d", "1") as tracer:
        report = tracer.finish(None)
    assert tracer.end["reason"] == "duration"
    assert len(tracer.reports) == 1
    assert 0.9 < report["elapsed_s"] < 3
    assert time.time() - started < 15


def test_interval_spaces_the_reports(leaked):
    target, _, _ = leaked
    with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", "-n", "4") as tracer:
        tracer.finish(None)
    assert [report["interval_s"] for report in tracer.reports[1:]] == pytest.approx([0.5] * 3, abs=0.25)
    assert tracer.reports[-1]["elapsed_s"] == pytest.approx(2.0, abs=0.5)


def test_output_file_gets_the_reports_and_stdout_nothing(leaked):
    target, _, _ = leaked
    path = pyleak.scratch() / "reports.ndjson"
    done = pyleak.run("-p", target.pid, "--exact", "-i", "0.3", "-n", "2", "-j", "-o", path)
    assert done.returncode == 0 and done.stdout == ""
    types = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert types == ["header", "report", "report", "end"]


def test_text_names_the_line_and_fits_80_columns():
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", json_output=False) as tracer:
            arrived = []
            while not any(str(target.pid) in line for line in arrived):
                arrived.append(tracer.output.get(pyleak.PATIENCE)[1])
            pyleak.wait_until(lambda: len(pyleak.breakpoints(target.pid)) > 100)
            time.sleep(0.3)  # all sites are armed within 0.1 s of the first hundred; then everything is seen
            target.ask("leak")
            tracer.process.send_signal(2)
            text = "".join(arrived) + "".join(iter(lambda: tracer.output.get(pyleak.PATIENCE)[1] or "", ""))
            assert tracer.process.wait(pyleak.PATIENCE) == 0
    assert "leaks.py:%d" % target.line("megabytes") in text
    assert "kept[i] = BYTE * 1000000" in text
    assert "pid %d" % target.pid in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


def test_quiet_says_nothing_on_stderr(leaked):
    target, _, _ = leaked
    done = pyleak.run("-q", "-p", target.pid, "--exact", "-i", "0.3", "-n", "1")
    assert (done.returncode, done.stderr) == (0, "")


def test_two_targets_are_reported_apart(leaked):
    target, _, _ = leaked
    with pyleak.Target("leaks.py", pyleak.interpreter("pyenv-3.10")) as other:
        both = "%d,%d" % (target.pid, other.pid)
        with pyleak.Tracer("-p", both, "--exact", "-i", "0.5", "-t", "100000") as tracer:
            tracer.wait_for_report(lambda each: each["pid"] == target.pid)
            tracer.wait_for_report(lambda each: each["pid"] == other.pid)
            other.ask("leak")
            tracer.finish()
    last = {report["pid"]: report for report in tracer.reports}
    assert last[other.pid].by_line(other.script)[other.line("bytes")] == [2000, 2000 * 80]
    assert other.line("bytes") not in last[target.pid].by_line(target.script)


def test_a_command_is_traced_from_its_first_allocation():
    script = pyleak.scratch() / "command.py"
    script.write_text(
        "import time\nBYTE = b'x'\nKEPT = [None] * 3000\n"
        "for i in range(3000):\n    KEPT[i] = BYTE * 40\ntime.sleep(1.5)\n"
    )
    with pyleak.Tracer("--exact", "-i", "0.5", "-t", "100000", "--", "/usr/bin/python3.11", script) as tracer:
        tracer.finish(None)
    assert tracer.end["reason"] == "target_exited"
    seen = [report.by_line(str(script)).get(5) for report in tracer.reports]
    assert [3000, 3000 * 80] in seen
    # Its start is traced too: importing site, encodings and so on leaves thousands of blocks.
    assert max(report["totals"]["outstanding_blocks"] for report in tracer.reports) > 3000 + 5000


def test_version_and_help():
    done = pyleak.run("--version")
    assert done.returncode == 0 and re.match(r"pyleak \d+\.\d+\.\d+\n$", done.stdout)
    done = pyleak.run("--help")
    assert done.returncode == 0
    for option in ("--pid", "--interval", "--duration", "--count", "--top", "--exact", "--min-age", "--group-by",
                   "--sort", "--output", "--max-memory", "--json"):
        assert option in done.stdout


def test_a_closed_pipe_ends_it_quietly(leaked):
    target, _, _ = leaked
    process = subprocess.Popen(
        [pyleak.PROGRAM, "-p", str(target.pid), "--exact", "-i", "0.3", "-j"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert json.loads(process.stdout.readline())["type"] == "header"
    process.stdout.close()
    status = process.wait(pyleak.PATIENCE)
    message = process.stderr.read()
    process.stderr.close()
    assert status in (0, 1) and message.count("\n") <= 2
    assert not pyleak.breakpoints(target.pid)


def test_a_full_disk_is_an_error_of_one_line(leaked):
    target, _, _ = leaked
    done = pyleak.run("-q", "-p", target.pid, "--exact", "-i", "0.3", "-n", "1", "-o", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "No space left" in done.stderr
