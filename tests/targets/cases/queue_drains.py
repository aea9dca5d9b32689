# SPDX-License-Identifier: GPL-2.0-or-later
"""A queue between a producer with busy hours and a consumer that falls behind in them and catches up after.

The busy hour lasts up to a minute, and all that time the queue grows.
"""
import collections
import math
import time

import case

options = case.start(__doc__)
PERIOD = options.chance.uniform(20, 120)  # half of it is busy
RATE = options.chance.uniform(60, 200)  # jobs a second in the busy half; a third of it in the other
PHASE = options.chance.random() * PERIOD
jobs = collections.deque()
begun = time.monotonic()
done = 0.0


def consume(seconds):
    """Two thirds of the busy rate: a bit more than comes on average."""
    global done
    done += seconds * RATE * 0.7
    while done >= 1:
        done -= 1
        if jobs:
            jobs.popleft()


case.ready()
last = begun
for number in case.rounds(options.chance, RATE):
    now = time.monotonic()
    busy = math.fmod(now - begun + PHASE, PERIOD) < PERIOD / 2
    if busy or number % 3 == 0:
        jobs.append({"number": number, "payload": "payload of job %d" % number, "retries": []})
    consume(now - last)
    last = now
