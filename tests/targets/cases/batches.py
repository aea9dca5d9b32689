# SPDX-License-Identifier: GPL-2.0-or-later
"""Batches: rows are collected until there are enough or it is time, then written, and all of them dropped."""
import time

import case

options = case.start(__doc__)
PERIOD = options.chance.uniform(2, 40)
RATE = options.chance.uniform(50, 300)
rows = [{"number": -1, "text": "row"}]
until = time.monotonic() + PERIOD * options.chance.random()
case.ready()
for number in case.rounds(options.chance, RATE):
    rows.append({"number": number, "text": "row %d" % number, "price": number * 0.25})
    if time.monotonic() > until:
        written = sum(len(row["text"]) for row in rows)
        rows.clear()
        until += PERIOD
