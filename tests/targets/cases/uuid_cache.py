# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache of sessions by uuid: in a dict that nobody trims, or in a WeakValueDictionary, which forgets by itself."""
import uuid
import weakref

import case

options = case.start(__doc__, cache=["dict", "weak"])
CACHE = {} if options.cache == "dict" else weakref.WeakValueDictionary()


class Session:
    def __init__(self, customer):
        self.customer = customer
        self.basket = ["article %d" % (customer + n) for n in range(8)]  # LEAK


def login(customer):
    session = Session(customer)
    CACHE[uuid.uuid4()] = session
    return session


current = None
case.ready()
for number in case.rounds(options.chance, options.chance.uniform(50, 150)):
    current = login(number)
