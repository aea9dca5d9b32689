#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a program of an image as a container runtime does, without one: for hosts where those may not run.

confine.py ROOT CACHE PROFILE CAPABILITY,... PROGRAM...: ROOT is the image's root, only read, with a tmpfs at CACHE; PROFILE the
runtime's seccomp profile, of which what it allows to holders of the capabilities (BPF, ...) is allowed. uid 0 keeps these
capabilities and no others, and gains none. Network and mounts are its own, processes the host's. Needs root.
"""
import errno
import json
import os
import subprocess
import sys

import seccomp

SETPRIV = "/usr/bin/setpriv"
# In the default profile of containerd (its pull request 7301) and of Docker (moby's 43987), not in that of
# containers/common, which CRI-O and podman use and which PROFILE may be: without these pyleak does not start.
GATED = {"CAP_BPF": "bpf", "CAP_PERFMON": "perf_event_open"}


def applies(rule, capabilities):
    """Whether a rule of the profile is for who has the capabilities, on a kernel of today."""
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if wanted.get("arches") and "amd64" not in wanted["arches"] or "amd64" in unwanted.get("arches", ()):
        return False
    return set(wanted.get("caps", ())) <= capabilities and not set(unwanted.get("caps", ())) & capabilities


def argument(condition):
    operators = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}
    values = [condition["value"]]
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        values.append(condition["valueTwo"])
    return seccomp.Arg(condition["index"], operators[condition["op"]], *values)


def load(profile, capabilities):
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    calls = seccomp.SyscallFilter(defaction=seccomp.ERRNO(profile.get("defaultErrnoRet", errno.EPERM)))
    for rule in profile["syscalls"]:
        if rule["action"] != "SCMP_ACT_ALLOW" or not applies(rule, capabilities):
            continue
        for name in rule["names"]:
            try:
                calls.add_rule(seccomp.ALLOW, name, *map(argument, rule.get("args") or ()))
            except RuntimeError:  # unknown to this library
                pass
    for name in capabilities & set(GATED):
        calls.add_rule(seccomp.ALLOW, GATED[name])
    calls.load()


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def prepare(root, cache):
    """The image's root under /mnt/root, with what a runtime mounts into it."""
    mount("-t", "tmpfs", "none", "/mnt")
    for name in ("upper", "work", "root"):
        os.mkdir("/mnt/" + name)
    mount("-t", "overlay", "-o", "lowerdir=%s,upperdir=/mnt/upper,workdir=/mnt/work" % root, "none", "/mnt/root")
    for name in ("/proc", "/sys", "/dev", cache):
        os.makedirs("/mnt/root" + name, exist_ok=True)
    mount("--rbind", "/proc", "/mnt/root/proc")
    # Bound by the network namespace, read-only, as runtimes do.
    mount("-t", "sysfs", "-o", "ro", "none", "/mnt/root/sys")
    mount("-t", "tmpfs", "none", "/mnt/root" + cache)
    mount("-o", "remount,ro", "/mnt/root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main(root, cache, profile, names, *program):
    if os.environ.get("PYLEAK_CONFINED") != "yes":
        os.environ["PYLEAK_CONFINED"] = "yes"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation=private", sys.executable, *sys.argv])
    with open(profile) as file:
        rules = json.load(file)
    names = names.split(",")
    words = ",".join(["-all"] + ["+" + name.lower() for name in names])
    prepare(root, cache)
    os.chroot("/mnt/root")
    os.chdir("/")
    load(rules, {"CAP_" + name for name in names})
    os.execve(SETPRIV, [
        SETPRIV, "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=" + words, *program,
    ], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


if __name__ == "__main__":
    main(*sys.argv[1:])
