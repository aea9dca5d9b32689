# SPDX-License-Identifier: GPL-2.0-or-later
"""A bounded cache of customers' pages: the standard library's, or one by hand. Filling it takes up to two minutes.

Customers come back, so that the fuller the cache, the fewer pages are new.
"""
import collections
import functools

import case

options = case.start(__doc__, cache=["lru_cache", "ordered"])
RATE = options.chance.uniform(30, 100)
CUSTOMERS = int(RATE * options.chance.uniform(10, 80))
LIMIT = int(CUSTOMERS * options.chance.uniform(0.3, 0.9))
PAGES = collections.OrderedDict()


def render(customer):
    return ["line %d of customer %d" % (number, customer) for number in range(10)]


@functools.lru_cache(maxsize=LIMIT)
def cached(customer):
    return render(customer)


def ordered(customer):
    page = PAGES.pop(customer, None)
    if page is None:
        page = render(customer)
        if len(PAGES) >= LIMIT:
            PAGES.popitem(last=False)
    PAGES[customer] = page
    return page


page = cached if options.cache == "lru_cache" else ordered
case.ready()
for _ in case.rounds(options.chance, RATE):
    page(options.chance.randrange(CUSTOMERS))
