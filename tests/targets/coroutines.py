# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of stacks.py that Python 2.7 cannot parse."""
import asyncio

BYTE = b"x"


def delegate(record, count):
    def inner():
        for i in range(count):
            record("yield_from")[i] = BYTE * 40
            yield i

    yield from inner()


async def leaf(record, count):
    for i in range(count):
        await asyncio.sleep(0)
        record("coroutine")[i] = BYTE * 40


async def middle(record, count):
    await leaf(record, count)


async def stream(record, count):
    for i in range(count):
        record("async_generator")[i] = BYTE * 40
        yield i


async def main(record, count):
    await asyncio.gather(middle(record, count))
    async for _ in stream(record, count):
        pass


def run(record, count):
    for _ in delegate(record, count):
        pass
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main(record, count))
    loop.close()
