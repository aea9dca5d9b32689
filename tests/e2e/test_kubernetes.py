# SPDX-License-Identifier: GPL-2.0-or-later
"""The DaemonSet and the Containerfile: what they allow is what pyleak needs, and what they say is so. See also image/check."""
import functools
import os
import re
import signal
import subprocess

import yaml

import pyleak

PACKAGING = pyleak.TOP / "packaging"
# As in a pod: a network and a view of files of its own, read-only, /var/cache/pyleak of its own; and the node's processes.
IN_A_POD = (
    "unshare", "--net", "--mount", "sh", "-c",
    "ip link set lo up && mount -o remount,bind,ro / && mount -t tmpfs none /var/cache && mkdir /var/cache/pyleak"
    " && mount -o remount,ro /var/cache && mount -t tmpfs none /var/cache/pyleak && exec \"$@\"", "sh",
)


@functools.lru_cache(maxsize=None)
def objects():
    found = list(yaml.safe_load_all((PACKAGING / "kubernetes" / "pyleak.yaml").read_text()))
    return {each["kind"]: each for each in found}


def pod():
    return objects()["DaemonSet"]["spec"]["template"]


def container():
    [only] = pod()["spec"]["containers"]
    return only


def unit_capabilities():
    text = (PACKAGING / "systemd" / "hardening").read_text()
    return sorted(re.search(r"^CapabilityBoundingSet=(.*)", text, re.M).group(1).split())


def test_the_daemonset_allows_what_the_unit_allows_and_no_more():
    security = container()["securityContext"]
    assert sorted("CAP_" + name for name in security["capabilities"]["add"]) == unit_capabilities()
    assert security["capabilities"]["drop"] == ["ALL"]
    assert security["allowPrivilegeEscalation"] is False and security["privileged"] is False
    assert security["readOnlyRootFilesystem"] is True
    spec = pod()["spec"]
    assert spec["hostPID"] is True and spec["hostNetwork"] is False and "hostIPC" not in spec
    assert spec["automountServiceAccountToken"] is False
    assert [list(volume) for volume in spec["volumes"]] == [["name", "emptyDir"]]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_capability_is_justified():
    lines = (PACKAGING / "kubernetes" / "pyleak.yaml").read_text().splitlines()
    documented = (pyleak.TOP / "docs" / "deployment.md").read_text()
    for name in container()["securityContext"]["capabilities"]["add"]:
        at = next(i for i, line in enumerate(lines) if line.strip() == "- " + name)
        assert len(lines[at - 1].strip("# ")) > 20 and lines[at - 1].strip().startswith("#"), name
        assert "`CAP_%s`" % name in documented


def test_labels_ports_and_probes_fit_together():
    labels = pod()["metadata"]["labels"]
    assert objects()["DaemonSet"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert objects()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    [port] = container()["ports"]
    listened = container()["args"][container()["args"].index("--listen") + 1]
    assert listened.endswith(":%d" % port["containerPort"])
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[name]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    annotations = pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    [rule] = objects()["NetworkPolicy"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["containerPort"]}] and rule["from"]
    namespaces = {each["metadata"].get("namespace", each["metadata"]["name"]) for each in objects().values()}
    assert len(namespaces) == 1


def program_in_a_pod():
    """pyleak as uid 0 with the capabilities of the manifest and no others, none of them ambient."""
    words = ",".join(["-all"] + ["+" + name.lower() for name in container()["securityContext"]["capabilities"]["add"]])
    wrapper = pyleak.scratch() / "pyleak-in-a-pod"
    wrapper.write_text("#!/bin/sh\nexec %s setpriv --clear-groups --no-new-privs --inh-caps=-all --bounding-set=%s %s \"$@\"\n" % (
        " ".join("'%s'" % word for word in IN_A_POD), words, pyleak.PROGRAM))
    wrapper.chmod(0o755)
    return str(wrapper)


def get(pid, path):
    """What is answered inside of the network namespace of a process; None as long as it is no 200."""
    port = container()["ports"][0]["containerPort"]
    done = subprocess.run(
        ["nsenter", "--net=/proc/%d/ns/net" % pid, pyleak.DEBIAN.path, "-c",
         "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())",
         "http://127.0.0.1:%d%s" % (port, path)], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def test_the_container_would_run_serve_and_end():
    """With the very arguments, as a pod is confined: healthy, metrics of a process that it watches, a clean end."""
    probes = container()["startupProbe"]
    with pyleak.Target("work.py") as target:
        # Only of this target: the machine may have many. And sooner than every 10 s.
        tracer = subprocess.Popen([program_in_a_pod(), *container()["args"], "-i", "1", "--match", "work.py"])
        try:
            pyleak.wait_until(lambda: tracer.poll() is not None or get(tracer.pid, probes["httpGet"]["path"]),
                              probes["periodSeconds"] * probes["failureThreshold"], pause=0.2)
            assert tracer.poll() is None
            status = pyleak.read("/proc/%d/status" % tracer.pid)
            assert re.search(r"^CapEff:\t(.*)", status, re.M).group(1) == "%016x" % sum(
                1 << number for number in (2, 19, 38, 39, 40))  # include/uapi/linux/capability.h
            metrics = get(tracer.pid, pod()["metadata"]["annotations"]["prometheus.io/path"])
            assert 'pid="%d"' % target.pid in metrics
            tracer.send_signal(signal.SIGTERM)
            assert tracer.wait(pod()["spec"]["terminationGracePeriodSeconds"]) == 0
        finally:
            tracer.kill()
            tracer.wait()


def test_the_image_installs_what_the_program_needs_and_what_there_is():
    text = (PACKAGING / "Containerfile").read_text()
    runtime = re.search(r"install -y --no-install-recommends \\\n\s*(.*?) \\\n", text).group(1).split()
    known = subprocess.check_output(["apt-cache", "--no-all-versions", "show", *runtime], text=True)
    assert sorted(re.findall(r"^Package: (.*)", known, re.M)) == sorted(runtime)
    # The libraries that the program itself names, by the package that owns each.
    needed = re.findall(r"NEEDED\s+(\S+)", subprocess.check_output(["objdump", "-p", pyleak.PROGRAM], text=True))
    shown = subprocess.check_output(["ldd", pyleak.PROGRAM], text=True)
    for library in needed:
        path = re.search(r"%s => (\S+)" % re.escape(library), shown).group(1)
        # dpkg knows some by the name that they had before /lib became /usr/lib.
        path = os.path.realpath(path)
        owner = subprocess.run(["dpkg", "-S", path, path.replace("/usr/lib", "/lib")], capture_output=True, text=True).stdout
        assert owner.split(":")[0] in [*runtime, "libc6"], (library, owner)


def test_the_image_copies_what_there_is_and_all_that_is_built_from():
    text = (PACKAGING / "Containerfile").read_text()
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert sorted(copied) == ["Makefile", "bpf", "scripts", "user"]
    assert all((pyleak.TOP / each).exists() for each in copied)
    assert re.search(r"^ENTRYPOINT \[\"(.*)\"\]", text, re.M).group(1) == text.split("/src/build/pyleak ")[1].split()[0]
