# SPDX-License-Identifier: GPL-2.0-or-later
"""Native frames: the functions below the line of Python, by name, and the same ones as gdb sees."""
import functools
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

import pyleak

PACKAGES = ["numpy", "pillow", "lxml", "opencv", "sqlite", "tk", "basket"]
LARGE = 400000  # bytes, from which on the packages' allocations are compared with gdb's
CPP = [python for python in pyleak.INTERPRETERS if python.version >= (3,)]


@functools.lru_cache(maxsize=None)
def cpp_folder(python):
    """Builds leakcpp as distributions build extensions: optimised, without frame pointers."""
    folder = pyleak.scratch() / ("leakcpp-" + python.name)
    folder.mkdir()
    include = subprocess.check_output(
        [python.path, "-c", "import sysconfig; print(sysconfig.get_paths()['include'])"], text=True
    ).strip()
    subprocess.run(
        ["g++", "-shared", "-fPIC", "-O2", "-fomit-frame-pointer", "-I" + include, "-o", str(folder / "leakcpp.so"),
         str(pyleak.TARGETS / "leakcpp.cpp"), "-ldl"],
        check=True,
    )
    return str(folder)


def native_target(python=pyleak.DEBIAN):
    paths = [pyleak.extension_folder(python)]
    if python.version >= (3,):
        paths.append(cpp_folder(python))
    return pyleak.Target("native.py", python, {"PYTHONPATH": os.pathsep.join(paths)})


def shown(site):
    """["function" of native frames, "function:line" of Python's, ...], leaf first."""
    return [f["function"] if f["kind"] == "native" else "%s:%d" % (f["function"], f["line"]) for f in site["stack"]]


def sites_on(report, target, mark):
    """The sites whose innermost Python frame is the marked line."""
    return report.sites_at(target.script, target.line(mark))


def check_leak(report, target, mark, blocks, octets, functions):
    """One site on the line has the blocks, and these native functions below it, leaf first."""
    found = [site for site in sites_on(report, target, mark)
             if [site["outstanding_blocks"], site["outstanding_bytes"]] == [blocks, octets]]
    assert len(found) == 1, [[shown(s), s["outstanding_blocks"], s["outstanding_bytes"]]
                             for s in sites_on(report, target, mark)]
    stack = found[0]["stack"]
    below = [frame for frame in stack if frame["kind"] == "native"]
    assert stack[: len(below)] == below
    assert [f["function"] for f in below][: len(functions)] == functions
    # The line of the user leads, whatever is below it.
    assert stack[found[0]["lead"]]["line"] == target.line(mark)
    return below


def test_leaks_in_c_name_the_function_and_the_line(python):
    with native_target(python) as target, pyleak.attach(target) as tracer:
        target.ask("c")
        report = tracer.finish()
    for mark, blocks, octets, functions in (
        ("malloc", 40, 40000, ["by_malloc", "repeat", "ext_malloc"]),
        ("realloc_grow", 40, 200000, ["by_realloc_grow", "repeat", "ext_realloc_grow"]),
        ("mmap", 3, 3 * 65536, ["by_mmap", "repeat", "ext_mmap"]),
    ):
        below = check_leak(report, target, mark, blocks, octets, functions)
        assert {frame["module"] for frame in below[:3]} == {"leakext.so"}
        # Built with -g: the source line is known.
        assert below[0]["file"].endswith("leakext.c") and below[0]["line"] > 0
    below = check_leak(report, target, "strdup", 40, 4000, [])
    assert [f["function"] for f in below[1:4]] == ["by_strdup", "repeat", "ext_strdup"]
    assert below[0]["module"] == "libc.so.6"
    assert not report.lost()


@pytest.mark.parametrize("python", [pyleak.DEBIAN, CPP[1], CPP[-2], CPP[-1]], ids=repr)
def test_leaks_in_optimised_cpp_are_demangled(python):
    with native_target(python) as target, pyleak.attach(target) as tracer:
        target.ask("cpp")
        report = tracer.finish()
    new = "operator new(unsigned long)"
    check_leak(report, target, "new", 40, 40000, [new, "shop::Basket::grow(unsigned long)"])
    below = check_leak(report, target, "template", 40, 320000, [new, "int shop::Basket::fill<double>(unsigned long)"])
    assert below[0]["module"].startswith("libstdc++.so.6") and below[1]["module"] == "leakcpp.so"
    check_leak(report, target, "cpp_strdup", 40, 40 * 501, [])
    # Two ways to malloc on one line: what was given back does not hide who keeps.
    check_leak(report, target, "two_paths", 40, 80000,
               [new, "shop::Basket::grow(unsigned long)", "shop::borrow_and_leak(unsigned long)"])
    # Python objects that C++ made: pymalloc, and the function that lost them.
    objects = [site for site in sites_on(report, target, "objects") if site["outstanding_blocks"] == 40]
    assert [site["family"] for site in objects] == ["pymalloc"]
    assert "lose_references" in shown(objects[0])


@pytest.mark.parametrize("python", [pyleak.DEBIAN, CPP[1], CPP[-2], CPP[-1]], ids=repr)
def test_full_is_in_the_order_of_the_calls(python):
    """C++ calls Python, which calls C (max), which calls Python, which calls C++."""
    with native_target(python) as target, pyleak.attach(target, "--native", "full") as tracer:
        target.ask("interleave")
        report = tracer.finish()
    site = next(site for site in sites_on(report, target, "innermost") if site["outstanding_blocks"] == 40)
    stack, place = shown(site), -1
    lambda_name = "called_by_c.<locals>.<lambda>" if python.version >= (3, 11) else "<lambda>"
    for name in ("shop::Basket::grow(unsigned long)", "innermost:%d" % target.line("innermost"),
                 "%s:%d" % (lambda_name, target.line("called_by_c")), "called_by_c:%d" % target.line("called_by_c"),
                 "call_back", "interleave:%d" % target.line("interleave")):
        assert name in stack[place + 1 :], (name, stack)
        place = stack.index(name, place + 1)
    between = site["stack"][stack.index("%s:%d" % (lambda_name, target.line("called_by_c"))) + 1 :
                            stack.index("called_by_c:%d" % target.line("called_by_c"))]
    assert all(frame["kind"] == "native" for frame in between)
    assert not [name for name in stack if name.startswith("_PyEval")]
    assert stack[-1] == "_start" and site["stack"][-1]["kind"] == "native"
    assert len(pyleak.Report.python_stack(site)) == 6
    assert not report.lost()


def test_off_shows_no_native_frames():
    with native_target() as target, pyleak.attach(target, "--native", "off") as tracer:
        target.ask("c")
        report = tracer.finish()
    assert {frame["kind"] for site in report["sites"] for frame in site["stack"]} == {"python"}


def test_threads_without_python_have_native_stacks(some_python):
    with native_target(some_python) as target, pyleak.attach(target) as tracer:
        target.ask("thread", "30", "2000")
        report = tracer.finish()
    site = next(s for s in report["sites"] if s["outstanding_bytes"] == 60000 and s["outstanding_blocks"] == 30)
    stack = shown(site)
    assert {frame["kind"] for frame in site["stack"]} == {"native"}
    assert "thread_main" in stack and stack.index("thread_main") < len(stack) - 1
    assert not site["truncated"] and not report.lost()


LIBRARY = """
#include <stdlib.h>
static __attribute__((noinline, noclone)) void *hidden(size_t size) { void *p = malloc(size); asm volatile("" ::: "memory"); return p; }
__attribute__((noinline)) void *late_leak(size_t size) { void *p = hidden(size); asm volatile("" ::: "memory"); return p; }
"""


def library(name, *flags):
    source, path = pyleak.scratch() / (name + ".c"), pyleak.scratch() / (name + ".so")
    source.write_text(LIBRARY)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", *flags, "-o", str(path), str(source)], check=True)
    return str(path)


def leak_of_library(path, *options):
    """The site of 20 blocks that a library leaked which was loaded while pyleak traced."""
    with native_target() as target, pyleak.attach(target, *options) as tracer:
        target.ask("load", path, "late_leak", "20", "3000")
        report = tracer.finish()
    site = next(s for s in sites_on(report, target, "load") if s["outstanding_blocks"] == 20)
    return site, report


def test_a_library_loaded_meanwhile_is_known():
    site, report = leak_of_library(library("libplain"))
    assert shown(site)[:2] == ["hidden", "late_leak"]
    assert not report.lost()


def test_a_library_deleted_from_disk_is_known():
    path = library("libdeleted")
    with native_target() as target:
        target.ask("load", path, "late_leak", "1", "10")
        os.unlink(path)
        with pyleak.attach(target) as tracer:
            # dlopen finds it by its name among what is loaded.
            target.ask("load", path, "late_leak", "20", "3000")
            report = tracer.finish()
    site = next(s for s in sites_on(report, target, "load") if s["outstanding_blocks"] == 20)
    assert shown(site)[:2] == ["hidden", "late_leak"] and site["stack"][0]["module"] == "libdeleted.so"
    assert not report.lost()


def test_symbols_come_from_separate_debug_files():
    """A stripped library: its static function is known by a debug file, found by build id and by debuglink."""
    for name, build_id in (("libbyid", True), ("libbylink", False)):
        path = library(name, "-g", "-Wl,--build-id=" + ("sha1" if build_id else "none"))
        debug = path + ".debug"
        subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
        if build_id:
            notes = subprocess.check_output(["readelf", "-n", path], text=True)
            digest = re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)
            place = pathlib.Path("/usr/lib/debug/.build-id") / digest[:2] / (digest[2:] + ".debug")
            place.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["strip", path], check=True)
        else:
            place = pathlib.Path(path).parent / ".debug" / os.path.basename(debug)
            place.parent.mkdir(exist_ok=True)
            subprocess.run(["strip", path], check=True)
            subprocess.run(["objcopy", "--add-gnu-debuglink=" + debug, path], check=True)
        shutil.move(debug, place)
        try:
            site, report = leak_of_library(path)
        finally:
            place.unlink()
        assert shown(site)[:2] == ["hidden", "late_leak"]
        assert site["stack"][0]["file"].endswith(name + ".c") and site["stack"][0]["line"] == 3


def test_symbols_come_from_compressed_debug_information():
    """.gnu_debugdata, as Fedora has it: a small symbol table, compressed, in the stripped file itself."""
    path = library("libmini")
    small = path + ".mini"
    subprocess.run(["objcopy", "-S", "--keep-symbol=hidden", path, small], check=True)
    subprocess.run(["xz", "-k", "-f", small], check=True)
    subprocess.run(["strip", path], check=True)
    subprocess.run(["objcopy", "--add-section", ".gnu_debugdata=" + small + ".xz", path], check=True)
    site, _ = leak_of_library(path)
    assert shown(site)[:2] == ["hidden", "late_leak"]


def test_a_function_without_a_symbol_is_module_and_offset():
    path = library("libstripped")
    symbols = subprocess.check_output(["nm", path], text=True)
    begin = int(re.search(r"^([0-9a-f]+) t hidden$", symbols, re.M).group(1), 16)
    subprocess.run(["strip", path], check=True)
    site, report = leak_of_library(path)
    frame = site["stack"][0]
    assert frame["module"] == "libstripped.so" and begin < frame["offset"] < begin + 64
    assert frame["function"] == "libstripped.so+0x%x" % frame["offset"]
    assert site["stack"][1]["function"] == "late_leak"
    assert not report.lost()


def test_code_without_unwind_information_stops_and_is_said():
    site, report = leak_of_library(library("libbare", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
                                           "-fomit-frame-pointer"))
    assert shown(site)[0] == "hidden"
    assert [frame["kind"] for frame in site["stack"][:2]] == ["native", "python"]
    assert list(report.lost()) == ["native_no_unwind"]


def sent_ns(tracer):
    """Time that the kernel side has spent on sending stacks, by family: struct target's sent_ns."""
    for kind, number in pyleak.bpf_objects_of(tracer.pid):
        if kind != "map":
            continue
        show = subprocess.run(["/usr/sbin/bpftool", "-j", "map", "show", "id", str(number)], capture_output=True, text=True)
        if json.loads(show.stdout).get("name") != "targets":
            continue
        value = subprocess.check_output(
            ["/usr/sbin/bpftool", "-j", "map", "lookup", "id", str(number), "key", "1", "0", "0", "0"], text=True)
        return json.loads(value)["formatted"]["value"]["sent_ns"]
    raise AssertionError("no map named targets")


def nothing_sent_by_work(target, tracer):
    before = sent_ns(tracer)
    for _ in range(20):
        target.ask("steady", "200")
    return before == sent_ns(tracer)


def test_a_steady_process_takes_no_more_copies(some_python):
    with native_target(some_python) as target, pyleak.attach(target) as tracer:
        pyleak.wait_until(lambda: nothing_sent_by_work(target, tracer))
        before, earlier = sent_ns(tracer), tracer.wait_for_report()
        assert sum(before) > 0
        for _ in range(20):
            target.ask("steady", "200")
        after, report = sent_ns(tracer), tracer.finish()
    assert before == after
    assert sum(f["allocs"] for f in report["tracing"]["families"]) > 30000 + sum(
        f["allocs"] for f in earlier["tracing"]["families"])


GDB = """
import gdb, json
seen = []
class Allocation(gdb.Breakpoint):
    def stop(self):
        pcs, frame = [], gdb.newest_frame().older()
        while frame is not None:
            if frame.type() != gdb.INLINE_FRAME:
                pcs.append(frame.pc())
            frame = frame.older()
        if pcs not in seen:
            seen.append(pcs)
        return False
Allocation("malloc if $rdi >= {least} && $rdi < 100000000")
Allocation("realloc if $rsi >= {least} && $rsi < 100000000")
Allocation("calloc if $rdi * $rsi >= {least} && $rdi * $rsi < 100000000")
Allocation("posix_memalign if $rdx >= {least} && $rdx < 100000000")
gdb.Breakpoint("leakcpp_mark")
print("READY", flush=True)
gdb.execute("continue")
with open("{output}", "w") as file:
    json.dump(seen, file)
gdb.execute("detach")
"""


def gdb_stacks(target, name):
    """The stacks, as addresses, at which gdb sees the target allocate much, while it does the work once."""
    script, output = pyleak.scratch() / (name + ".gdb.py"), pyleak.scratch() / (name + ".gdb.json")
    script.write_text(GDB.format(least=LARGE, output=output))
    gdb = subprocess.Popen(
        ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set backtrace past-main on", "-p", str(target.pid), "-x", str(script)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = ""
        for line in gdb.stdout:
            said += line
            if line == "READY\n":
                target.ask("package", name, timeout=120)
        assert gdb.wait(pyleak.PATIENCE) == 0, said
    finally:
        gdb.kill()
        gdb.wait()
        gdb.stdout.close()
    return json.loads(output.read_text())


def modules_of(pid):
    """[(start, end, base name, load bias), ...] of the files that a process runs."""
    found = []
    starts = {}
    for line in pyleak.read("/proc/%d/maps" % pid).splitlines():
        fields = line.split(None, 5)
        if len(fields) < 6 or not fields[5].startswith("/"):
            continue
        start, end = (int(each, 16) for each in fields[0].split("-"))
        base = starts.setdefault(fields[5], start)
        with open(fields[5], "rb") as file:
            header = file.read(20)
        if header[:4] != b"\x7fELF":
            continue
        position_independent = struct.unpack_from("<H", header, 16)[0] == 3
        found.append((start, end, os.path.basename(fields[5]), base if position_independent else 0))
    return found


def named(pcs, modules):
    """[(module, offset), ...] of addresses."""
    result = []
    for pc in pcs:
        start, end, name, bias = next(each for each in modules if each[0] <= pc < each[1])
        result.append((name, pc - bias))
    return result


@pytest.mark.parametrize("package", PACKAGES)
def test_frames_are_those_of_gdb(package):
    """Every large allocation of a library, from its caller to the process's first function, by return address."""
    with native_target() as target:
        target.ask("package", package, timeout=120)
        expected = [named(pcs, modules_of(target.pid)) for pcs in gdb_stacks(target, package)]
        with pyleak.attach(target, "--native", "full") as tracer:
            target.ask("package", package)
            report = tracer.finish()
    interpreter = os.path.basename(os.path.realpath(pyleak.DEBIAN.path))
    found = [site for site in report["sites"] if site["family"] == "malloc" and site["outstanding_bytes"] >= LARGE]
    assert found and expected
    foreign = [[frame for frame in stack if frame[0] != interpreter] for stack in expected]
    for site in found:
        native = [(f["module"], f["offset"]) for f in site["stack"] if f["kind"] == "native"]
        match = [stack for stack, rest in zip(expected, foreign)
                 if rest == [frame for frame in native if frame[0] != interpreter]]
        assert match, (shown(site), native, expected)
        # Of the interpreter's own frames some are folded away; those that are there are gdb's, in gdb's order.
        assert any(is_part(native, stack) for stack in match), (native, match)
    assert not report.lost()


def is_part(part, whole):
    rest = iter(whole)
    return all(frame in rest for frame in part)


@pytest.mark.parametrize("package", PACKAGES[:-1])
def test_nearly_all_stacks_of_libraries_unwind_to_the_interpreter(package):
    """98 of 100 at least, whatever the library does."""
    with native_target() as target:
        target.ask("package", package, timeout=120)
        with pyleak.attach(target) as tracer:
            target.ask("churn", package, "2", timeout=120)
            report = tracer.finish()
    lost = report.lost()
    cut = lost.get("native_cut", 0) + lost.get("native_no_unwind", 0)
    assert report["sites_total"] >= 5
    assert cut <= 0.02 * report["sites_total"], lost
