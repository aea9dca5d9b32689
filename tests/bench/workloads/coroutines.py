# SPDX-License-Identifier: GPL-2.0-or-later
"""asyncio: 1,000 tasks that pass messages round through queues, with timers and futures."""
import asyncio

import workload

TASKS = 1000
PAYLOAD = 80
BATCH = 50


async def relay(account, inbox, outbox):
    """Takes messages from the one, hands them on to the other; now and then with a timer."""
    while True:
        message = await inbox.get()
        due = account.due()
        path = message["path"][-15:] + [message["hops"]]
        if message["hops"] % BATCH == 0:
            await asyncio.wait_for(asyncio.sleep(0.001), 1)
        for _ in range(due):
            account.kept = workload.Kept(account.kept, bytes(PAYLOAD))  # LEAK
        outbox.put_nowait({"hops": message["hops"] + 1, "path": path})


async def work(running):
    account = running.account()
    inboxes = [asyncio.Queue() for _ in range(TASKS)]
    tasks = [
        asyncio.create_task(relay(account, inboxes[i], inboxes[(i + 1) % TASKS]))
        for i in range(TASKS)
    ]
    for i in range(0, TASKS, 2):
        inboxes[i].put_nowait({"hops": i % BATCH, "path": []})
    while running.goes_on():
        await asyncio.sleep(0.02)
        for task in tasks:
            assert not task.done(), task.exception()


if __name__ == "__main__":
    asyncio.run(
        work(workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=600e3))
    )
