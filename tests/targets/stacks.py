# -*- coding: utf-8 -*-
# SPDX-License-Identifier: GPL-2.0-or-later
"""Allocates under every kind of Python stack; "run" answers with what sys._getframe() saw at the marked lines."""
import functools
import os
import sys
import threading
import time

import leakext
import target

if sys.version_info >= (3, 6):
    import coroutines

N = 500
BYTE = b"x"
KEPT = {}
SEEN = {}
DEPTH = 300


def record(name):
    """Remembers its callers as [[function, file, line], ...], leaf first: the same lines that a tracer must see."""
    if name not in SEEN:
        frames = []
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            function = getattr(code, "co_qualname", code.co_name)
            path = code.co_filename
            if not path.startswith("<"):
                path = os.path.abspath(path)
            frames.append([function, path, frame.f_lineno])
            frame = frame.f_back
        SEEN[name] = frames
        KEPT[name] = [None] * N
    return KEPT[name]


def nested():
    def inner():
        for i in range(N):
            record("nested")[i] = BYTE * 40  # LEAK:nested

    inner()


def by_generator():
    for i in range(N):
        record("generator")[i] = BYTE * 40  # LEAK:generator
        yield i


def consume():
    for _ in by_generator():
        pass


def counted(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@counted
def decorated():
    for i in range(N):
        record("decorated")[i] = BYTE * 40  # LEAK:decorated


class Service(object):
    def handle(self):
        for i in range(N):
            record("method")[i] = BYTE * 40  # LEAK:method

    @property
    def value(self):
        for i in range(N):
            record("property")[i] = BYTE * 40  # LEAK:property
        return 1


def in_thread():
    for i in range(N):
        record("thread")[i] = BYTE * 40  # LEAK:thread


def run_thread():
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()


def sort_key(i):
    record("sorted")[i] = BYTE * 40  # LEAK:sorted
    return -i


def map_item(i):
    record("map")[i] = BYTE * 40  # LEAK:map
    return i


def callback():
    for i in range(N):
        record("callback")[i] = BYTE * 40  # LEAK:callback


by_lambda = lambda i: record("lambda").__setitem__(i, BYTE * 40)  # LEAK:lambda


def recurse(depth):
    if depth > 0:
        recurse(depth - 1)
        return
    for i in range(N):
        record("recursion")[i] = BYTE * 40  # LEAK:recursion


GENERATED = """
def generated():
    for i in range(N):
        record("exec")[i] = BYTE * 40
def short_lived():
    for i in range(N):
        record("short_lived")[i] = BYTE * 40
    pause()
"""


def run_generated():
    exec(compile(GENERATED, "<generated>", "exec"), names)
    names["generated"]()
    # This code object is gone before any report names it; it lives for a second, so that its name can be learnt.
    names["short_lived"]()
    del names["generated"], names["short_lived"]
    exec(compile("def other():\n    return 1\n" * 20, "<other>", "exec"), {})


def pause():
    time.sleep(1)


names = {"record": record, "N": N, "BYTE": BYTE, "pause": pause}


def run_foreign(path):
    """A file whose path, and on Python 3 whose functions, are not ASCII."""
    with open(path, "rb") as source:
        text = source.read()
    foreign = dict(names)
    exec(compile(text, path, "exec"), foreign)
    foreign["entry"]()


def run(*paths):
    target.drain_free_lists(deep=True)
    nested()
    consume()
    decorated()
    Service().handle()
    Service().value
    run_thread()
    sorted(range(N), key=sort_key)
    list(map(map_item, range(N)))
    leakext.call(callback, 1)
    for i in range(N):
        by_lambda(i)
    recurse(DEPTH)
    run_generated()
    for path in paths:
        run_foreign(path)
    if sys.version_info >= (3, 6):
        coroutines.run(record, N)
    return SEEN


def run_frameless():
    leakext.malloc(0, 0)
    leakext.thread(300, 4000)
    return [300, 300 * 4000]


if __name__ == "__main__":
    sys.setrecursionlimit(5000)
    target.serve(run=run, frameless=run_frameless)
