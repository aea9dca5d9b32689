# SPDX-License-Identifier: GPL-2.0-or-later
"""Buffers of ever different sizes come and go: resident memory stays high, for what lies between is in use."""
import collections

import case

options = case.start(__doc__)
LIMIT = options.chance.randrange(200, 2000)
buffers = collections.deque()
headers = collections.deque(maxlen=LIMIT // 4)


def receive(number):
    size = int(options.chance.paretovariate(0.8) * 300)
    buffers.append(bytearray(min(size, 200000)))
    if number % 7 == 0:
        headers.append(("header %d" % number) * 3)
    while len(buffers) > LIMIT:
        position = options.chance.randrange(len(buffers))
        buffers.rotate(-position)
        buffers.popleft()


for number in range(3 * LIMIT):
    receive(number)
case.ready()
for number in case.rounds(options.chance, options.chance.uniform(50, 200)):
    receive(number)
