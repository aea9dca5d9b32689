# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases share: a seed, an uneven pace, and a word when they are ready. Python 3.6 and later.

A case runs until it is killed. The line that leaks is marked LEAK; a case without such a line does not leak.
All that differs between two runs, rates, periods and phases, comes from the seed.
"""
import argparse
import random
import time


def start(description, **choices):
    """The options of the command line: seed, those given as name=[choice, ...], and chance, which the seed feeds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    for name, values in choices.items():
        parser.add_argument("--" + name.replace("_", "-"), choices=values, default=values[0])
    options = parser.parse_args()
    options.chance = random.Random(options.seed)
    return options


def ready():
    print("ready", flush=True)


def rounds(chance, rate):
    """Counts without an end, about rate times a second: like customers, who come when they want."""
    due = time.monotonic()
    number = 0
    while True:
        yield number
        number += 1
        due = max(due + chance.expovariate(rate), time.monotonic() - 1)
        time.sleep(max(due - time.monotonic(), 0))
