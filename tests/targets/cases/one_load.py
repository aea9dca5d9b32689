# SPDX-License-Identifier: GPL-2.0-or-later
"""A large table is loaded at the start and stays; then the program only looks things up in it."""
import case

options = case.start(__doc__)
ROWS = options.chance.randrange(50000, 300000)
table = {}


def load():
    for number in range(ROWS):
        table["key %d" % number] = (number, "value of %d" % number)


case.ready()
load()
found = 0
for _ in case.rounds(options.chance, options.chance.uniform(50, 300)):
    found += table["key %d" % options.chance.randrange(ROWS)][0]
