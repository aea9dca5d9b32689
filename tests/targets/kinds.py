# SPDX-License-Identifier: GPL-2.0-or-later
"""Leaks N objects of one kind on each line marked LEAK, and says what their blocks are. Runs on Python 2.7 and 3.6 to 3.15.

"leak" answers {mark: {type: [blocks, bytes]}}; names are the interpreter's own, sizes too. "mixed" imports and makes
what programs make, keeps all of it, and answers {type: objects} since "leak" of types that the collector tracks
without exception. "grow" keeps leaking orders, a few each millisecond, until the program is ended.
"""
import array
import collections
import gc
import os
import sys
import threading
import time
import weakref

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "oracles")]

import blocks
import target

N = 60
VERSION = sys.version_info[:2]
PYTHON_2 = VERSION < (3,)
KEPT = {}
BEFORE = collections.Counter()  # objects before anything was leaked
TEXT = u"x"
BYTE = b"x"
LARGE = 1 << 70
HALF = 0.5
KEY = "key"


class Order(object):
    def __init__(self, number):
        self.number = number  # LEAK:attributes


class Plain(object):
    pass


class Slotted(object):
    __slots__ = ("first", "second")


Point = collections.namedtuple("Point", "x y")
try:
    import dataclasses
except ImportError:  # 3.7
    Item = None
else:
    Item = dataclasses.make_dataclass("Item", ["name"], namespace={"__module__": __name__, "__slots__": ("name",)})


def leak_orders(kept):
    for i in range(N):
        kept[i] = Order(None)  # LEAK:orders


def leak_slotted(kept):
    for i in range(N):
        kept[i] = Slotted()  # LEAK:slotted


def leak_points(kept):
    for i in range(N):
        kept[i] = Point(kept, None)  # LEAK:points


def leak_dicts(kept):
    for i in range(N):
        kept[i] = {KEY: None}  # LEAK:dicts


def leak_lists(kept):
    for i in range(N):
        kept[i] = [kept, None]  # LEAK:lists


def leak_tuples(kept):
    for i in range(N):
        kept[i] = (kept, None)  # LEAK:tuples


def leak_ascii(kept):
    for i in range(N):
        kept[i] = TEXT * 40  # LEAK:ascii


def leak_unicode(kept):
    wide = u"\u20ac"
    for i in range(N):
        kept[i] = wide * 40  # LEAK:unicode


def leak_integers(kept):
    for i in range(N):
        kept[i] = LARGE + 1  # LEAK:integers


def leak_floats(kept):
    for i in range(N):
        kept[i] = HALF * 3.0  # LEAK:floats


def leak_complex(kept):
    for i in range(N):
        kept[i] = HALF * 1j  # LEAK:complex


def leak_bytes(kept):
    for i in range(N):
        kept[i] = BYTE * 40  # LEAK:bytes


def leak_large_bytes(kept):
    for i in range(N):
        kept[i] = BYTE * 4000  # LEAK:large_bytes


def leak_sets(kept):
    for i in range(N):
        kept[i] = {KEY}  # LEAK:sets


def leak_large_sets(kept):
    some = frozenset(range(100))
    for i in range(N):
        kept[i] = some | {KEY}  # LEAK:large_sets


def leak_large_lists(kept):
    some = [None] * 200
    for i in range(N):
        kept[i] = some[:]  # LEAK:large_lists


def leak_large_dicts(kept):
    some = dict.fromkeys(range(100))
    for i in range(N):
        kept[i] = some.copy()  # LEAK:large_dicts


def leak_deques(kept):
    for i in range(N):
        kept[i] = collections.deque((1, 2))  # LEAK:deques


def leak_functions(kept):
    for i in range(N):
        kept[i] = lambda: None  # LEAK:functions


def leak_generators(kept):
    for i in range(N):
        kept[i] = (each for each in kept)  # LEAK:generators


def leak_weakrefs(kept):
    KEPT["referents"] = [Plain() for _ in range(N)]
    for i in range(N):
        kept[i] = weakref.ref(KEPT["referents"][i])  # LEAK:weakrefs


def leak_arrays(kept):
    some = array.array("d", [0.5] * 50)
    for i in range(N):
        kept[i] = some[:]  # LEAK:arrays


def leak_bytearrays(kept):
    for i in range(N):
        kept[i] = bytearray(b"a text in a buffer of its own")  # LEAK:bytearrays


def leak_items(kept):
    for i in range(N):
        kept[i] = Item(None)  # LEAK:items


def name_of(kind):
    name = getattr(kind, "__qualname__", kind.__name__)
    return name if kind.__module__ in ("builtins", "__builtin__") else "%s.%s" % (kind.__module__, name)


def expected_of(thing, *tables):
    """N of the object, and of its tables: (name, bytes)."""
    sizes = {name_of(type(thing)): blocks.block(own_size(thing))}
    sizes.update((name, blocks.block(size)) for name, size in tables)
    return {name: [N, N * size] for name, size in sizes.items()}


def own_size(thing):
    """The object and what is before it, without its tables: those are what __sizeof__() adds."""
    kind = type(thing)
    before = sys.getsizeof(thing) - thing.__sizeof__()
    apart = (dict, list, set, frozenset, collections.deque, array.array, bytearray)
    if PYTHON_2 and kind is type(u""):
        return kind.__basicsize__
    # Classes get room for one item more (Objects/typeobject.c, PyType_GenericAlloc()); from 3.14 on it shows.
    sentinel = tuple.__itemsize__ if isinstance(thing, tuple) and kind is not tuple else 0
    return before + sentinel + (kind.__basicsize__ if isinstance(thing, apart) else thing.__sizeof__())


def rest_size(thing):
    return thing.__sizeof__() - type(thing).__basicsize__


def tables_of(mark, thing):
    if mark in ("dicts", "large_dicts"):
        return [("dict keys", rest_size(thing))] if rest_size(thing) else []
    if mark in ("lists", "large_lists"):
        return [("list items", rest_size(thing))]
    if mark == "large_sets":
        return [("set table", rest_size(thing))]
    if mark == "deques":
        return [("deque block", 528 if not PYTHON_2 else 512)]
    if mark == "unicode" and PYTHON_2:
        return [("str data", (len(thing) + 1) * 4)]
    if mark == "ascii" and PYTHON_2:
        return [("str data", (len(thing) + 1) * 4)]
    if mark == "arrays":
        return [("raw buffer", 400)]
    return []


KINDS = [
    ("slotted", leak_slotted), ("points", leak_points), ("dicts", leak_dicts), ("lists", leak_lists),
    ("tuples", leak_tuples), ("ascii", leak_ascii), ("unicode", leak_unicode), ("integers", leak_integers),
    ("floats", leak_floats), ("complex", leak_complex), ("bytes", leak_bytes), ("large_bytes", leak_large_bytes),
    ("sets", leak_sets), ("large_sets", leak_large_sets), ("large_lists", leak_large_lists),
    ("large_dicts", leak_large_dicts), ("deques", leak_deques), ("functions", leak_functions),
    ("generators", leak_generators), ("weakrefs", leak_weakrefs), ("arrays", leak_arrays),
]
if Item:
    KINDS.append(("items", leak_items))
if PYTHON_2:
    KINDS = [kind for kind in KINDS if kind[0] != "floats"]  # many in a block, which lasts


def leak():
    gc.collect()
    BEFORE.update(tracked())
    target.drain_free_lists(deep=True)
    expected = {}
    for mark, function in KINDS:
        kept = KEPT[mark] = [None] * N
        target.drain_free_lists()
        function(kept)
        expected[mark] = expected_of(kept[0], *tables_of(mark, kept[0]))
    # The dict of an instance, and its values, come where the first attribute is set, up to 3.10; then the values come
    # with the instance; from 3.13 on they are in it.
    kept = KEPT["orders"] = [None] * N
    target.drain_free_lists()
    leak_orders(kept)
    expected["orders"] = {name_of(Order): [N, None]}
    if (3, 11) <= VERSION < (3, 13):
        expected["orders"]["dict values"] = [N, None]
    if VERSION < (3, 11):
        expected["attributes"] = {"dict": [N, None]}
        if not PYTHON_2:
            expected["attributes"]["dict values"] = [N, N * 48]
    kept = KEPT["bytearrays"] = [None] * N
    leak_bytearrays(kept)
    # A bytes object under the hood from 3.15 on (Misc/NEWS.d/3.15.0a2.rst).
    buffers = "bytes" if VERSION >= (3, 15) else "text buffer"
    expected["bytearrays"] = {"bytearray": [N, N * blocks.block(bytearray.__basicsize__)], buffers: [N, None]}
    return expected


def tracked():
    return collections.Counter(name_of(type(thing)) for thing in gc.get_objects())


def mixed():
    make_much()
    gc.collect()
    return {name: count - BEFORE[name] for name, count in tracked().items()
            if name in ("list", "function", "set", "collections.deque", "shop.Part")}


def make_much():
    import argparse
    import datetime
    import decimal
    import json
    import logging
    import re
    import uuid
    import xml.etree.ElementTree

    text = json.dumps([{"id": i, "name": "item %d" % i, "tags": ["a", "b%d" % i], "price": i * 1.5, "nested": {"x": i}}
                       for i in range(2000)])
    parser = argparse.ArgumentParser()
    for i in range(50):
        parser.add_argument("--option%d" % i, type=int)
    part = type("Part", (object,), {"__module__": "shop", "__init__": lambda self: None})
    source = "\n".join("def function%d(a, b=1):\n    return a + b * %d\n" % (i, i) for i in range(300))
    space = {}
    exec(compile(source, "<generated>", "exec"), space)
    KEPT["mixed"] = [
        json.loads(text), parser, space,
        xml.etree.ElementTree.fromstring("<r>%s</r>" % "".join("<e a='%d'><b>t</b></e>" % i for i in range(2000))),
        [re.compile("x%d+(a|b)*" % i) for i in range(50)],
        [decimal.Decimal(i) / 7 for i in range(500)],
        [datetime.datetime(2020, 1, 1) + datetime.timedelta(days=i) for i in range(500)],
        [uuid.UUID(int=i) for i in range(500)],
        [logging.getLogger("a.b%d" % i) for i in range(200)],
        [threading.Event() for _ in range(100)],
        [collections.defaultdict(list, {i: [i]}) for i in range(300)],
        [collections.OrderedDict([(i, i), ("x", i)]) for i in range(300)],
        [collections.deque(range(i)) for i in range(300)],
        [set(range(i)) for i in range(300)],
        [part() for _ in range(700)],
        [type("T%d" % i, (object,), {"x": i}) for i in range(100)],
        [array.array("d", range(i)) for i in range(1, 200)],
        [Exception("number %d" % i) for i in range(300)],
        [weakref.ref(part, lambda _: None) for i in range(300)],
        [slice(i, i + 1) for i in range(300)],
        [property(lambda self: 1) for i in range(200)],
        [memoryview(bytearray(100)) for _ in range(100)],
    ]


def grow():
    def run():
        orders = KEPT["growing"] = []
        while True:
            for i in range(20):
                orders.append(Order(len(orders) + 1000))  # LEAK:growing
            time.sleep(0.001)

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()


if __name__ == "__main__":
    target.serve(leak=leak, mixed=mixed, grow=grow)
