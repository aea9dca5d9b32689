#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds packaging/Containerfile and runs the image as packaging/kubernetes/pyleak.yaml has a node run it.

Its capabilities and no others, the runtime's seccomp profile, a read-only root, a network of its own, the host's processes: it
must find a Python process of the host, trace it and serve what it found. Needs root, podman and debootstrap, and a network for
Debian packages; no registry of images is asked. PYLEAK_DISTROS is where the base image's folder is kept, PYLEAK_MIRROR where it
comes from.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACE = pathlib.Path(os.environ.get("PYLEAK_DISTROS", "/var/cache/pyleak-distros"))
MIRROR = os.environ.get("PYLEAK_MIRROR", "http://deb.debian.org/debian")
BASE, IMAGE = "localhost/pyleak-base", "localhost/pyleak-check"
NAME = "pyleak-check-%d" % os.getpid()
PATIENCE_S = 120
LEAK = "import time; kept = []\nwhile True: kept.append(bytes(400)); time.sleep(0.0005) # pyleak-image-check"


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def base_image():
    """Debian 12, minimal, from the same archive that its packages come from."""
    folder = PLACE / "bookworm"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        PLACE.mkdir(parents=True, exist_ok=True)
        output("debootstrap", "--variant=minbase", "bookworm", folder, MIRROR)
        (folder / ".complete").touch()
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["podman", "import", "-q", "-", BASE], check=True, stdin=tar.stdout, stdout=subprocess.DEVNULL)


def build():
    # In a chroot: the steps of a build need no namespaces of their own.
    output("podman", "build", "--isolation=chroot", "--network=host", "--build-arg", "BASE=" + BASE,
           "-f", TOP / "packaging" / "Containerfile", "-t", IMAGE, TOP)


def run_options(pod, container):
    """For podman run: what the manifest says."""
    security = container["securityContext"]
    options = ["--user=%d:%d" % (security["runAsUser"], security["runAsGroup"])]
    options += ["--cap-drop=" + name for name in security["capabilities"]["drop"]]
    options += ["--cap-add=" + name for name in security["capabilities"]["add"]]
    options += ["--mount=type=tmpfs,destination=" + mount["mountPath"] for mount in container["volumeMounts"]]
    if not security["allowPrivilegeEscalation"]:
        options.append("--security-opt=no-new-privileges")
    if security["readOnlyRootFilesystem"]:
        options += ["--read-only", "--read-only-tmpfs=false"]
    if pod["hostPID"]:
        options.append("--pid=host")
    if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        options.append("--memory=" + container["resources"]["limits"]["memory"].replace("Mi", "m"))
    else:
        options.append("--cgroups=disabled")
    return options


def get(pid, url):
    """What is answered in the network namespace of a process; None as long as it is no 200."""
    code = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    done = subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, "-c", code, url],
                          capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("no %s in %d s" % (what, PATIENCE_S))
        time.sleep(0.5)


def check(target):
    manifest = yaml.safe_load_all((TOP / "packaging" / "kubernetes" / "pyleak.yaml").read_text())
    pod = next(each for each in manifest if each["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    port = container["ports"][0]["containerPort"]
    output("podman", "run", "-d", "--name", NAME, "--network=none", *run_options(pod, container), IMAGE,
           *container["args"], "-i", "1", "--match", "pyleak-image-check")
    pid = output("podman", "inspect", "-f", "{{.State.Pid}}", NAME).strip()
    status = pathlib.Path("/proc/%s/status" % pid).read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["CapEff"] == fields["CapBnd"] and int(fields["CapBnd"], 16).bit_count() == 5, status
    assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1", status
    url = "http://127.0.0.1:%d" % port
    wait_for("healthy answer", lambda: get(pid, url + container["startupProbe"]["httpGet"]["path"]))
    # Watched at first; once its growth shows it is traced, and its line is named.
    wanted = 'pid="%d"' % target.pid

    def named():
        lines = (get(pid, url + "/metrics") or "").splitlines()
        return any(line.startswith("pyleak_site_outstanding_bytes{") and wanted in line for line in lines)

    wait_for("site of a leak in pid %d" % target.pid, named)
    output("podman", "stop", "-t", pod["terminationGracePeriodSeconds"], NAME)
    code = output("podman", "inspect", "-f", "{{.State.ExitCode}}", NAME).strip()
    assert code == "0", "it ended with status " + code


def main():
    base_image()
    build()
    target = subprocess.Popen(["/usr/bin/python3", "-c", LEAK])
    try:
        check(target)
    except BaseException:
        subprocess.run(["podman", "logs", NAME])
        raise
    finally:
        target.kill()
        target.wait()
        subprocess.run(["podman", "rm", "-f", "-t", "0", NAME], stdout=subprocess.DEVNULL)
    print("the image is built, runs as the manifest says, and names a leak of the host's")


if __name__ == "__main__":
    main()
