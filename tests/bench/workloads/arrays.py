# SPDX-License-Identifier: GPL-2.0-or-later
"""numpy: arrays of 8 KB to 800 KB filtered, sorted, summed; few allocations, most of them large."""
import os

# One thread, or a second core would hide what the first one pays.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import numpy  # noqa: E402  (reads the environment)

import workload  # noqa: E402

ITEMS = 250
GENERATOR = numpy.random.default_rng(1)
# The array object; shape and strides in one malloc; the data in another (numpy 1.24,
# numpy/core/src/multiarray/ctors.c, PyArray_NewFromDescr_int()).
SIZES = [workload.blocks.block(numpy.ndarray.__basicsize__), 16, ITEMS * 8]


def smooth(signal, width):
    sums = numpy.cumsum(signal)
    return (sums[width:] - sums[:-width]) / width


def operation(account, due):
    for length in (1000, 10000, 100000):
        signal = GENERATOR.standard_normal(length)
        smoothed = smooth(signal, 16)
        peaks = numpy.sort(smoothed[smoothed > smoothed.mean()])
        spectrum = numpy.abs(numpy.fft.rfft(signal))
        assert peaks[0] <= peaks[-1] and spectrum.argmax() < length
    for _ in range(due):
        account.kept = workload.Kept(account.kept, numpy.zeros(ITEMS))  # LEAK


if __name__ == "__main__":
    workload.Workload(__doc__, SIZES, rate=50e3).run(operation)
