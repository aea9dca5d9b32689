# SPDX-License-Identifier: GPL-2.0-or-later
"""What the README promises of the project itself: the demo, the installation, packages named when they are missing."""
import os
import subprocess

import pyleak


def test_the_demo_names_the_guilty_line():
    done = subprocess.run(
        [str(pyleak.TOP / "examples" / "demo" / "run")], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout[done.stdout.rindex("\nRSS "):]
    first_site = last[last.index("\n 1 "):last.index("\n 2 ")]
    assert "shop.py:%d" % leaking_line() in first_site
    assert "AUDIT.append(json.dumps(entry))" in first_site


def leaking_line():
    lines = pyleak.read(pyleak.TOP / "examples" / "demo" / "shop.py").splitlines()
    return next(number for number, line in enumerate(lines, 1) if "this is the leak" in line)


def test_install_honours_prefix_and_destdir():
    folder = pyleak.scratch() / "installed"
    build = os.environ.get("PYLEAK_BUILD", "build")
    subprocess.run(
        ["make", "-C", str(pyleak.TOP), "BUILD=" + build, "DESTDIR=" + str(folder), "PREFIX=/usr", "install"],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )
    files = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
    assert files == [
        "usr/bin/pyleak", "usr/lib/systemd/system/pyleak.service", "usr/lib/systemd/system/pyleak@.service",
        "usr/share/bash-completion/completions/pyleak", "usr/share/man/man1/pyleak.1",
    ]
    for unit in folder.glob("usr/lib/systemd/system/*"):
        assert "\nExecStart=/usr/bin/pyleak " in unit.read_text()
    done = pyleak.run("--version", program=str(folder / "usr/bin/pyleak"))
    assert done.returncode == 0 and done.stdout.startswith("pyleak ")


def test_a_missing_package_is_named_and_not_installed():
    """On a machine whose dpkg knows every package but one."""
    tools = pyleak.scratch() / "tools"
    tools.mkdir()
    fake = tools / "dpkg-query"
    fake.write_text('#!/bin/sh\nfor last; do :; done\n[ "$last" = libzydis-dev ] || printf "installed "\n')
    fake.chmod(0o755)
    apt = tools / "apt-get"
    apt.write_text("#!/bin/sh\necho called >&2\nexit 99\n")
    apt.chmod(0o755)
    done = subprocess.run(
        [str(pyleak.TOP / "scripts" / "dependencies"), "check", "build"], capture_output=True, text=True,
        env={"PATH": "%s:/usr/bin:/bin" % tools},
    )
    assert done.returncode == 1
    assert done.stderr == "missing: libzydis-dev; run: sudo apt-get install -y libzydis-dev\n"
