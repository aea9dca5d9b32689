# SPDX-License-Identifier: GPL-2.0-or-later
"""Works without pause and checks its own results: a target that was harmed says so."""
import hashlib
import os
import threading

import leakext
import target

STATE = {"rounds": 0, "errors": 0, "stop": False}


def work(seed):
    """A result that depends on thousands of allocations being right: dicts, lists, strings, sorting, malloc."""
    words = {}
    for i in range(600):
        words["%d-%d" % (seed, i * 7919 % 1009)] = [i, str(i), {"square": i * i}]
    ordered = sorted(words.items(), key=lambda item: item[1][0])
    leakext.malloc_free(20, 2000)
    leakext.realloc_zero(5, 600)
    digest = hashlib.sha256()
    for key, (number, text, square) in ordered:
        digest.update(("%s:%d:%s:%d;" % (key, number, text, square["square"])).encode("ascii"))
    return digest.hexdigest()


EXPECTED = [work(seed) for seed in range(8)]


def loop():
    while not STATE["stop"]:
        for seed, expected in enumerate(EXPECTED):
            try:
                good = work(seed) == expected
            except Exception:
                good = False
            STATE["errors"] += not good
            STATE["rounds"] += 1


def status():
    return {"rounds": STATE["rounds"], "errors": STATE["errors"]}


def leave(how, *arguments):
    """Ends this process the way the test asks: after the answer, so that the test knows that it was understood."""
    target.reply({"done": "leave", "result": None})
    if how == "exec":
        os.execv(arguments[0], list(arguments))
    os._exit(int(arguments[0]))


if __name__ == "__main__":
    worker = threading.Thread(target=loop)
    worker.daemon = True
    worker.start()
    target.serve(status=status, leave=leave)
    STATE["stop"] = True
