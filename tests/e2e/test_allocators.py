# SPDX-License-Identifier: GPL-2.0-or-later
"""Other allocators: preloaded malloc libraries, PYTHONMALLOC, a running tracemalloc."""
import glob

import pytest

import pyleak

LIBRARIES = {
    "jemalloc": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "tcmalloc": "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    "mimalloc": "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0",
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_preloaded_malloc_is_counted_to_the_byte(some_python, library):
    assert glob.glob(LIBRARIES[library]), LIBRARIES[library]
    with pyleak.Target("leaks.py", some_python, {"LD_PRELOAD": LIBRARIES[library]}) as target:
        assert LIBRARIES[library].rsplit("/", 1)[1] in pyleak.read("/proc/%d/maps" % target.pid)
        with pyleak.attach(target) as tracer:
            truth = target.ask("leak")["expected"]
            seen = tracer.finish().by_line(target.script)
            wrong = {}
            for name, expected in truth.items():
                found = seen.get(target.line(name), [0, 0])
                if found != [expected["blocks"], expected["bytes"]]:
                    wrong[name] = (expected, found)
            assert not wrong, wrong


def spent(python, size, allocator):
    """Bytes that a request of size costs under PYTHONMALLOC=allocator (Objects/obmalloc.c)."""
    # Size and forbidden bytes at both ends; before 3.8 a serial number too (bpo-37732).
    hook = 32 if python.version < (3, 8) else 24
    if allocator == "malloc":
        return size
    if allocator == "malloc_debug":
        return size + hook
    # What is too large for pymalloc goes through the hooks of the raw domain as well.
    return -(-(size + hook) // 16) * 16 if size + hook <= 512 else size + 2 * hook


@pytest.mark.parametrize("allocator", ["malloc", "malloc_debug", "pymalloc_debug"])
@pytest.mark.parametrize("python", [p for p in pyleak.INTERPRETERS if p.version >= (3, 6)], ids=repr)
def test_pythonmalloc_is_named_and_counted(python, allocator):
    with pyleak.Target("leaks.py", python, {"PYTHONMALLOC": allocator}) as target:
        with pyleak.attach(target) as tracer:
            target.ask("leak")
            report = tracer.finish()
            assert allocator.split("_")[0] in tracer.header["targets"][0]["allocator"]
            assert ("debug" in tracer.header["targets"][0]["allocator"]) == ("debug" in allocator)
    seen = report.by_line(target.script)
    overhead = 33  # sys.getsizeof(b"")
    expected = {
        "bytes": [2000, 2000 * spent(python, overhead + 40, allocator)],
        "largest_small": [2000, 2000 * spent(python, 512, allocator)],
        "floats": [2000, 2000 * spent(python, 24, allocator)],
        "ext_malloc": [500, 500 * 1000],
    }
    found = {name: seen.get(target.line(name), [0, 0]) for name in expected}
    assert found == expected


@pytest.mark.parametrize("python", [p for p in pyleak.INTERPRETERS if p.version >= (3, 6)], ids=repr)
def test_a_running_tracemalloc_is_named_and_does_not_disturb(python):
    """tracemalloc's own tables are malloc memory under the same lines; the objects must still be right."""
    with pyleak.Target("leaks.py", python, {"PYTHONTRACEMALLOC": "1"}) as target:
        with pyleak.attach(target) as tracer:
            truth = target.ask("leak")["expected"]
            report = tracer.finish()
    told = tracer.stderr + " ".join(report.get("notes", []))
    assert "tracemalloc" in told
    small = {}
    for site in report["sites"]:
        stack = report.python_stack(site)
        if stack and stack[0][1] == target.script and site["family"] == "pymalloc":
            small[stack[0][2]] = small.get(stack[0][2], 0) + site["outstanding_blocks"]
    for name in ("bytes", "slotted", "strings"):
        # One malloc for each trace it keeps may share the site of the object.
        assert truth[name]["blocks"] <= small.get(target.line(name), 0) <= 2 * truth[name]["blocks"] + 10
