#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds packaging/Containerfile and runs the image as packaging/kubernetes/pyleak.yaml has a node run it.

Its capabilities and no others, the runtime's seccomp profile, a read-only root, a network of its own, the host's processes: it
must find a Python process of the host, trace it and serve what it found. podman builds; confine.py runs, as there are hosts where
no container runtime may. Needs root, podman and debootstrap, and a network for Debian packages; no registry of images is asked.
PYLEAK_DISTROS is where the base image's folder is kept, PYLEAK_MIRROR where it comes from.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACE = pathlib.Path(os.environ.get("PYLEAK_DISTROS", "/var/cache/pyleak-distros"))
MIRROR = os.environ.get("PYLEAK_MIRROR", "http://deb.debian.org/debian")
BASE, IMAGE = "localhost/pyleak-base", "localhost/pyleak-check"
PROFILE = "/usr/share/containers/seccomp.json"  # of golang-github-containers-common, which podman brings
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
    if subprocess.run(["podman", "image", "exists", BASE]).returncode == 0:
        return
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["podman", "import", "-q", "-", BASE], check=True, stdin=tar.stdout, stdout=subprocess.DEVNULL)


def build():
    # In a chroot: the steps of a build need no namespaces of their own.
    output("podman", "build", "--isolation=chroot", "--network=host", "--build-arg", "BASE=" + BASE,
           "-f", TOP / "packaging" / "Containerfile", "-t", IMAGE, TOP)


def get(pid, url):
    """What is answered in the network namespace of a process; None as long as it is no 200."""
    code = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    done = subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, "-c", code, url],
                          capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def wait_for(what, process, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None:
            raise SystemExit("no %s: pyleak ended with status %d" % (what, process.returncode))
        if time.monotonic() > deadline:
            raise SystemExit("no %s in %d s" % (what, PATIENCE_S))
        time.sleep(0.5)


def command(root, container):
    """What the manifest says, in the image."""
    security = container["securityContext"]
    assert (security["runAsUser"], security["capabilities"]["drop"]) == (0, ["ALL"])
    [mount] = container["volumeMounts"]
    [config] = json.loads(output("podman", "image", "inspect", IMAGE))
    return [str(TOP / "tests" / "image" / "confine.py"), root, mount["mountPath"], PROFILE,
            ",".join(security["capabilities"]["add"]), *config["Config"]["Entrypoint"], *container["args"]]


def check(root, target):
    manifest = yaml.safe_load_all((TOP / "packaging" / "kubernetes" / "pyleak.yaml").read_text())
    pod = next(each for each in manifest if each["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    url = "http://127.0.0.1:%d" % container["ports"][0]["containerPort"]
    pyleak = subprocess.Popen([*command(root, container), "-i", "1", "--match", "pyleak-image-check"])
    try:
        wait_for("healthy answer", pyleak, lambda: get(pyleak.pid, url + container["startupProbe"]["httpGet"]["path"]))
        fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/%d/status" % pyleak.pid).read_text().splitlines())
        assert fields["Seccomp"].strip() == "2" and fields["NoNewPrivs"].strip() == "1"
        assert bin(int(fields["CapEff"], 16)).count("1") == len(container["securityContext"]["capabilities"]["add"])

        # Watched at first; once its growth shows it is traced, and its sites are there.
        def named():
            lines = (get(pyleak.pid, url + "/metrics") or "").splitlines()
            return any(line.startswith("pyleak_site_outstanding_bytes{") and 'pid="%d"' % target.pid in line for line in lines)

        wait_for("site of a leak in pid %d" % target.pid, pyleak, named)
        pyleak.send_signal(signal.SIGTERM)
        assert pyleak.wait(pod["terminationGracePeriodSeconds"]) == 0
    finally:
        pyleak.kill()
        pyleak.wait()


def main():
    base_image()
    build()
    root = output("podman", "image", "mount", IMAGE).strip()
    target = subprocess.Popen(["/usr/bin/python3", "-c", LEAK])
    try:
        check(root, target)
    finally:
        target.kill()
        target.wait()
        output("podman", "image", "unmount", IMAGE)
    print("the image is built, runs as the manifest says, and names a leak of the host's")


if __name__ == "__main__":
    main()
