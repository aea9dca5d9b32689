# -*- coding: utf-8 -*-
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shapes of Python stacks, for tests/unit/test_interpreter.c. At each one the program writes down what
it sees itself, one line a frame, and waits in a C function until a byte comes in. CPython 2.7 to 3.x."""
import os
import sys
import threading

PYTHON3 = sys.version_info[0] >= 3


def show(frame):
    lines = ["thread %d" % (threading.current_thread().ident,)]
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        line = code.co_firstlineno if frame.f_lineno is None else frame.f_lineno
        lines.append("%d\t%d\t%s\t%s" % (id(code), line, name, code.co_filename))
        frame = frame.f_back
    text = "\n".join(lines) + "\nend\n"
    if PYTHON3:
        text = text.encode("utf-8")
    os.write(1, text)


def leaf(*ignored):
    show(sys._getframe()), os.read(0, 1)
    return 0


def call(function, *arguments):
    return function(*arguments)


def multi_line_call():
    return call(
        leaf,
        [number
         for number in range(3)],
        call(
            leaf,
            2,
        ),
    )


def multi_line_operators():
    return (1 +
            2 *
            call(leaf) +
            3)


def comprehensions():
    first = [
        leaf()
        for _ in range(1)
    ]
    second = {
        leaf():
        leaf()
        for _ in range(1)
    }
    return first, second, [
        [leaf() for _ in "a"]
        for _ in "a"]


def class_body():
    class Outer(object):
        """A body is a frame."""
        one = 1
        two = leaf()

        class Inner(object):
            three = leaf()

            def method(self):
                return leaf()

            @property
            def prop(self):

                return leaf()

    Outer.Inner().method()
    return Outer.Inner().prop


def generators():
    def generate():
        yield 1
        yield leaf()

    def outer():
        for value in generate():
            yield value

    for value in outer():
        pass
    return sum(
        leaf()
        for _ in range(1))


def decorated():
    def decorator(function):
        def wrapper(*arguments):
            return function(*arguments)
        return wrapper

    @decorator
    @decorator
    def function():
        return leaf()

    return function()


def c_callbacks():
    sorted([1], key=lambda _: leaf())
    list(map(lambda _: call(leaf), [1]))
    return max([1], key=lambda _:
               leaf())


class Dunder(object):
    def __init__(self):
        leaf()

    def __enter__(self):
        leaf()

    def __exit__(self, *ignored):
        leaf()

    def __getattr__(self, name):
        return leaf()

    def __del__(self):
        leaf()


def special_methods():
    with Dunder() as _:
        leaf()
    dunder = Dunder()
    dunder.something
    del dunder


def exceptions():
    try:
        try:
            raise ValueError(
                leaf())
        except ValueError:
            leaf()
            raise
        finally:
            leaf()
    except ValueError as error:
        call(
            leaf, error)
    else:
        leaf()


def loops():
    for index in range(2):
        while True:
            if index:
                leaf()
                break
            else:
                leaf(
                )
            break
    for _ in [
            leaf()]: pass


def far_lines():
    # Line steps beyond a byte, forward and backward, and more instructions than a byte counts.
    filler = "".join("    x = (y, y, y, y)\n" for _ in range(700))
    source = ("def far(leaf):\n    y = 1\n" + filler + "    leaf()\n" + "\n" * 400 + "    leaf()\n" +
              filler + "    return (leaf(),\n" + "\n" * 300 + "      leaf(), 1,\n" + "\n" * 200 +
              "      leaf())\n")
    namespace = {}
    exec(compile(source, "<far>", "exec"), namespace)
    namespace["far"](leaf)


def file_names():
    names = [u"plain.py", u"/tmp/h\xe4\xdf.py", u"/tmp/\u4e2d\u6587.py", u"/tmp/\U0001f600.py", u""]
    for name in names:
        if not PYTHON3:
            name = name.encode("utf-8")
        exec(compile("\n\nleaf()\n", name, "exec"), {"leaf": leaf})


def names():
    if not PYTHON3:
        return
    source = u"""
class \xc4rger:
    def gr\xf6\xdfe(self):
        return leaf()
def \u4e2d\u6587():
    return \xc4rger().gr\xf6\xdfe()
def \U00020000():
    return \u4e2d\u6587()
\U00020000()
async def coroutine():
    return leaf()
async def outer():
    return await coroutine()
try:
    outer().send(None)
except StopIteration:
    pass
"""
    exec(compile(source, "names", "exec"), {"leaf": leaf, "__name__": "names"})


def deep(levels):
    if levels == 0:
        return leaf()
    return deep(levels -
                1)


def threads():
    for function in (leaf, multi_line_call):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()


def main():
    for scenario in (multi_line_call, multi_line_operators, comprehensions, class_body, generators,
                     decorated, c_callbacks, special_methods, exceptions, loops, far_lines,
                     file_names, names, lambda: deep(100), threads):
        scenario()
    os.write(1, b"done\nend\n")
    os.read(0, 1)


main()
