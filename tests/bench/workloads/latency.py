# SPDX-License-Identifier: GPL-2.0-or-later
"""Histograms of latencies, {bucket: count}, that add up: buckets 2 % wide, from 1 us on."""
import math

WIDTH = math.log(1.02)


def bucket_of(seconds):
    return int(math.log(max(seconds * 1e6, 1.0)) / WIDTH)


def seconds_of(bucket):
    """The middle of a bucket."""
    return math.exp((bucket + 0.5) * WIDTH) / 1e6


def quantile(histogram, fraction):
    """In seconds; None where nothing was counted."""
    rest = fraction * sum(histogram.values())
    for bucket in sorted(histogram):
        rest -= histogram[bucket]
        if rest <= 0:
            return seconds_of(bucket)
    return None


def add(histogram, other):
    for bucket, count in other.items():
        histogram[bucket] = histogram.get(bucket, 0) + count
