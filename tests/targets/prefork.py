# SPDX-License-Identifier: GPL-2.0-or-later
"""A server of the old school: forks workers, and new ones for those that have gone. Debian's Python and pyenv's 3.x.

Workers keep 80-byte blocks on one line and tell the parent, through a pipe, how many.
"""
import os
import signal
import subprocess
import sys
import time

import target

INHERITED = [None] * 20000
KEPT = [None] * 1000000
WORKERS = {}


def work(blocks, pace_s):
    for i in range(blocks):
        KEPT[i] = b"x" * (i % 2 + 40)  # LEAK:worker
        if pace_s and i % 100 == 99:
            time.sleep(pace_s)


def worker(blocks, pace_s, start_r, done_w):
    signal.alarm(300)  # nobody stops the workers of a parent that was killed
    os.read(start_r, 1)
    work(blocks, pace_s)
    os.write(done_w, b"d")
    while True:
        signal.pause()


def fork(blocks="2000", pace_s="0"):
    """Forks a worker that waits for go(); its pid."""
    start_r, start_w = os.pipe()
    done_r, done_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            worker(int(blocks), float(pace_s), start_r, done_w)
        finally:
            os._exit(1)
    os.close(start_r)
    os.close(done_w)
    WORKERS[pid] = (start_w, done_r)
    return pid


def go(pid):
    """Lets a worker work; returns when it is done."""
    start_w, done_r = WORKERS[int(pid)]
    os.write(start_w, b"g")
    os.read(done_r, 1)


def stop(pid):
    os.kill(int(pid), signal.SIGKILL)
    os.waitpid(int(pid), 0)
    for fd in WORKERS.pop(int(pid)):
        os.close(fd)


def spawn():
    """Starts a program that is Python again; its pid."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def run(*command):
    """Runs a program that is not Python to its end."""
    return subprocess.call(command)


def inherit():
    """Blocks of the parent's that its workers have from it."""
    for i in range(len(INHERITED)):
        INHERITED[i] = b"y" * (i % 2 + 40)  # LEAK:inherited


def churn(workers="4", life_s="0.5", seconds="10"):
    """Keeps so many workers running, each for a short life; the number that there were."""
    deadline, count = time.time() + float(seconds), 0
    running = {}
    while time.time() < deadline:
        while len(running) < int(workers):
            pid = fork("100000", "0.01")
            os.write(WORKERS[pid][0], b"g")
            running[pid] = time.time() + float(life_s) * (1 + count % 4) / 2
            count += 1
        for pid in [pid for pid, end in running.items() if end < time.time()]:
            del running[pid]
            stop(pid)
        time.sleep(0.01)
    for pid in running:
        stop(pid)
    return count


if __name__ == "__main__":
    target.serve(fork=fork, go=go, stop=stop, spawn=spawn, run=run, inherit=inherit, churn=churn)
