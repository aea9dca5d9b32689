# SPDX-License-Identifier: GPL-2.0-or-later
"""What is installed beside the program: completion, units, packages, manifests."""
import functools
import os
import pathlib
import re
import subprocess

import pytest

import pyleak

BUILD = os.environ.get("PYLEAK_BUILD", "build")
# What bash does at a tab, with the words of the command line as arguments.
AT_A_TAB = """
source /usr/share/bash-completion/bash_completion && source "$0" || exit
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { :; }
_pyleak "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@functools.lru_cache(maxsize=None)
def installed():
    """A folder with all that make install puts there."""
    folder = pyleak.scratch() / "prefix"
    subprocess.run(
        ["make", "-C", str(pyleak.TOP), "BUILD=" + BUILD, "PREFIX=" + str(folder), "install"],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )
    return folder


def completed(*words):
    """What is offered for the last word."""
    script = str(installed() / "share/bash-completion/completions/pyleak")
    done = subprocess.run(
        ["bash", "-c", AT_A_TAB, script, pyleak.PROGRAM, *words], capture_output=True, text=True, timeout=pyleak.PATIENCE,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


def test_completion_offers_every_option():
    told = re.findall(r"--[a-z-]+", pyleak.run("--help").stdout)
    offered = [word.rstrip("=") for word in completed("-")]
    assert sorted(set(told)) == sorted(set(offered) - {"--"}) and len(offered) > 20


def test_completion_knows_the_values():
    assert completed("--sort", "g") == ["growth"]
    assert completed("--group-by", "f") == ["function", "file"]
    assert completed("--max-memory", "") == []
    assert {"text", "json", "folded"} <= set(completed("-f", ""))
    for name in completed("-f", ""):
        refusal = pyleak.run("-f", name, "-p", "0").stderr  # which pid 0 is in any case
        assert "--format" not in refusal, name


def test_completion_offers_pids_of_python():
    with pyleak.Target("work.py") as one, pyleak.Target("work.py") as other:
        offered = completed("-p", "")
        assert {str(one.pid), str(other.pid)} <= set(offered) and "1" not in offered
        assert "%d,%d" % (one.pid, other.pid) in completed("-p", "%d,%d" % (one.pid, other.pid))


@pytest.mark.parametrize("name", ["pyleak.service", "pyleak@.service"])
def test_units_are_valid_and_hardened(name):
    unit = installed() / "lib/systemd/system" / name
    if "@" in name:  # verify wants an instance
        unit = unit.rename(unit.with_name("pyleak@4242.service"))
    for command in (["verify", "--man=no"], ["security", "--offline=yes", "--no-pager", "--threshold=25"]):
        done = subprocess.run(["systemd-analyze", *command, str(unit)], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    # What it refers to is where it says.
    program = re.search(r"^ExecStart=(\S+)", unit.read_text(), re.M).group(1)
    assert pathlib.Path(program) == installed() / "bin/pyleak" and os.access(program, os.X_OK)


@functools.lru_cache(maxsize=None)
def package():
    """The Debian package, made in a folder of its own."""
    build = pyleak.scratch() / "package"
    done = subprocess.run(
        ["make", "-C", str(pyleak.TOP), "BUILD=" + str(build), "deb"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next((build / "deb").glob("pyleak_*.deb"))


def test_the_package_is_clean():
    changes = next(package().parent.glob("*.changes"))
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning,info,pedantic", "-I", "--pedantic", str(changes)],
        capture_output=True, text=True,
    )
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr
    version = pyleak.run("--version").stdout.split()[1]
    assert package().name == "pyleak_%s_amd64.deb" % version


def test_the_package_holds_a_pyleak_that_works():
    folder = pyleak.scratch() / "unpacked"
    subprocess.run(["dpkg-deb", "-x", str(package()), str(folder)], check=True)
    unit = (folder / "lib/systemd/system/pyleak.service").read_text()
    assert "\nExecStart=/usr/bin/pyleak " in unit
    for name in ("usr/share/man/man1/pyleak.1.gz", "usr/share/doc/pyleak/deployment.md.gz",
                 "usr/share/bash-completion/completions/pyleak", "lib/systemd/system/pyleak@.service"):
        assert (folder / name).stat().st_size > 500, name
    with pyleak.Target("leaks.py") as target:
        with pyleak.Tracer("-p", target.pid, "-i", "0.5", program=str(folder / "usr/bin/pyleak")) as tracer:
            tracer.wait_for_report()
            tracer.finish()
    control = subprocess.check_output(["dpkg-deb", "-f", str(package()), "Depends"], text=True)
    needed = subprocess.check_output(["ldd", str(folder / "usr/bin/pyleak")], text=True)
    assert "libbpf1" in control and "not found" not in needed
