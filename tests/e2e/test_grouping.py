# SPDX-License-Identifier: GPL-2.0-or-later
"""--group-by sums over stacks as tracemalloc does in an identical run, under the program's own line or the allocating one."""
import functools

import pytest

import pyleak

ALIGNMENT = 16  # of pymalloc blocks, in the interpreters here: oracles/blocks.py measures it


@functools.lru_cache(maxsize=None)
def truth(python):
    with pyleak.Target("grouping.py", python) as twin:
        return twin.ask("oracle")


@functools.lru_cache(maxsize=None)
def report_by(python, *options):
    with pyleak.Target("grouping.py", python) as target, pyleak.attach(target, *options) as tracer:
        target.ask("leak")
        return tracer.finish(), target.script


def octets(size, count):
    return count * (size if size > 512 else -(-size // ALIGNMENT) * ALIGNMENT)


def sums(traces, frame_of):
    """{frame_of(stack): [blocks, bytes]} of tracemalloc's traces."""
    found = {}
    for stack, size, count in traces:
        entry = found.setdefault(frame_of([tuple(each) for each in stack]), [0, 0])
        entry[0] += count
        entry[1] += octets(size, count)
    return found


def own(script, stack):
    return next((frame for frame in stack if frame[0] == script), None)


def close(counts):
    """To a few blocks: what a call leaves once, on free lists and in caches, differs from run to run."""
    return [pytest.approx(counts[0], abs=8), pytest.approx(counts[1], abs=8 * 64)]


def shown(report):
    """{(file, line): [blocks, bytes]} of a report by line."""
    return {
        (site["stack"][0]["file"], site["stack"][0]["line"]): [site["outstanding_blocks"], site["outstanding_bytes"]]
        for site in report["sites"] if site["stack"] and site["stack"][0]["kind"] == "python"
    }


def test_the_programs_own_lines_sum_up_what_libraries_allocate_for_them(some_python):
    report, script = report_by(some_python, "--group-by", "line")
    expected = sums(truth(some_python)["traces"], functools.partial(own, script))
    seen, marks = shown(report), pyleak.marks(script)
    assert report["group_by"] == "line"
    for mark in ("decode", "copies", "make"):
        key = (script, marks[mark])
        assert seen[key] == close(expected[key]), mark
        site = next(each for each in report["sites"] if each["stack"][:1] and each["stack"][0]["line"] == key[1])
        assert site["lead"] == 0 and len(site["stack"]) == 1
        assert "kept[i] = " in site["source"] and ("LEAK:" + mark) in site["source"]
        assert site["survival"] is None or 0 <= site["survival"] <= 1
    # One line, two callers; and the many stacks of a recursion in a library.
    assert next(s for s in report["sites"] if s["stack"] and s["stack"][0]["line"] == marks["make"])["stacks"] >= 2
    assert sum(site["outstanding_share"] for site in report["sites"]) == pytest.approx(1)
    assert sum(site["growth_share"] for site in report["sites"]) == pytest.approx(1)


def test_every_file_included_gives_the_lines_of_tracemalloc():
    python = pyleak.DEBIAN
    report, script = report_by(python, "--group-by", "line", "--include", "*")
    expected = sums(truth(python)["traces"], lambda stack: stack[0])
    seen = shown(report)
    # statistics('lineno') itself, of what is large enough to be of the leak and not of the run around it.
    # (target.py makes free lists empty: what that takes is whatever they held.)
    large = [(file, line) for file, line, count in truth(python)["lineno"]
             if count >= 1000 and not file.endswith("/target.py")]
    assert {key[0].rsplit("/", 1)[1] for key in large} >= {"decoder.py", "grouping.py"}
    for key in large:
        if not key[0].endswith("/copy.py"):
            assert seen[key] == close(expected[key]), key
    # Lists that copy.deepcopy() drops come back from a free list: tracemalloc moves such a block to the line that
    # takes it, pyleak leaves it where it was allocated. They are all of one file.
    blocks = [sum(counts[0] for key, counts in found.items() if key[0].endswith("/copy.py"))
              for found in (seen, expected)]
    assert blocks[1] >= 1000
    assert blocks[0] == pytest.approx(blocks[1], abs=8)


@pytest.mark.parametrize("group", ["function", "file", "module"])
def test_functions_files_and_modules_sum_their_lines(group):
    python = pyleak.DEBIAN
    report, script = report_by(python, "--group-by", group)
    folder, make = script.rsplit("/", 1)[0], pyleak.marks(script)["make"]
    of_frame = {"function": lambda frame: frame == (script, make), "file": lambda frame: frame[0] == script,
                "module": lambda frame: frame[0].rsplit("/", 1)[0] == folder}[group]
    name = {"function": ("function", "make"), "file": ("file", script), "module": ("file", folder)}[group]
    # The innermost frame of the program's own code, of either file of the folder.
    leads = sums(truth(python)["traces"], lambda stack: next((f for f in stack if f[0].startswith(folder)), ("", 0)))
    wanted = [sum(counts[i] for frame, counts in leads.items() if of_frame(frame)) for i in range(2)]
    site = next(each for each in report["sites"] if each["stack"][:1] and each["stack"][0].get(name[0]) == name[1])
    assert wanted[0] >= 12000
    assert site["outstanding_blocks"] == pytest.approx(wanted[0], rel=0.01)
    assert site["outstanding_bytes"] == pytest.approx(wanted[1], rel=0.01)
    assert site["stack"][0]["line"] == 0 and site["source"] is None


def test_text_names_the_line_with_its_source_and_share():
    with pyleak.Target("grouping.py") as target:
        with pyleak.Tracer("-p", target.pid, "--exact", "-i", "0.5", "--group-by", "line",
                           json_output=False) as tracer:
            pyleak.wait_until(lambda: len(pyleak.breakpoints(target.pid)) > 100)
            target.ask("leak")
            tracer.process.send_signal(2)
            text = "".join(iter(lambda: tracer.output.get(pyleak.PATIENCE)[1] or "", ""))
            assert tracer.process.wait(pyleak.PATIENCE) == 0
        last = " ".join(text[text.rindex("pid %d " % target.pid):].split())
        assert "by line: the program's own that led to the memory" in last
        assert "grouping.py:%d decode kept[i] = json.loads(ORDER)" % target.line("decode") in last
        assert " % of all growth, " in last
