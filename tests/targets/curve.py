# SPDX-License-Identifier: GPL-2.0-or-later
"""Grows, fragments and gives back memory when told, and says how its allocators stand by their own accounts."""
import ctypes
import mmap
import os
import re
import sys
import tempfile
import threading
import time

import target

KEPT = []
STATE = {"objects": [], "chunks": [], "buffers": [], "leaking": False, "leaked": 0, "mapping": None}


def fill(count):
    """Small objects: pymalloc's."""
    STATE["objects"] = [b"%0100d" % number for number in range(int(count))]


def thin(keep_every):
    """Frees all of them but one in so many: at least one in each pool."""
    objects = STATE["objects"]
    for number in range(len(objects)):
        if number % int(keep_every):
            objects[number] = None


def fill_chunks(count):
    """Larger ones, half of them in a thread: malloc's, in two arenas."""
    def run():
        STATE["chunks"] += [bytes(bytearray(1500 + number % 700)) for number in range(int(count) // 2)]

    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def thin_chunks(keep_every):
    chunks = STATE["chunks"]
    for number in range(len(chunks)):
        if number % int(keep_every):
            chunks[number] = None


def buffers(count):
    """Buffers of 1 MiB: mappings of their own, which go back to the kernel."""
    STATE["buffers"] = [bytearray(b"x") * (1 << 20) for _ in range(int(count))]


def drop_buffers(seconds):
    """Gives them back bit by bit."""
    pause = float(seconds) / len(STATE["buffers"])

    def run():
        while STATE["buffers"]:
            STATE["buffers"].pop()
            time.sleep(pause)

    threading.Thread(target=run, daemon=True).start()


def leak(per_second):
    """Keeps so many objects a second, of the size that fill() makes: 144 bytes."""
    rate = float(per_second)
    STATE["leaking"] = True

    def run():
        began, made = time.time(), 0
        while STATE["leaking"]:
            while made < (time.time() - began) * rate:
                KEPT.append(b"%0100d" % made)
                made += 1
            STATE["leaked"] = made * 144
            time.sleep(0.01)

    threading.Thread(target=run, daemon=True).start()


def untouched(size):
    """Maps private memory and leaves it alone."""
    STATE["mapping"] = mmap.mmap(-1, int(size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def pymalloc():
    """sys._debugmallocstats(), which writes to standard error: its figures by name."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        text = file.read().decode("ascii", "replace").replace(",", "")
    numbers = {name: int(value) for name, value in re.findall(r"^# (bytes in [a-z ]+?) +=\s+(\d+)$", text, re.M)}
    return {
        "held": int(re.search(r"^\d+ arenas \* \d+ bytes/arena += +(\d+)$", text, re.M).group(1)),
        "used": numbers["bytes in allocated blocks"],
        "available": numbers["bytes in available blocks"],
        "unused_pools": int(re.search(r"^\d+ unused pools \* \d+ bytes += +(\d+)$", text, re.M).group(1)),
    }


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


def malloc():
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    return {"held": info.arena, "free": info.fordblks}


def status():
    return {"time": time.time(), "leaked": STATE["leaked"], "buffers": len(STATE["buffers"])}


if __name__ == "__main__":
    target.serve(fill=fill, thin=thin, fill_chunks=fill_chunks, thin_chunks=thin_chunks, buffers=buffers,
                 drop_buffers=drop_buffers, leak=leak, untouched=untouched, pymalloc=pymalloc, malloc=malloc,
                 status=status)
