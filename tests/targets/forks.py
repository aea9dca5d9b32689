# SPDX-License-Identifier: GPL-2.0-or-later
"""A parent that keeps what it allocates, and a child that allocates much on a line of its own."""
import os

import target

BYTE = b"x"
KEPT = [None] * 1000


def in_child():
    kept = [None] * 5000
    for i in range(5000):
        kept[i] = BYTE * 40  # LEAK:after_fork
    os._exit(0 if len(set(kept)) == 1 else 1)


def fork():
    child = os.fork()
    if child == 0:
        in_child()
    for i in range(1000):
        KEPT[i] = BYTE * 40  # LEAK:parent
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    target.serve(fork=fork)
