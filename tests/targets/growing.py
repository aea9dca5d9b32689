# SPDX-License-Identifier: GPL-2.0-or-later
"""A process of a host: grows, or stays as it is. The first argument is how many KiB a second it keeps."""
import os
import sys
import time

KEPT = []


def receive(size):
    KEPT.append(b"x" * size)  # LEAK:receive


def main():
    pace = int(sys.argv[1])
    if "fork" in sys.argv:
        os.fork()
    while True:
        for _ in range(pace // 4):
            receive(400)
        time.sleep(0.1)


main()
