# SPDX-License-Identifier: GPL-2.0-or-later
"""Says of many objects and their tables where their blocks begin, how large these are and what they are.

Lines "ADDRESS SIZE NAME"; then "ready". SIZE is what was asked of the allocator; NAME as pyleak should have it. Where
a block begins and what a table is follows from the interpreter's own headers, not from pyleak: Include/object.h,
pycore_object.h (_PyType_PreHeaderSize()), dictobject.h, setobject.h, listobject.h, bytearrayobject.h.
"""
import array
import collections
import ctypes
import datetime
import sys
import weakref

VERSION = sys.version_info[:2]
HAVE_GC = 1 << 14
PREHEADER = {(3, 11): 1 << 4}.get(VERSION, 1 << 3 | 1 << 4 if VERSION >= (3, 12) else 0)
GC_HEAD = 16 if VERSION >= (3, 8) else 32
KEPT = []


class Order(object):
    def __init__(self, number):
        self.number = number
        self.text = "order %d" % number


class Slotted(object):
    __slots__ = ("first", "second")


class Outer(object):
    class Inner(object):
        pass


class Text(type(u"")):
    pass


class Table(dict):
    pass


class Meta(type):
    pass


Made = Meta("Made", (object,), {"__module__": "shop.models"})
Point = collections.namedtuple("Point", "x y")


class Classic:
    pass


def local_class():
    class Local(object):
        pass

    return Local


def word(address):
    return ctypes.c_size_t.from_address(address).value


def flags_of(kind):
    return word(id(kind) + 168)


def say(address, size, name):
    sys.stdout.write("%d %d %s\n" % (address, size, name))


def head_of(thing):
    flags = flags_of(type(thing))
    return (GC_HEAD if flags & HAVE_GC else 0) + (16 if flags & PREHEADER else 0)


def show(name, *things):
    for thing in things:
        KEPT.append(thing)
        head = head_of(thing)
        say(id(thing) - head, own_size(thing) + head, name)


def own_size(thing):
    """Of the object without its tables, which __sizeof__() adds for dicts, lists and such."""
    kind = type(thing)
    if isinstance(thing, (dict, list, set, frozenset, bytearray, collections.deque, array.array, type)):
        return kind.__basicsize__
    return kind.__sizeof__(thing)


def show_objects():
    show("__main__.Order", *[Order(i) for i in range(20)])
    show("__main__.Slotted", *[Slotted() for _ in range(20)])
    inner = "__main__.Outer.Inner" if VERSION >= (3,) else "__main__.Inner"
    show(inner, Outer.Inner())
    show("__main__.local_class.<locals>.Local" if VERSION >= (3,) else "__main__.Local", local_class()())
    show("shop.models.Made", Made())
    show("__main__.Point", Point(1, 2), Point(None, None))
    show("__main__.Table", Table(), Table(a=1))
    show("dict", {}, {"a": 1}, dict.fromkeys(range(50)))
    show("list", [], [1, 2], list(range(1000)))
    show("tuple", (1, KEPT), (KEPT,) * 40)
    show("set", {1}, set(range(100)))
    show("frozenset", frozenset([1]))
    if VERSION >= (3,):
        # 2.7 has them many in a block.
        show("float", 1.5 * len(KEPT), 2.5 * len(KEPT))
    show("long" if VERSION < (3,) else "int", (1 << 70) + len(KEPT), 10 ** 50 + len(KEPT))
    show("complex", complex(1, len(KEPT)))
    show("collections.deque", collections.deque(), collections.deque(range(200)))
    show("function", lambda: KEPT, show_objects)
    show("generator", (x for x in KEPT))
    show("weakref" if VERSION < (3, 10) else "weakref.ReferenceType", weakref.ref(KEPT[0]))
    show("datetime.datetime", datetime.datetime(2026, 11, 21))
    show("array.array", array.array("d", [1.0]))
    show("bytearray", bytearray(200))
    show("__main__.Meta", Made)
    show("type", Order)


def show_strings():
    text = "unicode" if VERSION < (3,) else "str"
    for sample in (u"x" * 40, u"\xe9" * 40, u"\u20ac" * 40, u"\U0001f40d" * 40):
        show(text, sample + text_tail())
    show("str" if VERSION < (3,) else "bytes", b"x" * 40 + bytes(bytearray([97 + len(KEPT) % 20])))
    show("__main__.Text", Text(u"some text"))


def text_tail():
    return u"%d" % len(KEPT)


def show_tables():
    table = {}
    table.update((("key %d" % i), i) for i in range(100))
    numbers = {i: i for i in range(100)}
    items = list(range(1000, 1100))
    members = set(range(100))
    KEPT.extend([table, numbers, items, members])
    for each in (table, numbers):
        base = 40 if VERSION < (3,) else 32
        size = each.__sizeof__() - dict.__basicsize__
        say(word(id(each) + base), size, "dict keys")
    say(word(id(items) + 24), items.__sizeof__() - list.__basicsize__, "list items")
    say(word(id(members) + 40), members.__sizeof__() - set.__basicsize__, "set table")
    raw = array.array("d", [i * 0.5 for i in range(100)])
    text = bytearray(b"a text that nobody wants to keep " * 3)
    KEPT.extend([raw, text])
    say(raw.buffer_info()[0], 800, "raw buffer")
    say(word(id(text) + (40 if VERSION < (3,) else 32)), len(text) + 1, "text buffer")
    if VERSION < (3,):
        sample = u"text of a unicode object"
        KEPT.append(sample)
        say(word(id(sample) + 24), (4 if sys.maxunicode > 65535 else 2) * (len(sample) + 1), "str data")


def show_values():
    """Of instance attributes: an array of its own up to 3.12."""
    order = Order(len(KEPT))
    KEPT.append(order)
    if (3, 6) <= VERSION < (3, 11):
        say(word(id(order.__dict__) + 40), 40, "dict values")
    elif (3, 11) <= VERSION < (3, 13):
        # The prefix's last byte is its size; ht_cached_keys: dk_usable @16, dk_nentries @24.
        values = word(id(order) - 32) if VERSION == (3, 11) else word(id(order) - 24) + 1
        prefix = ctypes.c_ubyte.from_address(values - 1).value
        keys = word(id(Order) + (872 if VERSION == (3, 11) else 880))
        say(values - prefix, prefix + 8 * (word(keys + 16) + word(keys + 24)), "dict values")


show_objects()
show_strings()
show_tables()
show_values()
if VERSION < (3,):
    show("__main__.Classic", Classic())
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
