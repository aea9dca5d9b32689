# SPDX-License-Identifier: GPL-2.0-or-later
"""Measurements that are kept in a global list: numpy arrays of many megabytes, one every few seconds."""
import numpy

import case

RESULTS = []

options = case.start(__doc__)


def measure(number):
    # 8 to 12 MB
    samples = numpy.full(options.chance.randrange(1000000, 1500000), number, dtype=numpy.float64)  # LEAK
    RESULTS.append(samples)
    return samples.mean()


case.ready()
for number in case.rounds(options.chance, options.chance.uniform(0.5, 1)):
    measure(number)
