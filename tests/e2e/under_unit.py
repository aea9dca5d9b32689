# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command under what a systemd unit allows: capabilities, system calls, files. Needs root, but not systemd.

under_unit.py UNIT COMMAND...: setpriv and seccomp do what systemd would do by the unit's settings of those names.
"""
import ctypes
import errno
import os
import subprocess
import sys

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # include/uapi/linux/prctl.h, Linux 6.3
NOBODY = "65534"


def settings(unit):
    """{name: [value, ...]} of the unit's section [Service]."""
    found, section = {}, None
    with open(unit, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and line[0] not in "#;":
                name, value = line.split("=", 1)
                found.setdefault(name, []).append(value)
    return found


def capability_words(unit, name):
    """For setpriv: none but those of the setting."""
    return ",".join(["-all"] + ["+" + word[len("CAP_"):].lower() for word in settings(unit)[name][0].split()])


def members(group):
    """The system calls of a group, by systemd's own table."""
    shown = subprocess.check_output(["systemd-analyze", "syscall-filter", group], text=True)
    found = set()
    for word in (line.strip() for line in shown.splitlines()[1:]):
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed(values):
    """The system calls that SystemCallFilter= allows: systemd.exec(5)."""
    found = members("@default")
    for value in values:
        names = set()
        for word in value.lstrip("~").split():
            names |= members(word) if word.startswith("@") else {word}
        found = found - names if value.startswith("~") else found | names
    return found


def restrict(unit):
    import seccomp

    said = settings(unit)
    assert said["SystemCallErrorNumber"] == ["EPERM"] and said["MemoryDenyWriteExecute"] == ["yes"]
    calls = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno.EPERM))
    for name in allowed(said["SystemCallFilter"]):
        try:
            calls.add_rule(seccomp.ALLOW, name)
        except RuntimeError:  # not of this architecture
            pass
    calls.load()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")


def main(unit, *command):
    if command[0] == "--restricted":
        restrict(unit)
        os.execv(command[1], command[1:])
    ambient = capability_words(unit, "AmbientCapabilities")
    os.execvp("unshare", [
        "unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh",
        "setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY, "--clear-groups", "--no-new-privs",
        "--inh-caps=" + ambient, "--ambient-caps=" + ambient,
        "--bounding-set=" + capability_words(unit, "CapabilityBoundingSet"),
        sys.executable, os.path.abspath(__file__), unit, "--restricted", *command,
    ])


if __name__ == "__main__":
    main(*sys.argv[1:])
