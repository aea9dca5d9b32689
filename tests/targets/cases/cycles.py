# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairs of objects that point to each other, each with an array and a __del__: only the cyclic collector frees them.

With it switched off this is a leak; with it on, memory comes back every so often.
"""
import array
import gc

import case

try:
    import numpy
except ImportError:  # the interpreters that have only their own library
    numpy = None

options = case.start(__doc__, gc=["off", "on"])
SIZE = options.chance.randrange(4000, 20000)


def buffer():
    if numpy:
        return numpy.ones(SIZE)  # LEAK
    return array.array("d", [1.0]) * SIZE  # LEAK


class Node:
    closed = 0

    def __init__(self):
        self.values = buffer()
        self.other = None

    def __del__(self):
        Node.closed += 1


def work():
    left, right = Node(), Node()
    left.other, right.other = right, left
    return left.values[0] + right.values[-1]


if options.gc == "off":
    gc.disable()
work()
case.ready()
for _ in case.rounds(options.chance, options.chance.uniform(4, 12)):
    work()
