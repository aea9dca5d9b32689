# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory asked for by native code, for the frames below the line of Python."""
import os
import sys
import tempfile
import threading

import target

import leakext

try:
    import leakcpp
except ImportError:  # Python 2.7
    leakcpp = None

KEPT = []
SIZE = 1000003  # bytes, of what gdb looks for


def leak_c():
    leakext.malloc(40, 1000)  # LEAK:malloc
    leakext.realloc_grow(40, 5000)  # LEAK:realloc_grow
    leakext.strdup(40, 99)  # LEAK:strdup
    leakext.mmap(3, 65536)  # LEAK:mmap


def leak_cpp():
    leakcpp.new(40, 1000)  # LEAK:new
    leakcpp.fill(40, 1000)  # LEAK:template
    leakcpp.strdup(40, 500)  # LEAK:cpp_strdup
    leakcpp.two_paths(40, 2000)  # LEAK:two_paths
    leakcpp.objects(40)  # LEAK:objects


def innermost():
    leakcpp.new(40, 1000)  # LEAK:innermost


def called_by_c():
    return max([1], key=lambda _: innermost() or 1)  # LEAK:called_by_c


def interleave():
    leakcpp.call(called_by_c)  # LEAK:interleave


def thread(count, size):
    leakext.thread(int(count), int(size))


def load(path, function, count, size, unlink=None):
    leakcpp.load(path, function, int(count), int(size))  # LEAK:load


def array():
    import numpy

    KEPT.append(numpy.ones(SIZE // 8))  # LEAK:numpy
    KEPT.append(numpy.arange(SIZE // 8).astype("float32"))


def picture():
    from PIL import Image

    KEPT.append(Image.new("RGB", (1009, 1013)).resize((601, 701)))  # LEAK:pillow


def xml():
    from lxml import etree

    KEPT.append(etree.fromstring("<a>" + "x" * SIZE + "</a>"))  # LEAK:lxml


def video():
    import cv2
    import numpy

    # LEAK:opencv is the line below, whatever else is on it
    KEPT.append(cv2.resize(numpy.zeros((301, 307, 3), "uint8"), (1009, 1013)))  # LEAK:opencv


def database():
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.execute("create table t(b blob)")
    connection.execute("insert into t values(zeroblob(%d))" % SIZE)  # LEAK:sqlite
    KEPT.append((connection, connection.execute("select b from t").fetchall()))


def window():
    import tkinter

    root = tkinter.Tcl()
    root.eval("set kept [string repeat x %d]" % SIZE)  # LEAK:tk
    KEPT.append(root)


def basket():
    leakcpp.new(1, SIZE)  # LEAK:basket


PACKAGES = {"numpy": array, "pillow": picture, "lxml": xml, "opencv": video, "sqlite": database, "tk": window,
            "basket": basket}


def package(name):
    PACKAGES[name]()
    leakcpp.mark()


def churn(name, seconds):
    """A library at work, with what it gives back kept and let go."""
    import time

    end = time.time() + float(seconds)
    while time.time() < end:
        PACKAGES[name]()
        del KEPT[:-3]


def steady(rounds):
    """The same paths over and over."""
    for _ in range(int(rounds)):
        leakext.malloc_free(10, 700)
        sorted([3, 1, 2], key=lambda each: -each)


if __name__ == "__main__":
    target.serve(c=leak_c, cpp=leak_cpp, interleave=interleave, thread=thread, load=load, package=package, churn=churn,
                 steady=steady)
